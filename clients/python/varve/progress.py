"""How far a long call is: a bar of tqdm where that is installed, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import Any, Optional

# Seconds between lines; a call that is over before the first prints nothing.
_LINE_EVERY = 5.0


class Progress:
    """Counts rows on standard error. Shown or not, it is called the same. Not thread-safe."""

    def __init__(self, shown: bool, what: str, total: Optional[int]):
        self._what = what
        self._total = total
        self._rows = 0
        self._begin = time.monotonic()
        self._next_line = self._begin + _LINE_EVERY
        self._lines = False
        self._bar: Any = None
        if not shown:
            return
        try:
            import tqdm.auto
        except ImportError:
            self._lines = True
        else:
            self._bar = tqdm.auto.tqdm(total=total, desc=what, unit=" rows", unit_scale=True)

    def advance(self, rows: int) -> None:
        self._rows += rows
        if self._bar is not None:
            self._bar.update(rows)
        elif self._lines and time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY
            self._print()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._lines and self._next_line > self._begin + _LINE_EVERY:
            self._print()

    def _print(self) -> None:
        of = f" of {self._total:,}" if self._total is not None else ""
        rate = self._rows / max(time.monotonic() - self._begin, 1e-9)
        print(f"{self._what}: {self._rows:,}{of} rows, {rate:,.0f} rows/s", file=sys.stderr)
