"""Adds up what every suite of ./dev test said, in one table.

    summarize.py SUITE:EXIT_CODE:SECONDS[:RESULTS] ...

RESULTS is what the suite's runner wrote: JUnit XML (pytest) or, with a name that ends in .json,
Bazel's build event protocol, which names the test.xml of every target that ran. A suite without
RESULTS is one test, passed if its exit code is 0. A suite in which nothing ran has failed.
Exits 1 when anything failed or nothing passed.
"""

import dataclasses
import json
import pathlib
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)

    def fail(self, name: str) -> None:
        self.failed += 1
        self.failures.append(name)

    def add(self, other: "Count") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures


def count_junit(path: pathlib.Path) -> Count:
    """Counts the cases of one JUnit file, as pytest, GoogleTest and Bazel write it."""
    count = Count()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            count.fail(f"{case.get('classname') or ''}.{case.get('name')}".strip("."))
        elif case.find("skipped") is not None or case.get("result") in ("skipped", "suppressed"):
            count.skipped += 1
        else:
            count.passed += 1
    return count


def count_bazel_test(label: str, result: dict) -> Count:
    """Counts the cases of one test target: its test.xml, held against the target's own status."""
    xml = [f["uri"] for f in result.get("testActionOutput", []) if f["name"] == "test.xml"]
    count = Count()
    if xml:
        try:
            count = count_junit(pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(xml[0]).path)))
        except (OSError, ElementTree.ParseError):
            pass  # The target's status decides.
    status = result["status"]
    if status != "PASSED" and count.failed == 0:
        # All cases passed or none was recorded: a crash, a time-out, or a leak found at exit.
        count.fail(f"{label} ({status})")
    elif status == "PASSED" and count.passed + count.failed + count.skipped == 0:
        count.passed = 1
    return count


def count_bazel(path: pathlib.Path) -> Count:
    """Counts every case of every test target of one `bazel test`; a target not built is a failure."""
    results: dict[tuple, dict] = {}
    unbuilt: list[str] = []
    with path.open() as events:
        for line in events:
            event = json.loads(line)
            if "testResult" in event:
                id_ = event["id"]["testResult"]
                # Attempts come in order: the last one stands.
                results[id_["label"], id_.get("run"), id_.get("shard")] = event["testResult"]
            elif "targetCompleted" in event["id"] and not event.get("completed", {}).get("success"):
                unbuilt.append(event["id"]["targetCompleted"]["label"])
    count = Count()
    for (label, _, _), result in results.items():
        count.add(count_bazel_test(label, result))
    for label in unbuilt:
        count.fail(f"{label} (not built)")
    return count


def count_suite(spec: str) -> tuple[str, float, Count]:
    """Counts one SUITE:EXIT_CODE:SECONDS[:RESULTS]."""
    name, code, seconds, *results = spec.split(":", 3)
    count = Count()
    if not results and code == "0":
        count.passed = 1
    elif not results:
        count.fail(f"{name} (exit code {code})")
    else:
        path = pathlib.Path(results[0])
        try:
            count = count_bazel(path) if path.suffix == ".json" else count_junit(path)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            count.fail(f"{name}: no results ({error})")
    if count.failed == 0 and (code != "0" or count.passed == 0):
        count.fail(f"{name}: exit code {code}, {count.passed} tests passed")
    return name, float(seconds), count


def main(specs: list[str]) -> int:
    total = Count()
    print(f"{'suite':<12}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, seconds, count in map(count_suite, specs):
        print(f"{name:<12}{count.passed:>8}{count.failed:>8}{count.skipped:>9}{seconds:>9.0f}")
        total.add(count)
    for failure in total.failures:
        print(f"FAILED: {failure}")
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{skipped}")
    return 0 if total.passed > 0 and total.failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
