"""Starts and stops a real varved: what the Python tests and the demo share."""

import json
import os
import pathlib
import select
import signal
import subprocess
import time
import weakref

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("VARVE_BIN", ROOT / "bazel-bin"))
VARVED = BIN / "server/varved"
VARVE = BIN / "clients/cli/varve"

# Bounds on waiting, generous because machines may be busy. Nobody waits for their whole length.
START_SECONDS = 60
STOP_SECONDS = 60


class Varved:
    """One server process on ports of its own choice, over `directory`.

    Its data is in directory/data, its log in directory/varved.log. Started again, it is
    a restart on the ports it had. A context manager: leaving it stops the server.
    """

    alive: weakref.WeakSet["Varved"] = weakref.WeakSet()  # all that somebody still holds

    def __init__(self, directory: pathlib.Path, *flags: str, host: str = "127.0.0.1"):
        self.directory = pathlib.Path(directory)
        self.flags = flags
        self.host = host
        self.process: subprocess.Popen | None = None
        self.grpc_port = 0
        self.http_port = 0
        Varved.alive.add(self)

    def __enter__(self) -> "Varved":
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.grpc_port}"

    @property
    def log(self) -> str:
        path = self.directory / "varved.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Returns when the server is ready to serve; raises when it ends or hangs instead."""
        self.launch()
        ports = self._wait_for_ports()
        self.grpc_port, self.http_port = ports["grpc"], ports["http"]

    def launch(self) -> None:
        """Begins to start; for those who end it before it is ready."""
        self._port_file.unlink(missing_ok=True)
        with (self.directory / "varved.log").open("ab") as log:
            self.process = subprocess.Popen(
                [VARVED, "--data-dir", self.directory / "data", "--port-file", self._port_file]
                + ["--address", self.host, "--port", str(self.grpc_port)]
                + ["--http-port", str(self.http_port), *self.flags],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self) -> int:
        """Asks the server to end (SIGTERM) and returns its exit code; 0 when none runs."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """Ends the server on the spot (SIGKILL), as a crash would."""
        return self._end(signal.SIGKILL)

    def run(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """Runs `varve` with these arguments against this server; options are subprocess.run's."""
        options = {"capture_output": True, "text": True, "check": True} | options
        return subprocess.run([VARVE, "--server", self.address, *arguments], **options)

    def json(self, *arguments: str) -> dict:
        """What `varve --json` prints for these arguments."""
        return json.loads(self.run("--json", *arguments).stdout)

    def memory_bytes(self, kind: str = "RssAnon") -> int:
        """VmRSS: all that is resident. RssAnon: without the pages of files, which may be dropped."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith(kind)]
        return int(line.split()[1]) * 1024

    def _end(self, how: signal.Signals) -> int:
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            return process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise

    @property
    def _port_file(self) -> pathlib.Path:
        return self.directory / "ports.json"

    def _wait_for_ports(self) -> dict:
        # The server ending is an event on its pidfd; the file appearing is looked for in between.
        pidfd = os.pidfd_open(self.process.pid)
        try:
            deadline = time.monotonic() + START_SECONDS
            while not self._port_file.exists():
                if select.select([pidfd], [], [], 0.02)[0]:
                    code, self.process = self.process.wait(), None
                    raise RuntimeError(f"varved ended with {code} while starting:\n{self.log}")
                if time.monotonic() > deadline:
                    self.kill()
                    raise TimeoutError(f"varved was not ready in {START_SECONDS} s:\n{self.log}")
        finally:
            os.close(pidfd)
        return json.loads(self._port_file.read_text())
