"""What the documents tell a reader to type is typed here, against a fresh server.

In a document a fenced block marked `sh` or `python` is run, all of one document in order and in one
folder; other marks (`console`, `text`) are for commands that need a person, or for output.
"""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from testutil.varved import ROOT, VARVE, VARVED

DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for folder in (".", "deploy", "demo", "docs")
    for path in (ROOT / folder).glob("*.md" if folder == "." else "**/*.md")
)
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
DEFAULT_ADDRESS = "127.0.0.1:7780"


def blocks(document: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / document).read_text())


def make_checkout(folder: pathlib.Path) -> None:
    """Makes `folder` look like a checkout in which ./dev build and set-up have been run."""
    for name in ("bazel-bin", "demo", "proto", ".tools"):
        (folder / name).symlink_to(ROOT / name)


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if blocks(d)])
def test_the_commands_in_a_document_work(document, varved, tmp_path):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    make_checkout(checkout)
    path = f"{VARVE.parent}:{ROOT}/.tools/bin:{pathlib.Path(sys.executable).parent}"
    environment = os.environ | {
        "PATH": f"{path}:{os.environ['PATH']}",
        "VARVE_SERVER": varved.address,
    }
    for language, text in blocks(document):
        text = text.replace(DEFAULT_ADDRESS, varved.address)
        command = ["bash", "-euo", "pipefail"] if language == "sh" else [sys.executable]
        run = subprocess.run(
            command, input=text, env=environment, cwd=checkout, capture_output=True, text=True
        )
        assert run.returncode == 0, f"{document}:\n{text}\n{run.stdout}\n{run.stderr}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document):
    folder = (ROOT / document).parent
    links = [link for link in LINK.findall((ROOT / document).read_text()) if "://" not in link]
    assert [link for link in links if not (folder / link).exists()] == []


def test_every_flag_of_the_server_is_documented():
    flags = set()
    for name in ("", "adopt", "check", "health", "key"):
        command = [VARVED, name] if name else [VARVED]
        result = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        flags |= set(re.findall(r"--[a-z][a-z-]+", result.stdout)) - {"--help", "--version"}
    documented = set(re.findall(r"`(--[a-z-]+)`", (ROOT / "docs/operations.md").read_text()))
    assert flags == documented
