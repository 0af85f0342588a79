package ingest

import (
	"math/rand"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	firstDelay = 50 * time.Millisecond
	lastDelay  = 2 * time.Second
	// Every attempt gets so long, so that a server that is there is found.
	leastAttempt = 5 * time.Second
)

// isTransient tells whether the same call may succeed later: the connection broke, the server is draining
// or overloaded. All that the caller has to mend is not transient.
func isTransient(err error) bool {
	switch status.Code(err) {
	case codes.Unavailable, codes.ResourceExhausted, codes.DeadlineExceeded, codes.Aborted,
		// What gRPC makes of a connection that is cut in the midst of a message.
		codes.Canceled, codes.Internal, codes.Unknown:
		return true
	}
	return false
}

// retry says when to try again after a transient failure: after a random part of a delay that doubles with
// every attempt (so that many clients of a server that comes back do not come at once), until giveUpAfter
// was spent without a connection and without progress. Time in which the server is there but holds the
// client back does not count.
type retry struct {
	giveUpAfter  time.Duration
	longestDelay time.Duration
	failedFor    time.Duration // in outages that are over, since the last progress
	failingSince time.Time     // the outage that is not over; zero without one
}

func newRetry(giveUpAfter time.Duration) retry {
	return retry{giveUpAfter: giveUpAfter, longestDelay: firstDelay}
}

// onAttempt: an attempt to connect begins. Returns how long it has.
func (r *retry) onAttempt(now time.Time) time.Duration {
	if left := r.left(now); left > leastAttempt {
		return left
	}
	return leastAttempt
}

// onConnected: the server answers again; whether that leads anywhere is not known yet.
func (r *retry) onConnected(now time.Time) {
	if !r.failingSince.IsZero() {
		r.failedFor += now.Sub(r.failingSince)
	}
	r.failingSince = time.Time{}
}

// onProgress: something got done; the next failure is the first.
func (r *retry) onProgress() { *r = newRetry(r.giveUpAfter) }

// onFailure returns how long to wait before the next attempt; false: give up.
func (r *retry) onFailure(now time.Time) (time.Duration, bool) {
	left := r.left(now)
	delay := time.Duration(rand.Float64() * float64(r.longestDelay))
	if r.longestDelay *= 2; r.longestDelay > lastDelay {
		r.longestDelay = lastDelay
	}
	// No attempt without time to succeed: it would only hide the reason why the others failed.
	return delay, delay < left
}

// left is the time without a connection that is not spent; an outage begins here if there is none.
func (r *retry) left(now time.Time) time.Duration {
	if r.failingSince.IsZero() {
		r.failingSince = now
	}
	return r.giveUpAfter - r.failedFor - now.Sub(r.failingSince)
}
