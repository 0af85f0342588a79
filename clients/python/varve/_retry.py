"""When to try again, as the C++ client does."""

from __future__ import annotations

import random
from typing import Optional

_FIRST_DELAY = 0.05
_LAST_DELAY = 2.0
# Every attempt gets so long, so that a server that is there is found.
_LEAST_ATTEMPT = 5.0


class Retry:
    """Tells pauses between attempts: random parts of a delay that doubles (so that many clients of a server
    that comes back do not come at once), until `give_up_after` seconds were spent without a connection
    and without progress. Time in which the server is there but holds the client back does not count.
    Knows no clock: `now` is in seconds from any moment."""

    def __init__(self, give_up_after: float):
        self._give_up_after = give_up_after
        self._longest_delay = _FIRST_DELAY
        self._failed_for = 0.0  # in outages that are over, since the last progress
        self._failing_since: Optional[float] = None  # the outage that is not over

    def on_attempt(self, now: float) -> float:
        """An attempt to connect begins; returns when it must have succeeded."""
        if self._failing_since is None:
            self._failing_since = now
        return now + max(self._left(now), _LEAST_ATTEMPT)

    def on_connected(self, now: float) -> None:
        """The server answers again; whether that leads anywhere is not known yet."""
        if self._failing_since is not None:
            self._failed_for += now - self._failing_since
        self._failing_since = None

    def on_progress(self) -> None:
        """Something got done: the next failure is the first."""
        self._longest_delay = _FIRST_DELAY
        self._failed_for = 0.0
        self._failing_since = None

    def on_failure(self, now: float) -> Optional[float]:
        """How long to wait before the next attempt; None: give up."""
        if self._failing_since is None:
            self._failing_since = now
        delay = self._longest_delay * random.random()
        self._longest_delay = min(self._longest_delay * 2, _LAST_DELAY)
        # No attempt without time to succeed: it would only hide the reason why the others failed.
        return None if delay >= self._left(now) else delay

    def _left(self, now: float) -> float:
        since = now if self._failing_since is None else self._failing_since
        return self._give_up_after - self._failed_for - (now - since)
