"""Package varve.v1, every message, value and stub of it, generated from proto/ by protoc.

Generated into a temporary folder when first imported, so that it always fits the protos at hand.
"""

import atexit
import importlib
import pathlib
import shutil
import sys
import tempfile

import grpc_tools
from grpc_tools import protoc

_PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto"
_WELL_KNOWN = pathlib.Path(grpc_tools.__file__).parent / "_proto"


def _generate() -> list[str]:
    """Runs protoc and returns the names of the modules it made."""
    target = tempfile.mkdtemp(prefix="varve-stubs-")
    atexit.register(shutil.rmtree, target, ignore_errors=True)
    sources = sorted(str(path.relative_to(_PROTO)) for path in _PROTO.rglob("*.proto"))
    outputs = [f"--python_out={target}", f"--grpc_python_out={target}"]
    if protoc.main(["protoc", f"-I{_PROTO}", f"-I{_WELL_KNOWN}", *outputs, *sources]) != 0:
        raise RuntimeError(f"protoc failed on {sources}")
    sys.path.insert(0, target)
    files = sorted(pathlib.Path(target).rglob("*.py"))
    return [".".join(path.relative_to(target).with_suffix("").parts) for path in files]


for _name in _generate():
    _module = vars(importlib.import_module(_name))
    globals().update({k: v for k, v in _module.items() if not k.startswith("_")})
