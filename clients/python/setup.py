"""Makes the messages' code from the protos while the package is built; all else is in pyproject.toml."""

import pathlib

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent


class BuildWithProtos(build_py):
    """Adds varve/v1/*_pb2.py, and their types, to what is built."""

    def run(self):
        super().run()
        import grpc_tools
        from grpc_tools import protoc

        protos = HERE.parents[1] / "proto"
        target = pathlib.Path(self.build_lib).resolve()
        well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
        sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
        outputs = [f"--python_out={target}", f"--pyi_out={target}"]
        if protoc.main(["protoc", f"-I{protos}", f"-I{well_known}", *outputs, *sources]) != 0:
            raise RuntimeError(f"protoc failed on {sources}")
        (target / "varve/v1/__init__.py").write_text('"""The messages of Varve\'s API."""\n')


setup(cmdclass={"build_py": BuildWithProtos})
