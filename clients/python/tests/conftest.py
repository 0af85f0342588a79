"""Fixtures of the Python client's tests, which run the installed package against a real server."""

import itertools
import pathlib
import sys

import pytest

import varve

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "tests"))

from testutil.varved import Varved  # noqa: E402

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One server for all tests; each uses a namespace of its own."""
    with Varved(tmp_path_factory.mktemp("varved")) as started:
        yield started


@pytest.fixture(scope="session")
def client(server):
    with varve.Client(server.address) as connected:
        yield connected


@pytest.fixture
def space():
    """The name of a namespace that no other test uses."""
    return f"test-{next(_numbers)}"
