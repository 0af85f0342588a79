"""The container image, run: what an operator relies on when a container runtime runs Varve.

The network is not needed: ./dev has built the image's stage "runtime", which the build finds."""

import os
import pathlib
import re
import subprocess

import numpy as np
import pytest

from deploy import container
from deploy.container import Container
from testutil.varved import ROOT

pytestmark = pytest.mark.skipif(container.why_not() is not None, reason=str(container.why_not()))

UID = 10001
ROWS = 500
MEGABYTES_MAX = 200


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    with container.image(tmp_path_factory.mktemp("image")) as image:
        yield image


@pytest.fixture
def volume(tmp_path):
    """A fresh volume, as a runtime makes one: owned as the image's own folder is."""
    path = tmp_path / "volume"
    path.mkdir(mode=0o700)
    os.chown(path, UID, UID)
    return path


@pytest.fixture
def vectors(volume):
    """The path in the container of a file with vectors."""
    path = volume / "vectors.npy"
    np.save(path, np.random.default_rng(7).standard_normal((ROWS, 16), "f4"))
    path.chmod(0o644)
    return "/var/lib/varve/vectors.npy"


def status(pid: int, field: str) -> list[str]:
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{field}:(.*)$", text, re.MULTILINE)[1].split()


def test_the_image_has_every_library_and_stays_small(image, volume):
    for program in ("varved", "varve"):
        libraries = image.run(volume, "ldd", f"/usr/local/bin/{program}")
        assert libraries.returncode == 0, libraries.stderr
        assert "not found" not in libraries.stdout, libraries.stdout
        assert image.run(volume, program, "--help").returncode == 0
    assert image.bytes / 1e6 < MEGABYTES_MAX
    version = re.search(r'kVersion = "(.*)"', (ROOT / "server/version.h").read_text())[1]
    assert image.config["Labels"]["org.opencontainers.image.version"] == version


def test_the_image_tells_the_runtime_what_it_needs(image):
    config = image.config
    assert config["User"] == f"{UID}:{UID}"
    assert list(config["Volumes"]) == ["/var/lib/varve"]
    assert sorted(config["ExposedPorts"]) == ["7780/tcp", "7781/tcp"]
    assert config["StopSignal"] == "SIGTERM"
    folder = (image.files / "var/lib/varve").stat()
    assert (folder.st_uid, folder.st_mode & 0o777) == (UID, 0o700)


def test_it_serves_unprivileged_from_a_read_only_root_and_keeps_its_data(image, volume, vectors):
    with Container(image, volume) as running:
        assert status(running.pid, "Uid") == [str(UID)] * 4
        assert status(running.pid, "Groups") == []
        assert int(status(running.pid, "CapEff")[0], 16) == 0
        assert status(running.pid, "NoNewPrivs") == ["1"]
        running.varve("namespace", "create", "n", "--dimension", "16", "--metric", "l2")
        running.varve("ingest", "n", "--input", vectors, "--wait-indexed")
        found = "/var/lib/varve/found.npy"
        running.varve("search", "n", "--queries", vectors, "--k", "1", "--output", found)
        assert list(np.load(volume / "found.npy")[:, 0]) == list(range(ROWS))
        assert running.stop() == 0
        assert '"drain ends"' in running.log
    with Container(image, volume) as again:
        assert again.varve("count", "n").strip() == str(ROWS)


def test_nothing_but_the_volume_can_be_written(image, volume):
    for folder in ("/", "/tmp", "/etc", "/usr/local/bin"):
        done = image.run(volume, "touch", f"{folder}/file")
        assert done.returncode != 0, folder
        assert "Read-only file system" in done.stderr
    assert image.run(volume, "touch", "/var/lib/varve/file").returncode == 0


def test_the_health_check_follows_the_server(image, volume):
    with Container(image, volume) as running:
        healthy = running.health()
        assert (healthy.returncode, healthy.stdout) == (0, "ready\n")
        assert running.stop() == 0
        gone = running.health()
        assert gone.returncode == 1
        assert "no answer from 127.0.0.1 port" in gone.stderr


def test_the_settings_for_kubernetes_are_read(image, volume):
    settings = volume / "varved.toml"
    settings.write_text((ROOT / "deploy/kubernetes/overlays/dev/varved.toml").read_text())
    settings.chmod(0o644)
    with Container(image, volume, "--config", "/var/lib/varve/varved.toml") as running:
        assert running.stop() == 0
    assert (volume / "data/FORMAT").exists()


def test_the_check_of_a_stopped_container_s_volume_runs_in_the_image(image, volume):
    with Container(image, volume) as running:
        running.varve("namespace", "create", "n", "--dimension", "16", "--metric", "l2")
    done = image.run(volume, "varved", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("clean: 1 namespaces")


def test_a_build_names_the_option_that_is_wrong():
    script = ROOT / "deploy/docker/build.sh"
    done = subprocess.run([script, "--no-such"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no option '--no-such'" in done.stderr
