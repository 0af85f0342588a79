"""Makes a data directory for compat_test.py with the varved of VARVE_BIN: run once before a format changes.

    VARVE_BIN=bazel-bin python tests/compat/make_data.py tests/compat/data/v2.tar.gz
"""

import pathlib
import sys
import tarfile
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from compat.content import DELETED, FIRST, REPLACED, SECOND, create, write  # noqa: E402
from testutil.api import Api  # noqa: E402
from testutil.varved import Varved  # noqa: E402


def of_the_data(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Not what is about the machine: logs, locks, and RocksDB's note of its options."""
    name = pathlib.Path(member.name).name
    if name.startswith(("LOG", "LOCK", "OPTIONS")):
        return None
    member.uname = member.gname = ""
    return member


def main(output: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Varved(pathlib.Path(folder)) as server:
            with Api(server.address) as api:
                create(api)
                write(api, FIRST)
                server.run("flush", "compat")
                write(api, SECOND)  # stays unsealed
                write(api, REPLACED, generation=1)
                api.delete("compat", list(DELETED))
        with tarfile.open(output, "w:gz") as archive:
            archive.add(pathlib.Path(folder) / "data", "data", filter=of_the_data)


if __name__ == "__main__":
    main(sys.argv[1])
