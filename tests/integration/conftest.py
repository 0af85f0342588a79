"""Fixtures of the tests that drive a server with the command line."""

import json
import subprocess

import pytest

from testutil.varved import VARVE

WAIT_SECONDS = 60


@pytest.fixture
def varve(shared_varved):
    """Runs `varve` against the server that the tests share; it must succeed."""

    def run(*arguments, **options):
        return shared_varved.run(*map(str, arguments), timeout=WAIT_SECONDS, **options).stdout

    run.json = lambda *arguments: json.loads(run("--json", *arguments))
    return run


@pytest.fixture
def fails(shared_varved):
    """Runs `varve`, which must fail with this code and one line; returns the line."""

    def run(code, *arguments, server=shared_varved.address):
        command = [VARVE, "--server", server, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert done.returncode == code, done
        assert done.stdout == ""
        assert done.stderr.startswith("varve: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return run
