"""What the documents tell a reader to type is typed here, against a fresh server.

In a document a fenced block marked `sh` or `python` is run, all of one document in order and in one
folder. The server has a namespace `shop`. What is the reader's own is replaced by the test's:

- 127.0.0.1:7780 by the server's address, `$(pidof varved)` by its process id.
- A block that is one command `varved --...` starts a server with these settings, but on ports of its own
  of loopback. Further on, localhost:7780 and `$(pidof varved)` are that one's.

Where a block has `the log says "..."`, the log has to say so before the next block is run.

Other marks (`console`, `text`) are for output, and for commands that change the machine or build: a test
here knows which these are. Those of docs/kubernetes.md are run by tests/deploy/manifests.
"""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from testutil.secure import wait_for_log
from testutil.varved import ROOT, VARVE, VARVED, Varved
from testutil.vectors import random_vectors

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "deploy", "demo", "docs")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CONSOLE = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LOG_SAYS = re.compile(r'the log says "([^"]*)"')
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")

# What `console` commands begin with.
NOT_RUN = {
    "README.md": {"./dev"},
    "deploy/README.md": {"sudo"},
    "docs/testing.md": {"bazel", "$(bazel"},
}


def text_of(document: str) -> str:
    return (ROOT / document).read_text()


def make_checkout(folder: pathlib.Path, varved: Varved) -> None:
    """Makes `folder` look like a checkout in which ./dev build and set-up have been run."""
    for name in ("bazel-bin", "demo", "proto", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "varve-data").symlink_to(varved.directory / "data")


def make_shop(varved: Varved) -> None:
    vectors = varved.directory / "shop.npy"
    np.save(vectors, random_vectors(1, 300, 8))
    varved.run("namespace", "create", "shop", "--dimension", "8", "--metric", "l2")
    varved.run("ingest", "shop", "--input", str(vectors), "--wait-indexed")


class Reader:
    """Types the blocks of one document, in the folder that the test is in."""

    def __init__(self, varved: Varved, servers: contextlib.ExitStack):
        self.first = self.latest = varved
        self.servers = servers
        tools = f"{ROOT}/.tools/bin:{pathlib.Path(sys.executable).parent}"
        path = f"{VARVE.parent}:{VARVED.parent}:{tools}:{os.environ['PATH']}"
        self.environment = os.environ | {"PATH": path, "VARVE_SERVER": varved.address}

    def type(self, language: str, text: str) -> None:
        for told, meant in {
            "127.0.0.1:7780": self.first.address,
            "localhost:7780": f"localhost:{self.latest.grpc_port}",
            "$(pidof varved)": str(self.latest.process.pid),
        }.items():
            text = text.replace(told, meant)
        assert "pidof" not in text, f"would find servers of others:\n{text}"
        if text.startswith("varved --"):
            return self.start(text)
        logged = len(self.latest.log)
        self.run(["bash", "-euo", "pipefail"] if language == "sh" else [sys.executable], text)
        wait_for_log(self.latest, logged, *LOG_SAYS.findall(text))

    def start(self, text: str) -> None:
        directory = pathlib.Path(tempfile.mkdtemp(dir=pathlib.Path.cwd()))
        config = directory / "varved.toml"
        config.write_text(self.run(["bash"], f"{text.rstrip()} --print-config"))
        flags = ("--config", str(config), "--http-address", "127.0.0.1")
        self.latest = self.servers.enter_context(Varved(directory, *flags))

    def run(self, command: list[str], text: str) -> str:
        done = subprocess.run(
            command, input=text, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if BLOCK.search(text_of(d))])
def test_the_commands_in_a_document_work(document, varved, tmp_path, monkeypatch):
    make_shop(varved)
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    make_checkout(checkout, varved)
    monkeypatch.chdir(checkout)
    with contextlib.ExitStack() as servers:
        reader = Reader(varved, servers)
        for language, text in BLOCK.findall(text_of(document)):
            reader.type(language, text)


def test_only_commands_that_change_the_machine_or_build_are_not_run():
    found = {}
    for document in set(DOCUMENTS) - {"docs/kubernetes.md"}:
        for line in "".join(CONSOLE.findall(text_of(document))).splitlines():
            found.setdefault(document, set()).add(line.split()[0])
    assert found == NOT_RUN


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document):
    folder = (ROOT / document).parent
    links = [link for link in LINK.findall(text_of(document)) if "://" not in link]
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_flag_of_the_server_is_documented():
    flags = set()
    for name in ("", "adopt", "check", "health", "key"):
        command = [VARVED, name] if name else [VARVED]
        result = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        flags |= set(re.findall(r"--[a-z][a-z-]+", result.stdout)) - {"--help", "--version"}
    documented = set(re.findall(r"`(--[a-z-]+)`", text_of("docs/operations.md")))
    assert flags == documented
