"""A run as JUnit XML, as CI services show test results: one test case for each task."""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from junitparser.junitparser import FinalResult

from dockersched.report.log_tail import log_tail
from dockersched.report.text import for_xml, one_line, printable
from dockersched.report.wording import advice, reason_sentence
from dockersched.results import EpicResult, TaskResult
from dockersched.states import Reason, TaskState

_TAIL_LINES = 100
_MESSAGE_MAX = 1_000
_OF_THE_TASK = (Reason.EXIT_CODE, Reason.TIMED_OUT, Reason.OOM_KILLED, Reason.KILLED)
"""What the task itself brought about is a failure; what kept it from running as it should is an error."""


def junit_xml(result: EpicResult) -> bytes:
    """The document; reads the ends of the logs of tasks that failed.

    Args:
        result: of the run.
    """
    suite = TestSuite(_text(result.epic_id))
    suite.timestamp = result.started_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    suite.add_property("run", _text(result.run_id))
    suite.add_property("state", str(result.state))
    suite.add_testcases([_case(result.epic_id, task) for task in result.tasks.values()])
    suite.time = round(max(0.0, (result.finished_at - result.started_at).total_seconds()), 3)
    document = JUnitXml(_text(result.epic_id))
    document.add_testsuite(suite)
    document.tests, document.failures = suite.tests, suite.failures
    document.errors, document.skipped, document.time = suite.errors, suite.skipped, suite.time
    written = io.BytesIO()
    document.write(written)
    return written.getvalue()


def _case(epic_id: str, task: TaskResult) -> TestCase:
    case = TestCase(_text(task.task_id), _text(epic_id), round(max(0.0, task.duration_s or 0.0), 3))
    if not task.succeeded:
        case.result = _outcome(task)
    return case


def _outcome(task: TaskResult) -> FinalResult:
    message = _text(f"{reason_sentence(task)}{f': {task.detail}' if task.detail else ''}")
    kind = str(task.reason)
    if task.failure_allowed:  # nothing in JUnit XML says that a failure does not count
        return Skipped(f"failed, as it is allowed to: {message}", kind)
    if task.state is TaskState.FAILED:
        failed = (Failure if task.reason in _OF_THE_TASK else Error)(message, kind)
        failed.text = _lines(_explanation(task))
        return failed
    if task.attempts and task.reason is Reason.EPIC_TIMED_OUT:
        return Error(message, kind)
    return Skipped(message, kind)


def _explanation(task: TaskResult) -> Iterable[str]:
    yield advice(task)
    log = task.sandbox.log if task.sandbox else None
    if log is not None:
        yield f"log: {log.path}"
        yield from log_tail(log.path, _TAIL_LINES)


def _text(text: str) -> str:
    return for_xml(one_line(text, _MESSAGE_MAX))


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(for_xml(printable(line)) for line in lines)
