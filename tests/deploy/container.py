"""Builds the container image and runs it as a container runtime would, with nothing but Linux: its own
mounts and processes, a read-only root, no capabilities. For tests; needs root."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess

from testutil.varved import ROOT, START_SECONDS, STOP_SECONDS, VARVE, VARVED

STORAGE = ROOT / ".tools/containers"
BASE = "localhost/debian:12-slim"
BUILD_SECONDS = 600


def why_not() -> str | None:
    """Why this machine cannot run containers; None: it can."""
    if os.geteuid() != 0:
        return "building an image and changing its root need root"
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"]).returncode != 0:
        return "this machine allows no mount and process namespaces (unshare failed)"
    return None


def buildah(*arguments) -> str:
    command = ["buildah", "--root", STORAGE / "root", "--runroot", STORAGE / "run"]
    command += ["--storage-driver", "vfs", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


@contextlib.contextmanager
def image(folder: pathlib.Path):
    """The image of these binaries, with its files mounted; both are gone afterwards."""
    tag = f"localhost/varve-test-{os.getpid()}"
    binaries = folder / "binaries"
    binaries.mkdir()
    for binary in (VARVED, VARVE):
        (binaries / binary.name).write_bytes(binary.read_bytes())
        (binaries / binary.name).chmod(0o755)
    build = [ROOT / "deploy/docker/build.sh", "--storage", STORAGE, "--base", BASE]
    build += ["--binaries", binaries, "--tag", tag]
    done = subprocess.run(
        build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=BUILD_SECONDS
    )
    assert done.returncode == 0, done.stdout
    container = buildah("from", tag)
    try:
        yield Image(tag, pathlib.Path(buildah("mount", container)))
    finally:
        buildah("rm", container)
        buildah("rmi", tag)


class Image:
    """`config` is what the image tells a runtime; `files` is its root."""

    def __init__(self, tag: str, files: pathlib.Path):
        described = json.loads(buildah("inspect", "--type", "image", tag))
        self.config = described["Docker"]["config"]
        self.bytes = sum(
            path.lstat().st_size for path in files.rglob("*") if path.is_file() or path.is_symlink()
        )
        self.files = files

    def command(self, volume: pathlib.Path, *arguments: str) -> list:
        """A command line that runs `arguments` as process 1 of a container with this volume."""
        (mount_point,) = self.config["Volumes"]
        script = """
            set -eu
            mount --bind "$1" "$1"
            mount -o remount,bind,ro "$1"
            mount --bind "$2" "$1$3"
            mount -t proc proc "$1/proc"
            mount --bind /sys "$1/sys"
            root=$1 user=$4
            shift 4
            exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
        """
        return [
            *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private"),
            *("sh", "-c", script, "sh", self.files, volume, mount_point, self.config["User"]),
            *arguments,
        ]

    def environment(self, **settings: str) -> dict:
        return dict(entry.split("=", 1) for entry in self.config["Env"]) | settings

    def run(self, volume: pathlib.Path, *arguments: str, **settings: str):
        """Runs one command to its end in a container of its own."""
        return subprocess.run(
            self.command(volume, *arguments),
            env=self.environment(**settings),
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
        )


class Container:
    """A running server, with these arguments; a context manager, which stops it."""

    def __init__(self, image: Image, volume: pathlib.Path, *arguments: str):
        # Loopback, for this machine's network is the container's; any free ports.
        listen = ("--address", "127.0.0.1", "--port", "0", "--http-port", "0")
        self.image = image
        self.volume = volume
        self._runtime = subprocess.Popen(
            image.command(volume, *image.config["Entrypoint"], *listen, *arguments),
            env=image.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = ""
        answered, _, _ = select.select([self._runtime.stdout], [], [], START_SECONDS)
        ready = self._runtime.stdout.readline() if answered else ""
        if not ready:
            self._runtime.kill()
            _, self.log = self._runtime.communicate(timeout=STOP_SECONDS)
            raise RuntimeError(f"the container ended, or hangs, while starting:\n{self.log}")
        ports = [word.rstrip(",").rsplit(":", 1)[1] for word in ready.split() if ":" in word[:-1]]
        self.grpc_port, self.http_port = ports

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_) -> None:
        if self._runtime.returncode is None:
            self.stop()

    @property
    def pid(self) -> int:
        """The server's, as this machine counts."""
        runtime = self._runtime.pid
        return int(pathlib.Path(f"/proc/{runtime}/task/{runtime}/children").read_text())

    def stop(self) -> int:
        """SIGTERM to process 1, as runtimes do; returns its exit code. What it logged is in `log`."""
        os.kill(self.pid, signal.SIGTERM)
        try:
            _, self.log = self._runtime.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._runtime.kill()  # and with it the server
            raise
        return self._runtime.returncode

    def varve(self, *arguments: str) -> str:
        """What the image's own command line prints, in a container of its own."""
        server = f"127.0.0.1:{self.grpc_port}"
        done = self.image.run(self.volume, "varve", "--server", server, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def health(self):
        """Runs the image's health check as it stands, in the container's settings."""
        kind, *command = self.image.config["Healthcheck"]["Test"]
        assert kind == "CMD", "a shell would be needed"
        settings = {"VARVE_ADDRESS": "127.0.0.1", "VARVE_HTTP_PORT": self.http_port}
        return self.image.run(self.volume, *command, **settings)
