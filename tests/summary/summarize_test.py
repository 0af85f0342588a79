"""Tests of the table at the end of ./dev test: nothing that failed may be missing from it."""

import json
import pathlib

import summarize


def write_junit(path: pathlib.Path, *cases: str) -> pathlib.Path:
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


PASSING = '<testcase classname="A" name="passes"/>'
FAILING = '<testcase classname="A" name="fails"><failure message="1 != 2"/></testcase>'
BROKEN = '<testcase classname="A" name="breaks"><error message="no fixture"/></testcase>'
SKIPPED = '<testcase classname="A" name="waits"><skipped/></testcase>'


def test_result(label: str, status: str, xml: pathlib.Path | None, attempt: int = 1) -> dict:
    files = [{"name": "test.xml", "uri": xml.as_uri()}] if xml else []
    return {
        "id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": attempt}},
        "testResult": {"status": status, "testActionOutput": files},
    }


test_result.__test__ = False  # a helper, whatever its name says


def write_events(path: pathlib.Path, *events: dict) -> pathlib.Path:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


def test_junit_cases_are_counted_one_by_one(tmp_path):
    count = summarize.count_junit(
        write_junit(tmp_path / "a.xml", PASSING, PASSING, FAILING, BROKEN, SKIPPED)
    )
    assert (count.passed, count.failed, count.skipped) == (2, 2, 1)
    assert count.failures == ["A.fails", "A.breaks"]


def test_bazel_counts_the_cases_of_all_targets(tmp_path):
    good = write_junit(tmp_path / "good.xml", PASSING, PASSING)
    bad = write_junit(tmp_path / "bad.xml", PASSING, FAILING)
    events = write_events(
        tmp_path / "events.json",
        {"id": {"started": {}}, "started": {}},
        test_result("//a:good", "PASSED", good),
        test_result("//a:bad", "FAILED", bad),
    )
    count = summarize.count_bazel(events)
    assert (count.passed, count.failed) == (3, 1)


def test_a_target_that_fails_after_its_cases_passed_is_a_failure(tmp_path):
    leaky = write_junit(tmp_path / "leaky.xml", PASSING)
    events = write_events(tmp_path / "e.json", test_result("//a:leaky", "FAILED", leaky))
    count = summarize.count_bazel(events)
    assert (count.passed, count.failed) == (1, 1)
    assert count.failures == ["//a:leaky (FAILED)"]


def test_a_target_without_xml_counts_as_its_status_says(tmp_path):
    events = write_events(
        tmp_path / "e.json",
        test_result("//a:script", "PASSED", None),
        test_result("//a:slow", "TIMEOUT", None),
    )
    count = summarize.count_bazel(events)
    assert (count.passed, count.failed) == (1, 1)


def test_a_target_that_does_not_build_is_a_failure(tmp_path):
    events = write_events(
        tmp_path / "e.json",
        {"id": {"targetCompleted": {"label": "//a:broken"}}, "aborted": {"reason": "INCOMPLETE"}},
        {"id": {"targetCompleted": {"label": "//a:built"}}, "completed": {"success": True}},
    )
    count = summarize.count_bazel(events)
    assert count.failures == ["//a:broken (not built)"]


def test_the_last_attempt_of_a_flaky_target_stands(tmp_path):
    bad = write_junit(tmp_path / "bad.xml", FAILING)
    good = write_junit(tmp_path / "good.xml", PASSING)
    events = write_events(
        tmp_path / "e.json",
        test_result("//a:flaky", "FAILED", bad, attempt=1),
        test_result("//a:flaky", "PASSED", good, attempt=2),
    )
    count = summarize.count_bazel(events)
    assert (count.passed, count.failed) == (1, 0)


def test_an_exit_code_that_no_case_explains_is_a_failure(tmp_path):
    xml = write_junit(tmp_path / "a.xml", PASSING)
    count = summarize.count_suite(f"python:3:1.5:{xml}")[2]
    assert count.failures == ["python: exit code 3, 1 tests passed"]


def test_a_suite_that_runs_nothing_has_failed(tmp_path):
    events = write_events(tmp_path / "e.json", {"id": {"started": {}}, "started": {}})
    assert summarize.count_suite(f"unit:0:1.5:{events}")[2].failed == 1


def test_missing_results_are_one_failure(tmp_path):
    count = summarize.count_suite(f"python:1:1.5:{tmp_path / 'none.xml'}")[2]
    assert (count.passed, count.failed) == (0, 1)


def test_the_last_line_adds_up_all_suites(tmp_path, capsys):
    xml = write_junit(tmp_path / "a.xml", PASSING, PASSING)
    assert summarize.main(["format:0:0.1", f"python:0:2:{xml}"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "3 passed, 0 failed"
    assert summarize.main(["format:1:0.1", f"python:0:2:{xml}"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed"


def test_nothing_run_is_not_a_success(capsys):
    assert summarize.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 passed, 0 failed"
