"""Keys and certificates for tests, made as they are needed: by `varved key` and the openssl command."""

import json
import pathlib
import signal
import subprocess
import time

import grpc

from testutil.varved import VARVED, Varved

WAIT_SECONDS = 60


class Keys:
    """A file of API keys, and the keys themselves by id."""

    def __init__(self, directory: pathlib.Path):
        self.path = directory / "keys.json"
        self.of: dict[str, str] = {}
        self.path.write_text('{"keys": []}')

    def add(self, name: str, scope: str, *namespaces: str, expires: str = "") -> str:
        command = [VARVED, "key", "--id", name, "--scope", scope, "--file", self.path]
        for namespace in namespaces:
            command += ["--namespace", namespace]
        if expires:
            command += ["--expires", expires]
        made = subprocess.run(command, capture_output=True, text=True, check=True)
        self.of[name] = made.stdout.strip()
        return self.of[name]

    def remove(self, name: str) -> None:
        """As an operator does by hand; the file is written in place."""
        entries = json.loads(self.path.read_text())["keys"]
        kept = [entry for entry in entries if entry["id"] != name]
        self.path.write_text(json.dumps({"keys": kept}))


class Authority:
    """Signs certificates; those of servers are for 127.0.0.1."""

    def __init__(self, directory: pathlib.Path, name: str = "authority"):
        self.directory = directory
        self.name = name
        self.certificate = directory / f"{name}.pem"
        self._key = directory / f"{name}.key"
        self._openssl(
            *["req", "-x509", "-days", "30", "-subj", f"/CN={name}", *self._new_key(self._key)],
            *["-out", self.certificate],
        )

    def sign(self, name: str, days: int = 30) -> tuple[pathlib.Path, pathlib.Path]:
        """A certificate and its key; with less than no days, one that has expired."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        request, extensions = self.directory / "request.csr", self.directory / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl("req", "-subj", f"/CN={name}", *self._new_key(key), "-out", request)
        self._openssl(
            *["x509", "-req", "-in", request, "-days", str(days), "-extfile", extensions],
            *["-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"],
            *["-out", certificate],
        )
        return certificate, key

    def credentials(self, certificate=None, key=None) -> grpc.ChannelCredentials:
        """Of a client that trusts this authority, and shows the certificate if one is given."""
        return grpc.ssl_channel_credentials(
            self.certificate.read_bytes(),
            key.read_bytes() if key else None,
            certificate.read_bytes() if certificate else None,
        )

    @staticmethod
    def _new_key(path: pathlib.Path) -> list:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path]

    @staticmethod
    def _openssl(*arguments) -> None:
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


def wait_for_log(server: Varved, offset: int, *texts: str) -> str:
    """Waits until the log, from `offset` on, has all the texts; returns that part."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not all(text in server.log[offset:] for text in texts):
        assert time.monotonic() < deadline, f"no {texts} in {server.log[offset:]}"
        time.sleep(0.02)
    return server.log[offset:]


def reload(server: Varved, *texts: str) -> str:
    """Sends SIGHUP and waits until the log has the texts; returns what was logged meanwhile."""
    offset = len(server.log)
    server.process.send_signal(signal.SIGHUP)
    return wait_for_log(server, offset, *texts)
