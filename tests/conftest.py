"""Options and fixtures that all Python tests share."""

import itertools
import pathlib

import pytest

from testutil.api import Api
from testutil.varved import Varved

_LOG_LINES_SHOWN = 40
_numbers = itertools.count(1)


def pytest_addoption(parser):
    group = parser.getgroup("varve")
    group.addoption(
        "--data",
        action="append",
        default=[],
        type=lambda path: pathlib.Path(path).resolve(),
        metavar="DIR",
        help="test recall on this folder too (base.npy, queries.npy, neighbors.npy, set.json); "
        "can be given several times",
    )
    group.addoption(
        "--kills",
        type=int,
        default=6,
        metavar="N",
        help="kill -9 the server, and the client, N times",
    )
    group.addoption("--seed", type=int, default=1, metavar="N", help="seed of the crash tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Shows the end of the servers' logs with the failures of a test."""
    report = yield
    if report.failed:
        for server in Varved.alive:
            lines = server.log.splitlines()[-_LOG_LINES_SHOWN:]
            report.sections.append((f"log of {server.directory}", "\n".join(lines)))
    return report


@pytest.fixture
def varved(tmp_path):
    """A fresh server over an empty directory; stopped, and its exit code checked, at the end."""
    server = Varved(tmp_path)
    server.start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def shared_varved(tmp_path_factory):
    """One server for all tests of a file; each uses a namespace of its own."""
    server = Varved(tmp_path_factory.mktemp("varved"))
    server.start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def api(shared_varved):
    """The services of the server that the tests of a file share."""
    with Api(shared_varved.address) as api:
        yield api


@pytest.fixture
def ns():
    """The name of a namespace that no other test uses."""
    return f"test-{next(_numbers)}"
