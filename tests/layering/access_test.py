"""The wire comes to namespaces in one way, on which keys are looked at."""

import pathlib
import re

RPC = pathlib.Path(__file__).resolve().parents[2] / "server/rpc"
DOOR = "service_context.cc"
BY_NAME = re.compile(r"engine->(Find|List|Create|Delete)Namespaces?\(")


def users(folder: pathlib.Path) -> set[str]:
    """Files that ask the engine itself for namespaces by name; tests may."""
    sources = [path for path in folder.rglob("*.cc") if not path.name.endswith("_test.cc")]
    return {path.name for path in sources if BY_NAME.search(path.read_text())}


def test_only_the_service_context_asks_the_engine_for_namespaces():
    assert users(RPC) == {DOOR}
