package dev.varve;

import io.grpc.Status;
import java.time.Duration;
import java.util.OptionalLong;
import java.util.concurrent.ThreadLocalRandom;
import java.util.concurrent.TimeUnit;

/**
 * Says when to try again after a transient failure: after a random part of a delay that doubles with every
 * attempt (so that many clients of a server that comes back do not come at once), until {@code giveUpAfter}
 * was spent without a connection and without progress. Time in which the server is there but holds the client
 * back does not count. Knows no clock: times are nanoseconds as of {@link System#nanoTime}. Not thread-safe.
 */
final class Retry {
  private static final long FIRST_DELAY = TimeUnit.MILLISECONDS.toNanos(50);
  private static final long LAST_DELAY = TimeUnit.SECONDS.toNanos(2);
  /** Every attempt gets so long, so that a server that is there is found. */
  private static final long LEAST_ATTEMPT = TimeUnit.SECONDS.toNanos(5);

  private final long giveUpAfter;
  private long longestDelay = FIRST_DELAY;
  private long failedFor; // in outages that are over, since the last progress
  private boolean failing; // an outage is not over ...
  private long failingSince; // ... that began then

  Retry(Duration giveUpAfter) {
    this.giveUpAfter = giveUpAfter.toNanos();
  }

  /** Whether the same call may succeed later. All that the caller has to mend is not transient. */
  static boolean isTransient(Status status) {
    return switch (status.getCode()) {
      // The connection broke, the server is draining or overloaded.
      case UNAVAILABLE, RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED, ABORTED -> true;
      // What gRPC makes of a connection that is cut in the midst of a message.
      case CANCELLED, INTERNAL, UNKNOWN -> true;
      default -> false;
    };
  }

  /** An attempt to connect begins; returns when it must have succeeded. */
  long onAttempt(long now) {
    return now + Math.max(left(now), LEAST_ATTEMPT);
  }

  /** The server answers again; whether that leads anywhere is not known yet. */
  void onConnected(long now) {
    if (failing) failedFor += now - failingSince;
    failing = false;
  }

  /** Something got done: the next failure is the first. */
  void onProgress() {
    longestDelay = FIRST_DELAY;
    failedFor = 0;
    failing = false;
  }

  /** How long to wait before the next attempt; empty: give up. */
  OptionalLong onFailure(long now) {
    long left = left(now);
    long delay = ThreadLocalRandom.current().nextLong(longestDelay);
    longestDelay = Math.min(longestDelay * 2, LAST_DELAY);
    // No attempt without time to succeed: it would only hide the reason why the others failed.
    return delay < left ? OptionalLong.of(delay) : OptionalLong.empty();
  }

  /** The time without a connection that is not spent; an outage begins here if there is none. */
  private long left(long now) {
    if (!failing) failingSince = now;
    failing = true;
    return giveUpAfter - failedFor - (now - failingSince);
  }
}
