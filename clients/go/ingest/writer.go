// Package ingest streams batches of records into a namespace so that each is committed exactly once,
// whatever happens to the connection and the server.
package ingest

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	v1 "varve.dev/go/varve/v1"
)

const (
	maxProducerBytes = 256
	// How long the server may take to end a stream in which all is said.
	closeTimeout = 5 * time.Second
)

// Options say where a Writer writes and how. Only Namespace and Producer have no default.
type Options struct {
	Namespace string
	// Producer names this sequence of batches, 1 to 256 bytes. Whoever opens a writer under the name again
	// goes on where the last one ended; two at the same time are an error.
	Producer   string
	Durability v1.Durability
	OnError    v1.OnError
	// MaxBatchBytes: a larger batch is refused. Default 4 MiB, what any gRPC peer takes.
	MaxBatchBytes int
	// GiveUpAfter: the writer ends when it got no batch across and was without a connection for so long.
	// Default 30 s.
	GiveUpAfter time.Duration
	// OnAck is called for every batch, in order of number. It must be brief, as no acknowledgement is read
	// meanwhile, and must not call Write, Finish or Close. Sequence is 0 when the connection broke before
	// the acknowledgement came and the commit was learned on reconnecting: then only Number is known.
	OnAck func(*v1.IngestAck)
	// OnDisconnect is called when the connection broke and will be tried again. As OnAck, it must be brief.
	OnDisconnect func(error)
}

// A Writer numbers batches 1, 2, 3 ... in the order of Write, over all writers that ever opened under the
// same producer, and keeps them in memory until they are acknowledged. After a broken connection it
// reconnects (with growing, jittered pauses), asks the server for the last batch it has, and sends again
// only what comes after. A program that crashed does the same: LastBatch tells it from which batch on to
// repeat, and it must cut its records into the same batches as before.
//
// One goroutine at a time may call Write and Finish; the other methods are for any.
type Writer struct {
	conn    *grpc.ClientConn
	options Options
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the writer's goroutine is gone

	mu      sync.Mutex
	changed chan struct{} // closed, and replaced, whenever something below changes

	// Batches that are not acknowledged, oldest first; the first `sent` of them are on their way in the
	// present stream.
	queue      []batch
	queueBytes int
	sent       int
	next       uint64 // the number of the next batch
	committed  uint64
	lastBatch  uint64

	limits     *v1.IngestOpened // what the server allows; nil before the first stream is open
	streamOpen bool
	finishing  bool
	retry      retry
	end        error // set before `ended` is closed: why; nil when all is committed
}

type batch struct {
	number  uint64
	bytes   int
	request *v1.IngestRequest
}

// signal wakes all who await. Called with mu held.
func (w *Writer) signal() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// await waits, giving mu away meanwhile, until done() holds; false: `stop` was closed before.
func (w *Writer) await(stop <-chan struct{}, done func() bool) bool {
	for !done() {
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-stop:
			w.mu.Lock()
			return false
		}
		w.mu.Lock()
	}
	return true
}

// popFront: the oldest batch is committed. Called with mu held.
func (w *Writer) popFront() {
	w.committed = w.queue[0].number
	w.queueBytes -= w.queue[0].bytes
	w.queue[0] = batch{}
	w.queue = w.queue[1:]
}

func (w *Writer) hasRoom(bytes int) bool {
	if len(w.queue) == 0 {
		return true // a batch larger than the window goes alone
	}
	return len(w.queue) < int(w.limits.GetWindowBatches()) &&
		uint64(w.queueBytes+bytes) <= w.limits.GetWindowBytes()
}

func (w *Writer) maxBatchBytes() int {
	if max := w.limits.GetMaxMessageBytes(); max < uint64(w.options.MaxBatchBytes) {
		return int(max)
	}
	return w.options.MaxBatchBytes
}

// Open connects and opens the stream. The end of ctx ends the writer, now or at any time later.
//
// InvalidArgument and NotFound come at once; while the server cannot be reached it is tried again for
// GiveUpAfter.
func Open(ctx context.Context, conn *grpc.ClientConn, options Options) (*Writer, error) {
	if n := len(options.Producer); n == 0 || n > maxProducerBytes {
		return nil, status.Errorf(codes.InvalidArgument, "producer must have 1 to %d bytes, has %d", maxProducerBytes, n)
	}
	if options.MaxBatchBytes == 0 {
		options.MaxBatchBytes = 4 << 20
	}
	if options.GiveUpAfter == 0 {
		options.GiveUpAfter = 30 * time.Second
	}
	w := &Writer{
		conn:    conn,
		options: options,
		ended:   make(chan struct{}),
		changed: make(chan struct{}),
		retry:   newRetry(options.GiveUpAfter),
	}
	w.ctx, w.cancel = context.WithCancel(ctx)
	go w.run()

	w.mu.Lock()
	defer w.mu.Unlock()
	w.await(w.ended, func() bool { return w.limits != nil })
	if w.limits == nil {
		return nil, w.end
	}
	return w, nil
}

// LastBatch is the producer's last committed batch when the writer was opened; 0 when there was none.
func (w *Writer) LastBatch() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lastBatch
}

// Committed: every batch up to this number is committed for certain.
func (w *Writer) Committed() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.committed
}

// Write takes the next batch and returns its number. The records are the writer's from then on: do not
// change them. Waits while more batches or bytes are unacknowledged than the server allows.
//
// ResourceExhausted: the batch is too large; the writer goes on, and the number is not spent. Any other
// error is the one the writer ended with, as Finish returns it.
func (w *Writer) Write(records *v1.RecordBatch) (uint64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finishing {
		return 0, status.Error(codes.FailedPrecondition, "Write after Finish")
	}
	content := &v1.IngestBatch{Number: w.next, Records: records}
	request := &v1.IngestRequest{Message: &v1.IngestRequest_Batch{Batch: content}}
	bytes := proto.Size(request)
	if max := w.maxBatchBytes(); bytes > max {
		return 0, status.Errorf(codes.ResourceExhausted, "batch %d has %d bytes; at most %d are taken", w.next, bytes, max)
	}
	if !w.await(w.ended, func() bool { return w.hasRoom(bytes) }) {
		return 0, w.end
	}
	w.queue = append(w.queue, batch{content.Number, bytes, request})
	w.queueBytes += bytes
	w.next++
	w.signal()
	return content.Number, nil
}

// Finish sends what is left and waits until all is acknowledged. No Write after it.
//
// An error is what the stream ended with; its message names the last batch that is committed for certain.
// When the server refused a batch (InvalidArgument), it is the one after: mend it. With Unavailable wait
// for the server. Then open again under the same producer.
func (w *Writer) Finish() error {
	w.mu.Lock()
	w.finishing = true
	w.signal()
	w.mu.Unlock()
	<-w.ended
	return w.end
}

// Close drops what is not acknowledged yet and returns when nothing of the writer is left. After Finish it
// does nothing: a program may defer it.
func (w *Writer) Close() {
	w.cancel()
	<-w.ended
}
