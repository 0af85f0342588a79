import type { Code } from "./errors.js";

const FIRST_DELAY = 50;
const LAST_DELAY = 2_000;
/** Every attempt gets so long, so that a server that is there is found. */
const LEAST_ATTEMPT = 5_000;

const TRANSIENT: ReadonlySet<Code> = new Set<Code>([
  "UNAVAILABLE",
  "RESOURCE_EXHAUSTED",
  "DEADLINE_EXCEEDED",
  "ABORTED",
  // What gRPC makes of a connection that is cut in the midst of a message.
  "CANCELLED",
  "INTERNAL",
  "UNKNOWN",
]);

/**
 * Whether the same call may succeed later: the connection broke, the server is draining or overloaded.
 * All that the caller has to mend is not transient.
 */
export function isTransient(code: Code): boolean {
  return TRANSIENT.has(code);
}

/**
 * Says when to try again after a transient failure: after a random part of a delay that doubles with
 * every attempt (so that many clients of a server that comes back do not come at once), until
 * `giveUpAfter` was spent without a connection and without progress. Time in which the server is there but
 * holds the client back does not count. All times are in milliseconds; it knows no clock.
 */
export class Retry {
  readonly #giveUpAfter: number;
  readonly #random: () => number;
  #longestDelay = FIRST_DELAY;
  /** In outages that are over, since the last progress. */
  #failedFor = 0;
  /** Beginning of the outage that is not over. */
  #failingSince: number | undefined;

  constructor(giveUpAfter: number, random: () => number = Math.random) {
    this.#giveUpAfter = giveUpAfter;
    this.#random = random;
  }

  /** An attempt to connect begins; returns when it must have succeeded. */
  onAttempt(now: number): number {
    this.#failingSince ??= now;
    return now + Math.max(this.#left(now), LEAST_ATTEMPT);
  }

  /** The server answers again; whether that leads anywhere is not known yet. */
  onConnected(now: number): void {
    if (this.#failingSince !== undefined) this.#failedFor += now - this.#failingSince;
    this.#failingSince = undefined;
  }

  /** Something got done: the next failure is the first. */
  onProgress(): void {
    this.#longestDelay = FIRST_DELAY;
    this.#failedFor = 0;
    this.#failingSince = undefined;
  }

  /** How long to wait before the next attempt; undefined: give up. */
  onFailure(now: number): number | undefined {
    this.#failingSince ??= now;
    const delay = this.#longestDelay * this.#random();
    this.#longestDelay = Math.min(this.#longestDelay * 2, LAST_DELAY);
    // No attempt without time to succeed: it would only hide the reason why the others failed.
    return delay >= this.#left(now) ? undefined : delay;
  }

  #left(now: number): number {
    return this.#giveUpAfter - this.#failedFor - (now - (this.#failingSince ?? now));
  }
}
