"""What a person sees while an epic runs."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TextIO

import pytest

from dockersched.events import EpicFinished, EpicStarted, TaskFinished, TaskRetrying, TaskStarted
from dockersched.report import console as console_module
from dockersched.report.console import ConsoleReport
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState

NOON = datetime(2026, 1, 31, 12, 0, 0).astimezone()
START = NOON.astimezone(UTC)


def started(task_id: str, attempt: int = 1) -> TaskStarted:
    return TaskStarted(START, task_id, f"e.{task_id}", attempt)


def finished(task_id: str, exit_code: int = 0, reason: Reason | None = None, detail: str = "") -> TaskFinished:
    log = LogSummary(f"logs/{task_id}.log", 10)
    end = START + timedelta(seconds=0.42)
    sandbox = SandboxResult(f"e.{task_id}", exit_code, reason, detail, START, end, log=log)
    state = TaskState.SUCCEEDED if sandbox.succeeded else TaskState.FAILED
    return TaskFinished(START, TaskResult(task_id, state, sandbox.reason, detail, attempts=1, sandbox=sandbox))


def never_started(task_id: str, cause: str = "test") -> TaskFinished:
    state = TaskState.UPSTREAM_FAILED
    return TaskFinished(START, TaskResult(task_id, state, Reason.UPSTREAM_FAILED, "", cause))


def epic_started(*task_ids: str) -> EpicStarted:
    return EpicStarted(START, "quick", "run-1", task_ids)


def result() -> EpicResult:
    task = finished("lint").result
    return EpicResult("quick", "run-1", EpicState.SUCCEEDED, {"lint": task}, START, START + timedelta(seconds=1))


def report_to(
    err: TextIO, *, quiet: bool = False, environ: Mapping[str, str] | None = None, out: TextIO | None = None
) -> ConsoleReport:
    return ConsoleReport(out=out or io.StringIO(), err=err, quiet=quiet, summary=True, environ=environ or {})


def test_plain_lines_tell_the_run_in_order() -> None:
    err = io.StringIO()
    report = report_to(err)

    report.observe(epic_started("lint", "integration"))
    report.observe(started("lint"))
    report.output("lint", b"all g")
    report.output("lint", b"ood\nbye")
    report.observe(finished("lint"))
    report.observe(started("integration", attempt=2))
    report.observe(finished("integration", 3))
    report.observe(never_started("deploy", "integration"))
    report.observe(finished("other", 137, Reason.OOM_KILLED, "the engine's word"))
    report.observe(EpicFinished(START, result()))
    report.close()

    assert err.getvalue().splitlines() == [
        "12:00:00 epic quick: 2 tasks, run run-1",
        "12:00:00 lint        started",
        "lint        | all good",
        "lint        | bye",
        "12:00:00 lint        succeeded in 0.42s",
        "12:00:00 integration started (attempt 2)",
        "12:00:00 integration failed (exit_code 3) in 0.42s",
        "12:00:00 deploy      upstream_failed because of integration",
        "12:00:00 other       failed (oom_killed) in 0.42s: the engine's word",
    ]


@pytest.mark.parametrize("unfinished", [b"first", b"x" * 9_000])
def test_the_output_of_an_attempt_ends_with_it(unfinished: bytes) -> None:
    err = io.StringIO()
    report = report_to(err)

    report.output("lint", unfinished)
    report.observe(TaskRetrying(START, "lint", 1, SandboxResult("e.lint", reason=Reason.INTERRUPTED), 1.0))
    report.output("lint", b"second\n")
    report.close()

    first, retrying, second = err.getvalue().splitlines()
    assert first.startswith(f"lint | {unfinished[:100].decode()}")
    assert retrying == "12:00:00 lint attempt 1 ended with interrupted; again in 1.00s"
    assert second == "lint | second"


def test_quiet_leaves_out_the_tasks_output_only() -> None:
    err = io.StringIO()
    report = report_to(err, quiet=True)

    report.observe(started("lint"))
    report.output("lint", b"noise\n")
    report.observe(finished("lint"))
    report.close()

    assert [line.split(maxsplit=1)[1] for line in err.getvalue().splitlines()] == [
        "lint started",
        "lint succeeded in 0.42s",
    ]


def test_hostile_ids_details_and_output_cannot_steer() -> None:
    err = io.StringIO()
    report = report_to(err)
    hostile = "\x1b]0;x\x07\r\n\u202e\x9b"

    report.observe(epic_started(hostile))
    report.output(hostile, hostile.encode() + b"\xff\n")
    report.observe(finished(hostile, 1, Reason.ENGINE_ERROR, hostile))
    report.note(hostile)
    report.close()

    assert set(re.findall(r"[^\x20-\x7e\ufffd]", err.getvalue())) <= {"\n", "…"}


def test_a_failure_that_takes_thousands_with_it_is_told_in_a_few_lines() -> None:
    err = io.StringIO()
    report = report_to(err)

    for number in range(5_000):
        report.observe(never_started(f"task-{number}"))
    report.close()

    lines = err.getvalue().splitlines()
    assert len(lines) == 11
    assert lines[-1].endswith("… and more tasks that never start because of test")


def test_the_summary_goes_to_stdout_and_nothing_else_does() -> None:
    out, err = io.StringIO(), io.StringIO()
    report = report_to(err, out=out)

    report.observe(finished("lint"))
    report.finish(result(), "runs/run-1/result.json")

    assert "lint succeeded" in err.getvalue()
    assert out.getvalue().startswith("task ")
    assert out.getvalue().endswith("1 succeeded, 0 failed in 1.00s · result: runs/run-1/result.json\n")


def test_no_summary_leaves_stdout_empty() -> None:
    out = io.StringIO()
    report = ConsoleReport(out=out, err=io.StringIO(), quiet=False, summary=False, environ={})

    report.finish(result())

    assert out.getvalue() == ""


@pytest.mark.parametrize(("environ", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True)])
def test_colours_off_a_terminal(environ: dict[str, str], coloured: bool) -> None:
    err = io.StringIO()
    report = report_to(err, environ=environ)

    report.output("lint", b"hello\n")
    report.close()

    assert ("\x1b[" in err.getvalue()) is coloured


def test_a_reader_that_hangs_up_stops_the_display_and_not_the_run() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as err:
        report = report_to(err, out=err)
        for _ in range(100):
            report.observe(started("lint"))
            report.output("lint", b"hello\n")
        report.close()
        report.finish(result())


def test_a_reader_that_never_reads_holds_up_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_PATIENCE_S", 0.2)
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as pipe, os.fdopen(writing, "w") as err:
        report = report_to(err)
        before = time.monotonic()
        for number in range(200):
            report.output(f"task-{number}", b"x" * 79_999 + b"\n")
        report.observe(finished("task-1"))
        display = report._thread
        report.close()
        took = time.monotonic() - before
        backlog = report._bytes_in - report._bytes_out

        assert display is not None
        stuck = display.is_alive()
        threading.Thread(target=pipe.read, daemon=True).start()
        display.join(10)

    assert stuck
    assert not display.is_alive()
    assert took < 10  # without an end to its patience it would be stuck for ever
    assert backlog <= console_module._BACKLOG_BYTES + 80_000


def test_output_that_was_left_out_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_module, "_BACKLOG_BYTES", -1)
    err = io.StringIO()
    report = report_to(err)

    report.output("lint", b"x" * 2_048)
    report.output("test", b"y" * 1_024)
    report.observe(finished("lint"))
    report.close()

    lines = err.getvalue().splitlines()
    assert lines[0] == "lint | … 2 KiB left out here, this display is too slow"
    assert lines[1] == "lint | … 2 KiB more output in logs/lint.log"
    assert lines[3] == "test | … 1 KiB left out here, this display is too slow"


def test_text_that_the_encoding_lacks_is_written_out() -> None:
    raw = io.BytesIO()
    report = report_to(io.TextIOWrapper(raw, encoding="ascii", write_through=True))

    report.output("lint", "é\n".encode())
    report.close()

    assert raw.getvalue() == b"lint | \\xe9\n"


def test_closing_twice_or_unused_is_harmless() -> None:
    report = report_to(io.StringIO())
    report.close()
    report.close()
    report.observe(started("late"))


_LIVE_RUN = """
import os, sys, time
sys.path.insert(0, {tests!r})
import test_report_console as here
report = here.ConsoleReport(out=sys.stdout, err=sys.stderr, quiet=False, summary=True, environ=os.environ)
report.observe(here.epic_started("lint", "test", "build", *(f"more-{{n}}" for n in range(100))))
report.observe(here.started("lint"))
report.observe(here.started("test"))
time.sleep(0.4)
report.output("lint", b"\\x1b]0;pwned\\x07\\n")
time.sleep(0.1)
print("a word on stderr", file=sys.stderr)
report.observe(here.finished("lint"))
report.observe(here.finished("test", 3))
time.sleep(0.4)
report.finish(here.result())
print("rich" if "rich" in sys.modules else "no rich")
"""


def run_in_terminal(environ: Mapping[str, str] | None = None, *, height: int = 20) -> str:
    """What a program in a terminal of 80 columns wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, 80, 0, 0))
    inherited = {name: value for name, value in os.environ.items() if name.startswith(("PATH", "COVERAGE_"))}
    base = {**inherited, "TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", _LIVE_RUN.format(tests=os.path.dirname(__file__))],  # noqa: PTH120
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**base, **(environ or {})},
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                chunk = os.read(ours, 65_536)
            except OSError:  # Linux says so when the last writer has gone
                break
            written += chunk
        process.wait()
    os.close(ours)
    assert process.returncode == 0, written
    return written.decode().replace("\r\n", "\n")


