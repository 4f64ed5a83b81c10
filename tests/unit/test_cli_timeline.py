"""Runs in time, from what is on record."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from msgspec.structs import replace

from dockersched.cli import main
from dockersched.inspection.runs import find_run
from dockersched.inspection.spans import AttemptSpan, read_spans
from dockersched.inspection.spans_text import timeline_lines, timeline_schema
from dockersched.model import ScheduledTask
from dockersched.report.document import write_result
from dockersched.report.phase_fields import PHASES
from dockersched.report.timeline import timeline_html, timeline_svg
from dockersched.results import EpicResult, Phases, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState
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
    old = SandboxResult("s", 0, started_at=AT, finished_at=AT)
    run = RecordedRun(tmp_path, "r", TASKS, succeeded={"old": old})
    for task_id in ("a", "b", "c"):
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


def test_what_comes_at_the_end_waits_for_all_others(tmp_path: Path) -> None:
    tasks = [
        *TASKS[:3],
        ScheduledTask("tidy", [], "x", finally_=True),
        ScheduledTask("z", ["tidy"], "x", finally_=True),
    ]
    run, now = RecordedRun(tmp_path, "r", tasks), datetime.now(UTC)
    for task_id, start_s, end_s in (("a", 1, 7), ("b", 1, 2), ("c", 7, 9), ("tidy", 9, 10), ("z", 10, 11)):
        start, end = now + timedelta(seconds=start_s), now + timedelta(seconds=end_s)
        run.start(task_id)
        run.come_back(task_id, SandboxResult("s", 0, started_at=start, finished_at=end))
    spans = spans_of(tmp_path)
    assert [task_id for task_id, span in spans.items() if span.is_critical] == ["a", "c", "tidy", "z"]
    assert spans["tidy"].queued_at == spans["c"].ended_at


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_attempts_are_told_apart_whatever_the_clock_of_the_engine(ahead_s: float, tmp_path: Path) -> None:
    by_engine = datetime.now(UTC) + timedelta(seconds=ahead_s)
    ran = SandboxResult("s", 0, started_at=by_engine, finished_at=by_engine + timedelta(seconds=1))
    run = RecordedRun(tmp_path, "r", TASKS, succeeded={"old": ran})
    run.start("a")
    run.come_back("a", ran)
    assert list(spans_of(tmp_path)) == ["a"]


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
    phases = Phases(2, queued_ms=0.4, run_ms=900.0)
    span = AttemptSpan(name, 2, None, begin, None, begin + timedelta(seconds=1), "killed", 0, False, phases)
    drawn = ET.fromstring(timeline_svg(name, [span]))  # noqa: S314 - our own
    assert [title.text for title in drawn.iter(f"{SVG}title")] == [
        '<script>alert("&")</script>\\x1b',
        '<script>alert("&")</script>\\x1b @2: killed, took 1.00s, queued 0.4 ms, run 900.0 ms',
    ]
    assert "<script" not in timeline_html(name, [span])


@pytest.mark.parametrize(
    ("took_s", "marks"),
    [
        (0, ["0.00s"]),
        (0.012, ["0.00s", "0.01s"]),
        (0.3, ["0.00s", "0.05s", "0.10s", "0.15s", "0.20s", "0.25s", "0.30s"]),
        (0.9, [f"{tenth / 10:.2f}s" for tenth in range(10)]),
        (1.63, [f"{fifth / 5:.2f}s" for fifth in range(9)]),
        (200, ["0.00s", "20.0s", "40.0s", "1m00s", "1m20s", "1m40s", "2m00s", "2m20s", "2m40s", "3m00s", "3m20s"]),
        (400_000, ["0.00s", "24h00m", "48h00m", "72h00m", "96h00m"]),
        (10_000_000, 11),
    ],
)
def test_the_axis_has_a_few_round_marks(took_s: float, marks: list[str] | int) -> None:
    begin = datetime(2026, 1, 31, tzinfo=UTC)
    ended = begin + timedelta(seconds=took_s)
    span = AttemptSpan("t", 1, None, begin, None, ended, "killed", 0, False, Phases(1))
    drawn = ET.fromstring(timeline_svg("r", [span]))  # noqa: S314 - our own
    told = [text.text for text in drawn.iter(f"{SVG}text") if text.get("text-anchor") == "middle"]
    assert (told if isinstance(marks, list) else len(told)) == marks


def test_a_run_without_attempts_is_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordedRun(tmp_path, "r", TASKS)
    assert main(["timeline", "last", "--state-dir", str(tmp_path)]) == 0
    assert ET.fromstring(capsys.readouterr().out).tag == f"{SVG}svg"  # noqa: S314 - our own


def _record_phases(tmp_path: Path) -> None:
    """`a` was tried twice, `b` runs; the run's result, which comes later, knows how long the removals of `a` took."""
    run = RecordedRun(tmp_path, "r", TASKS)
    begin = datetime.now(UTC) + timedelta(seconds=1)
    tries = [
        SandboxResult("s", code, started_at=begin, finished_at=begin, phases=Phases(number, 2.0, 60.5, 140.0, 1000.0))
        for number, code in ((1, 75), (2, 0))
    ]
    for number, sandbox in enumerate(tries, 1):
        run.start("a", number)
        run.come_back("a", sandbox, number, retry_in_s=1.0 if number == 1 else None)
    run.start("b")
    removed = [replace(one, phases=replace(one.phases, remove_ms=30.25)) for one in tries if one.phases]
    task = TaskResult("a", TaskState.SUCCEEDED, attempts=2, sandbox=removed[1], earlier=removed[:1])
    result = EpicResult("e", "r", EpicState.SUCCEEDED, {"a": task}, AT, AT)
    write_result(run.folder / "result.json", result)


def test_the_timeline_tells_programs_where_time_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record_phases(tmp_path)
    assert main(["timeline", "last", "--format", "json", "--state-dir", str(tmp_path)]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, timeline_schema())
    known = {"queued_ms": 2.0, "create_ms": 60.5, "start_ms": 140.0, "run_ms": 1000.0, "remove_ms": 30.25}
    found = {(each["task"], each["attempt"]): each for each in document["attempts"]}
    durations = [field.key for field in PHASES[1:]]
    assert {key: {name: each[name] for name in durations} for key, each in found.items()} == {
        ("a", 1): {**dict.fromkeys(durations), **known},
        ("a", 2): {**dict.fromkeys(durations), **known},
        ("b", 1): dict.fromkeys(durations),
    }
    assert found["b", 1]["outcome"] == "running"


def test_the_timeline_tells_people_where_time_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record_phases(tmp_path)
    assert main(["timeline", "last", "--format", "text", "--state-dir", str(tmp_path)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    phases = ["queued", "create", "start", "run", "exit-seen", "collect", "remove"]
    assert lines[0] == ["task", "attempt", "outcome", *phases]
    assert ["a", "2", "succeeded", "2.0", "60.5", "140.0", "1000.0", "-", "-", "30.2"] in lines
    assert ["b", "1", "running", *["-"] * 7] in lines
    assert ["all", "3", "4.0", "121.0", "280.0", "2000.0", "-", "-", "60.5"] in lines


def test_the_lines_for_people_are_bounded() -> None:
    begin = datetime(2026, 1, 31, tzinfo=UTC)
    span = AttemptSpan("t", 1, None, begin, None, begin, "running", 0, False, Phases(1, queued_ms=0.5))
    lines = list(timeline_lines([span] * 1_000))
    assert len(lines) < 100
    assert "… and 940 more; --format json has them all" in lines
    assert lines[-2].split() == ["all", "1000", "500.0", *["-"] * 6]
