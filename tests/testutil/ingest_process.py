"""`varve ingest` as a process that may be interrupted, killed and run again."""

import json
import pathlib
import signal
import subprocess

from testutil.varved import VARVE

WAIT_SECONDS = 120


class IngestProcess:
    """One run of `varve --json ingest`; its standard error goes to `log`.

    A context manager: leaving it kills the process if it still runs.
    """

    def __init__(self, address: str, log: pathlib.Path, *arguments):
        self.log_path = log
        command = [VARVE, "--server", address, "--json", "ingest", *map(str, arguments)]
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, text=True
            )
        self.code: int | None = None
        self.report: dict = {}

    def __enter__(self) -> "IngestProcess":
        return self

    def __exit__(self, *_) -> None:
        if self.code is None:
            self.kill()

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def wait(self) -> int:
        """Waits for its end and returns its exit code; what it printed is in `report`."""
        printed, _ = self.process.communicate(timeout=WAIT_SECONDS)
        self.report = json.loads(printed) if printed else {}
        self.code = self.process.returncode
        return self.code

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends by itself in that time."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def interrupt(self) -> int:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def kill(self) -> int:
        self.process.kill()
        return self.wait()
