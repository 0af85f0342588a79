"""Fixtures that all Python tests share."""

import pytest

from testutil.varved import Varved


@pytest.fixture
def varved(tmp_path):
    """A fresh server with an empty data directory; stopped, and its exit code checked, at the end."""
    server = Varved(tmp_path)
    server.start()
    yield server
    assert server.stop() == 0, server.log
