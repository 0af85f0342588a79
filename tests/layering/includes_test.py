"""The fences between rooms (docs/architecture.md) in the sources: who may include what."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# What a room may include of ours, most particular room first. "varve/v1" is the generated protocol.
ROOMS = {
    "base": ("base",),
    "metadata": ("base", "metadata"),
    "index": ("base", "metadata", "index"),
    "storage": ("base", "storage"),
    "server/engine": ("base", "metadata", "index", "storage", "server/engine"),
    "server": ("base", "metadata", "index", "storage", "server", "varve/v1"),
    "clients": ("base", "clients", "varve/v1"),
    "demo": ("base", "clients"),
}

# Who may include a library: folders, or single files.
LIBRARIES = {
    "grpc": ("clients", "server/rpc"),
    "grpcpp": ("clients", "server/rpc"),
    "google/protobuf": ("clients", "server/rpc"),
    "hdf5": ("clients/cli/input",),
    "openssl": ("base", "server/rpc"),
    "prometheus": ("server/metrics.cc",),
    "hnswlib": (),  # the benchmarks compare with it
    "rocksdb": ("storage",),
}

# Files that may include one header across a fence.
DOORS = {"clients/cli/main.cc": "server/local_server.h"}

# What every test, wherever it is, may include besides.
TEST_HELPERS = "tests/testutil"

OURS = {room.split("/")[0] for room in ROOMS} | {"tests", "varve"}
INCLUDE = re.compile(r'^\s*#\s*include\s*["<]([^">]+)[">]', re.MULTILINE)


def inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + "/")


def violations(path: str, text: str) -> list[str]:
    """The includes in one file (its path from the root, its text) that cross a fence."""
    room = next(room for room in ROOMS if inside(path, room))
    found = []
    for included in INCLUDE.findall(text):
        allowed = True
        if included.split("/")[0] in OURS:
            helpers = (TEST_HELPERS,) if path.endswith("_test.cc") else ()
            allowed = any(inside(included, folder) for folder in ROOMS[room] + helpers)
            allowed = allowed or DOORS.get(path) == included
        for library, users in LIBRARIES.items():
            if inside(included, library):
                allowed = any(inside(path, user) for user in users)
        if not allowed:
            found.append(f"{path} includes {included}")
    return found


def test_no_file_includes_across_a_fence():
    found, files = [], 0
    for room in {room.split("/")[0] for room in ROOMS}:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in (".cc", ".h"):
                files += 1
                found += violations(path.relative_to(ROOT).as_posix(), path.read_text())
    assert files > 0
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("index/segment.cc", "<grpcpp/grpcpp.h>"),
        ("index/segment.cc", '"rocksdb/db.h"'),
        ("index/segment.cc", '"google/protobuf/message.h"'),
        ("index/segment.cc", '"varve/v1/tensor.pb.h"'),
        ("index/segment.cc", '"storage/record_store.h"'),
        ("index/graph_builder.cc", '"hnswlib/hnswlib.h"'),
        ("storage/keys.cc", '"index/options.h"'),
        ("storage/keys.cc", '"metadata/attributes.h"'),
        ("metadata/filter.cc", '"index/row_bitmap.h"'),
        ("clients/cli/main.cc", '"metadata/filter.h"'),
        ("storage/keys.cc", '"server/engine/schema.h"'),
        ("server/engine/engine.cc", "<grpcpp/grpcpp.h>"),
        ("server/engine/engine.cc", '"server/rpc/admission.h"'),
        ("server/main.cc", "<grpcpp/server.h>"),
        ("server/rpc/server.cc", "<prometheus/metric_family.h>"),
        ("server/rpc/query_service.cc", '"rocksdb/db.h"'),
        ("server/rpc/query_service.cc", '"clients/cpp/varve/client.h"'),
        ("clients/cli/main.cc", '"server/options.h"'),
        ("base/tensor.cc", '"index/options.h"'),
        ("base/tensor.cc", '"tests/testutil/vectors.h"'),
    ],
)
def test_a_forbidden_include_is_found(path, include):
    assert len(violations(path, f"#include <vector>\n#include {include}\n")) == 1


@pytest.mark.parametrize(
    ("path", "include"),
    [
        ("storage/keys.cc", '"rocksdb/db.h"'),
        ("server/engine/engine.cc", '"index/options.h"'),
        ("server/rpc/query_service.cc", "<grpcpp/grpcpp.h>"),
        ("server/rpc/query_service.cc", '"server/engine/engine.h"'),
        ("clients/cpp/varve/client.cc", '"varve/v1/tensor.pb.h"'),
        ("clients/cli/main.cc", '"server/local_server.h"'),
        ("index/segment.cc", '"absl/status/status.h"'),
        ("server/engine/namespace_test.cc", '"tests/testutil/memory_record_store.h"'),
    ],
)
def test_an_include_to_the_right_is_fine(path, include):
    assert violations(path, f"#include {include}\n") == []