def test_a_terminal_shows_a_live_table_below_the_lines() -> None:
    text = run_in_terminal()
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)

    assert "quick  0/103 finished · 2 running · 101 waiting" in plain
    assert "quick  2/103 finished · 0 running · 101 waiting · 1 failed" in plain
    assert re.search(r"lint +running +0\.\ds", plain)
    assert re.search(r"test +failed \(exit_code 3\) +0\.42s", plain)
    assert "… and 96 more" in plain
    assert "lint    | \\x1b]0;pwned\\x07" in plain
    assert "a word on stderr" in plain
    assert "\x1b]0;pwned" not in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1  # the cursor comes back
    assert "epic quick: 1 succeeded" in plain


def test_the_live_table_fits_a_small_terminal() -> None:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", run_in_terminal(height=10))
    frames = plain.split("quick  0/103 finished")[1:]

    assert frames
    for frame in frames:
        table, more, _ = frame.partition("… and 101 more")
        assert more
        assert table.count("\n") == 4


@pytest.mark.parametrize("no", ["false", "0", ""])
def test_a_terminal_of_no_ci_service_shows_the_table(no: str) -> None:
    assert "101 waiting" in run_in_terminal({"CI": no})


def test_no_color_is_respected_on_a_terminal() -> None:
    text = run_in_terminal({"NO_COLOR": "1"})

    assert "quick" in text
    assert not re.findall(r"\x1b\[[0-9;]*(?:3[0-7]|9[0-7])m", text)


@pytest.mark.parametrize("environ", [{"CI": "true"}, {"TERM": "dumb"}, {"TERM": "unknown"}])
def test_plain_lines_where_a_table_cannot_live(environ: dict[str, str]) -> None:
    text = run_in_terminal(environ)

    assert "started" in text
    assert "waiting" not in text
    assert text.endswith("no rich\n")
