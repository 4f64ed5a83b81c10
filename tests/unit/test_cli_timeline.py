"""Runs in time, from what is on record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dockersched.cli import main
from dockersched.inspection.runs import find_run
from dockersched.inspection.spans import AttemptSpan, read_spans
from dockersched.model import ScheduledTask
from dockersched.report.timeline import timeline_html, timeline_svg
from dockersched.results import SandboxResult
from dockersched.states import Reason
from dockersched.store.reader import StateReader
from tests.support.recorded_runs import AT, RecordedRun

SVG = "{http://www.w3.org/2000/svg}"
TASKS = [
    ScheduledTask("a", [], "x"),
    ScheduledTask("b", [], "x"),
    ScheduledTask("c", ["a", "b"], "x"),
    ScheduledTask("old", [], "x"),
]


@pytest.fixture
def run(tmp_path: Path) -> RecordedRun:
    """`a` and `b` run side by side, `b` for longer, then `c`, which fails; `old` was taken over."""
    run = RecordedRun(tmp_path, "r", TASKS)
    for task_id in ("a", "b", "c", "old"):
        run.start(task_id)
    now = datetime.now(UTC)
    for task_id, start_s, end_s in (("a", 1, 2), ("b", 1, 5), ("c", 6, 9)):
        run.come_back(
            task_id,
            SandboxResult(
                "s",
                1 if task_id == "c" else 0,
                started_at=now + timedelta(seconds=start_s),
                finished_at=now + timedelta(seconds=end_s),
            ),
        )
    run.come_back("old", SandboxResult("s", 0, started_at=AT, finished_at=AT))
    return run


def spans_of(tmp_path: Path) -> dict[str, AttemptSpan]:
    reader = StateReader(tmp_path)
    return {span.task_id: span for span in read_spans(reader, find_run(reader, "last"), datetime.now(UTC))}


@pytest.mark.usefixtures("run")
def test_spans_have_slots_outcomes_and_the_critical_path(tmp_path: Path) -> None:
    spans = spans_of(tmp_path)
    assert {task: span.outcome for task, span in spans.items()} == {
        "a": "succeeded",
        "b": "succeeded",
        "c": "exit_code",
    }
    assert [task for task, span in spans.items() if span.is_critical] == ["b", "c"]
    assert len({span.slot for span in spans.values()}) == 3  # all were asked for before any had ended
    assert spans["c"].queued_at == spans["b"].ended_at


def test_a_slot_is_used_again(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path, "r", TASKS)
    for task_id in ("a", "b"):
        run.start(task_id)
        run.come_back(task_id, SandboxResult("s", reason=Reason.REJECTED))
    run.start("c")
    spans = spans_of(tmp_path)
    assert [(span.outcome, span.slot) for span in spans.values()] == [("rejected", 0), ("rejected", 0), ("running", 0)]


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("form", ["svg", "html"])
def test_a_run_is_drawn_with_tooltips(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timeline", "last", "--format", form, "--state-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "<title>c: exit_code, took 3.00s" in text
    assert "on the critical path</title>" in text
    assert text.count('class="critical"') == 2
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace("http-equiv", "")
    assert "<script" not in text
    assert text.startswith("<svg " if form == "svg" else "<!doctype html>")


def test_names_are_escaped() -> None:
    begin = datetime(2026, 1, 31, tzinfo=UTC)
    name = '<script>alert("&")</script>\x1b'
    span = AttemptSpan(name, 2, None, begin, None, begin + timedelta(seconds=1), "killed", 0, is_critical=False)
    drawn = ET.fromstring(timeline_svg(name, [span]))  # noqa: S314 - our own
    assert [title.text for title in drawn.iter(f"{SVG}title")] == [
        '<script>alert("&")</script>\\x1b',
        '<script>alert("&")</script>\\x1b @2: killed, took 1.00s',
    ]
    assert "<script" not in timeline_html(name, [span])


def test_a_run_without_attempts_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordedRun(tmp_path, "r", TASKS)
    assert main(["timeline", "last", "--state-dir", str(tmp_path)]) == 0
    assert ET.fromstring(capsys.readouterr().out).tag == f"{SVG}svg"  # noqa: S314 - our own
