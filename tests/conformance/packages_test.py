"""The clients' own tests, run against what a user would install."""

import os
import re
import subprocess

from conformance.drivers import CLIENTS
from testutil.varved import VARVED


def test_the_node_package_passes_its_own_tests(shared_varved):
    tests = sorted((CLIENTS / "node/test").glob("*.test.mjs"))
    done = subprocess.run(
        ["node", "--test", *tests],
        cwd=CLIENTS / "node",
        env={**os.environ, "VARVE_ADDRESS": shared_varved.address, "VARVED": str(VARVED)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert int(re.search(r"^\S* ?pass (\d+)$", done.stdout, re.MULTILINE)[1]) > 50


def test_the_go_and_java_examples_run(shared_varved):
    for command in (
        [CLIENTS / "go/example"],
        ["java", "-jar", CLIENTS / "java/example.jar"],
    ):
        done = subprocess.run(
            [*command, shared_varved.address], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout
