"""A run as JUnit XML."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from dockersched.report.files import check_writable
from dockersched.report.junit import junit_xml
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def ended(
    task_id: str, reason: Reason | None = None, code: int | None = 0, *, detail: str = "", log: Path | None = None
) -> TaskResult:
    sandbox = SandboxResult(
        f"e.{task_id}",
        code,
        reason,
        started_at=START,
        finished_at=START + timedelta(seconds=1.5),
        log=LogSummary(str(log), 1) if log else None,
    )
    state = TaskState.SUCCEEDED if sandbox.succeeded else TaskState.FAILED
    return TaskResult(task_id, state, sandbox.reason, detail, attempts=1, sandbox=sandbox)


def suite_of(*tasks: TaskResult, epic_id: str = "quick") -> ET.Element:
    by_id = {task.task_id: task for task in tasks}
    result = EpicResult(epic_id, "run-1", EpicState.FAILED, by_id, START, START + timedelta(seconds=3.25))
    document = ET.fromstring(junit_xml(result))  # noqa: S314 - our own document
    assert document.tag == "testsuites"
    (suite,) = document
    assert {key: document.attrib[key] for key in ("tests", "failures", "errors", "skipped", "time")} == {
        key: suite.attrib[key] for key in ("tests", "failures", "errors", "skipped", "time")
    }
    return suite


def outcomes(suite: ET.Element) -> Mapping[str, str]:
    return {case.attrib["name"]: case[0].tag if len(case) else "passed" for case in suite.iter("testcase")}


def test_every_task_is_a_test_case() -> None:
    never = TaskResult("d", TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "'b' failed", "b")
    cancelled = TaskResult("e", TaskState.CANCELLED, Reason.FAIL_FAST, "'b' failed", attempts=1)
    late = TaskResult("f", TaskState.CANCELLED, Reason.EPIC_TIMED_OUT, attempts=1)
    waiting = TaskResult("g", TaskState.CANCELLED, Reason.EPIC_TIMED_OUT)

    suite = suite_of(ended("a"), ended("b", code=3), ended("c", Reason.REJECTED, None), never, cancelled, late, waiting)

    assert outcomes(suite) == {
        "a": "passed",
        "b": "failure",
        "c": "error",
        "d": "skipped",
        "e": "skipped",
        "f": "error",
        "g": "skipped",
    }
    assert suite.attrib == {
        "name": "quick",
        "timestamp": "2026-01-31T12:00:00",
        "tests": "7",
        "failures": "1",
        "errors": "2",
        "skipped": "3",
        "time": "3.25",
    }
    assert suite[0].tag == "properties"
    assert suite[1].attrib == {"name": "a", "classname": "quick", "time": "1.5"}


def test_a_task_cancelled_for_an_image_of_another_is_not_said_to_lack_its_own() -> None:
    cancelled = TaskResult("fine", TaskState.CANCELLED, Reason.IMAGE_UNAVAILABLE, "nothing was started")
    (case,) = suite_of(cancelled).iter("testcase")

    assert case[0].attrib["message"] == "never started: an image of another task is not available: nothing was started"


@pytest.mark.parametrize("reason", Reason)
def test_every_failure_has_its_kind(reason: Reason) -> None:
    of_the_task = {Reason.EXIT_CODE, Reason.TIMED_OUT, Reason.OOM_KILLED, Reason.KILLED}
    (found,) = suite_of(ended("a", reason, 1)).iter("testcase")

    assert found[0].tag == ("failure" if reason in of_the_task else "error")
    assert found[0].attrib["type"] == reason


def test_a_failure_is_explained_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "b.log"
    log.write_bytes(b"early\n" * 200 + b"]]> \x00\x1b[31m<b>&amp;\xff\xef\xbf\xbf\nlast\n")

    (case,) = suite_of(ended("b", code=3, detail="a & b", log=log)).iter("testcase")

    assert case[0].attrib["message"] == "ended with exit code 3: a & b"
    lines = (case[0].text or "").splitlines()
    assert lines[1] == f"log: {log}"
    assert lines[-2:] == ["]]> \\x00\\x1b[31m<b>&amp;\ufffd\\uffff", "last"]
    assert len(lines) == 102


@given(text=st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"]), min_size=1))
def test_any_text_makes_a_document_that_can_be_read(text: str) -> None:
    suite = suite_of(ended(text, Reason.REJECTED, None, detail=text), epic_id=text)

    assert suite.attrib["tests"] == "1"


def test_where_a_file_cannot_be_written_is_found_out_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "there.xml").write_text("old")
    check_writable(tmp_path / "there.xml")
    check_writable(tmp_path / "new.xml")

    for path in (tmp_path, tmp_path / "no" / "new.xml", tmp_path / "there.xml" / "new.xml", Path("/dev/null")):
        with pytest.raises(OSError, match=r".+"):
            check_writable(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["there.xml"]
    assert (tmp_path / "there.xml").read_text() == "old"


def test_a_failure_that_is_allowed_does_not_count() -> None:
    (case,) = suite_of(replace(ended("audit", Reason.EXIT_CODE, 3), failure_allowed=True)).iter("testcase")

    (skipped,) = case
    assert skipped.tag == "skipped"
    assert skipped.attrib["message"] == "failed, as it is allowed to: ended with exit code 3"


def test_a_clock_that_was_set_back_makes_no_time_negative() -> None:
    result = EpicResult("e", "r", EpicState.SUCCEEDED, {"a": ended("a")}, START, START - timedelta(hours=1))

    (suite,) = ET.fromstring(junit_xml(result))  # noqa: S314 - our own document

    assert suite.attrib["time"] == "0.0"
