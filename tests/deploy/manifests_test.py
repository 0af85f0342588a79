"""The manifests for Kubernetes, each test of tests/deploy/manifests as one here. Those are Go, for Helm,
kustomize and the API's types are; ./dev builds them into one program."""

import os
import subprocess

import pytest

from testutil.varved import ROOT, VARVED

PROGRAM = ROOT / ".tools/bin/manifests.test"
SECONDS = 300


def run(*flags: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [PROGRAM, *flags],
        cwd=ROOT / "tests/deploy/manifests",
        env=os.environ | {"VARVED": str(VARVED)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
    )


def pytest_generate_tests(metafunc):
    if "name" not in metafunc.fixturenames:
        return
    names = run("-test.list", ".").stdout.split() if PROGRAM.exists() else ["./dev test deploy"]
    metafunc.parametrize("name", names)


def test_the_manifests(name):
    assert PROGRAM.exists(), f"there is no {PROGRAM}: {name} builds it"
    result = run("-test.run", f"^{name}$")
    assert result.returncode == 0, result.stdout
    assert "no tests to run" not in result.stdout
