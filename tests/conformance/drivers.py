"""Starts the clients' drivers; ./dev has built them, from the packages that users install."""

import json
import os
import pathlib
import subprocess

from testutil.varved import BIN, ROOT

CLIENTS = pathlib.Path(os.environ.get("VARVE_CLIENTS", ROOT / ".tools/clients"))
DRIVERS = {
    "python": [CLIENTS / "python/bin/python", ROOT / "clients/python/conformance/driver.py"],
    "node": ["node", CLIENTS / "node/conformance/driver.mjs"],
    "cpp": [BIN / "clients/cpp/conformance/driver"],
    "go": [CLIENTS / "go/driver"],
    "java": ["java", "-jar", CLIENTS / "java/driver.jar"],
}
# Generated stubs with a writer: what they must do.
SMALL_CLIENTS = {"go", "java"}
SMALL_OPERATIONS = {
    "connect",
    "create_namespace",
    "delete_namespace",
    "ingest",
    "ingest_many",
    "search",
    "search_batch",
    "count",
}


class Driver:
    """A driver's process. Not for several threads at once. A context manager: leaving it ends the process."""

    def __init__(self, name: str):
        self.name = name
        self._process = subprocess.Popen(
            DRIVERS[name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def __enter__(self) -> "Driver":
        return self

    def __exit__(self, *_) -> None:
        self._process.stdin.close()
        assert self._process.wait(60) == 0, f"the {self.name} driver ended with an error"
        self._process.stdout.close()

    def ask(self, request: dict) -> dict:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the {self.name} driver ended at {request['op']}"
        return json.loads(line)

    def ok(self, op: str, **request) -> dict:
        found = self.ask({"op": op, **request})
        assert "ok" in found, found
        return found["ok"]

    def error(self, op: str, **request) -> dict:
        found = self.ask({"op": op, **request})
        assert "error" in found, found
        return found["error"]
