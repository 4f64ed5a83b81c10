"""The summary at the end of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from dockersched.model import QuotaConfig
from dockersched.report.log_tail import log_tail
from dockersched.report.summary import summary_lines
from dockersched.report.text import Paint
from dockersched.report.wording import path_words, reason_sentence, reason_words
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def ran(
    task_id: str,
    reason: Reason | None = None,
    *,
    exit_code: int | None = 0,
    detail: str = "",
    log: LogSummary | None = None,
    openings: Sequence[str] = (),
) -> TaskResult:
    sandbox = SandboxResult(
        f"e.{task_id}",
        exit_code,
        reason,
        detail,
        started_at=START,
        finished_at=START + timedelta(seconds=0.42),
        image="dockersched/base",
        quota_requested=QuotaConfig(memory="64m"),
        log=log,
        openings=openings,
    )
    state = TaskState.SUCCEEDED if sandbox.succeeded else TaskState.FAILED
    return TaskResult(task_id, state, sandbox.reason, detail, attempts=1, sandbox=sandbox)


def never_ran(task_id: str, cause: str) -> TaskResult:
    return TaskResult(task_id, TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, f"{cause!r} failed", cause)


def summary(*tasks: TaskResult, state: EpicState = EpicState.FAILED, paint: bool = False) -> list[str]:
    by_id = {task.task_id: task for task in tasks}
    result = EpicResult("quick", "run-1", state, by_id, START, START + timedelta(seconds=3.2))
    return list(summary_lines(result, Paint(enabled=paint), "state/runs/run-1/result.json"))


def test_all_is_well() -> None:
    assert summary(ran("lint"), ran("integration"), state=EpicState.SUCCEEDED) == [
        "task         state      reason  duration  attempts",
        "lint         succeeded             0.42s         1",
        "integration  succeeded             0.42s         1",
        "",
        "epic quick: 2 succeeded, 0 failed in 3.20s · result: state/runs/run-1/result.json",
    ]


def test_every_opening_is_listed_with_its_tasks() -> None:
    tasks = [ran(f"t{number}", openings=["network: bridge"]) for number in range(10)]
    tasks.append(ran("build", openings=["profile: trusted", "mounts: /a\x1b at /a (read-only)"]))

    lines = summary(*tasks, state=EpicState.SUCCEEDED)

    assert lines[-5:-1] == [
        "",
        "opened network: bridge: t0, t1, t2, t3, t4, t5, t6, t7 and 2 more",
        "opened profile: trusted: build",
        r"opened mounts: /a\x1b at /a (read-only): build",
    ]


def test_the_list_of_openings_is_bounded() -> None:
    lines = summary(*(ran(f"t{number}", openings=[f"user: {number}"]) for number in range(30)))

    assert sum(line.startswith("opened ") for line in lines) == 20
    assert lines[-2] == "… and 10 more openings"


def test_a_root_cause_is_explained(tmp_path: Path) -> None:
    log = tmp_path / "test.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(1, 31)))

    lines = summary(
        ran("lint"),
        ran("test", exit_code=3, log=LogSummary(str(log), 200)),
        never_ran("deploy", "test"),
        never_ran("publish", "test"),
    )

    assert lines[1:] == [
        "lint     succeeded                            0.42s         1",
        "test     failed           exit_code 3         0.42s         1",
        "deploy   upstream_failed  because of test",
        "publish  upstream_failed  because of test",
        "",
        "test: ended with exit code 3",
        f"  the end of its log, {log}:",
        *[f"  | line {number}" for number in range(21, 31)],
        "  never started because of it: deploy, publish",
        "",
        "epic quick: 1 succeeded, 1 failed, 2 never started in 3.20s · result: state/runs/run-1/result.json",
    ]


def test_hostile_text_is_written_out(tmp_path: Path) -> None:
    log = tmp_path / "test.log"
    log.write_bytes(b"\x1b]0;pwned\x07\n::error::x\n\xff\xe2\x80\xae\n")

    text = "\n".join(
        summary(
            ran("a\x1b[2Jb", exit_code=1, log=LogSummary(str(log), 10)),
            ran("other", Reason.ENGINE_ERROR, detail="engine says \x1b[31m\nno\u202e"),
        )
    )

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "a\\x1b[2Jb: ended with exit code 1" in text
    assert "  | \\x1b]0;pwned\\x07\n  | ::error::x\n  | \ufffd\\u202e" in text
    assert "  | engine says \\x1b[31m no\\u202e" in text


def test_a_log_without_content_or_file_is_named_alone() -> None:
    silent = summary(ran("a", exit_code=1, log=LogSummary("logs/a.log", 0)))
    lost = summary(ran("a", exit_code=1, log=LogSummary("no/such.log", 5)))

    assert "  it wrote nothing · log: logs/a.log" in silent
    assert "  log: no/such.log" in lost


def test_the_summary_of_a_huge_epic_is_bounded() -> None:
    failed = [ran(f"bad-{number}", exit_code=1) for number in range(1_000)]
    lost = [never_ran(f"lost-{number}", "bad-0") for number in range(4_000)]
    lines = summary(*[ran(f"ok-{number}") for number in range(5_000)], *failed, *lost)

    assert len(lines) < 200
    assert "… and 4,960 more succeeded" in lines
    assert "… and 3,960 more upstream_failed" in lines
    assert "… and 990 more failed tasks" in lines
    named = next(line for line in lines if line.startswith("  never started because of it: "))
    assert named.endswith("lost-6, lost-7 and 3,992 more")


@pytest.mark.parametrize(
    ("state", "start"),
    [
        (EpicState.TIMED_OUT, "epic quick timed out: 1 succeeded, 0 failed, 1 cancelled in 3.20s"),
        (EpicState.CANCELLED, "epic quick was cancelled: 1 succeeded, 0 failed, 1 cancelled in 3.20s"),
    ],
)
def test_the_last_line_says_how_the_epic_was_ended(state: EpicState, start: str) -> None:
    cancelled = TaskResult("b", TaskState.CANCELLED, Reason.EPIC_TIMED_OUT)

    assert summary(ran("a"), cancelled, state=state)[-1].startswith(start)


def test_colours_change_nothing_but_colours() -> None:
    tasks = (ran("lint"), ran("test", Reason.OOM_KILLED, exit_code=137), never_ran("deploy", "test"))
    coloured = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in summary(*tasks, paint=True)]

    assert [line.rstrip() for line in coloured] == summary(*tasks)
    assert "\x1b[31mfailed\x1b[0m" in "\n".join(summary(*tasks, paint=True))


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert reason_sentence(ran("a", reason, exit_code=9))
    assert reason_words(never_ran("a", "b")) == "because of b"


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        (ran("a", Reason.OOM_KILLED, exit_code=137), "used more than its 64 MiB of memory"),
        (ran("a", Reason.TIMED_OUT, exit_code=143), "still ran at its time limit and was stopped after 0.42s"),
        (ran("a", exit_code=3), "ended with exit code 3"),
        (ran("a", Reason.IMAGE_UNAVAILABLE, exit_code=None), "its image dockersched/base is not available"),
        (
            TaskResult("a", TaskState.FAILED, Reason.OOM_KILLED, attempts=1, sandbox=SandboxResult("a", 137)),
            "used more than its memory quota",
        ),
    ],
)
def test_sentences_name_the_numbers(task: TaskResult, sentence: str) -> None:
    assert reason_sentence(task) == sentence


def test_the_tail_of_a_log_is_read_from_its_end(tmp_path: Path) -> None:
    log = tmp_path / "big.log"
    log.write_bytes(b"x" * 10**6 + b"\nlast but one\nlast")

    assert log_tail(log, 10) == ["last but one", "last"]


def test_the_tail_of_one_endless_line_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "big.log"
    log.write_bytes(b"x" * 10**6)

    (line,) = log_tail(log, 10)

    assert len(line) < 1_100


def test_the_tail_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()

    assert log_tail(tmp_path / "empty", 10) == []
    assert log_tail(tmp_path / "missing", 10) == []


def test_paths_below_the_working_directory_are_shown_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert path_words(tmp_path / "runs/a.log") == "runs/a.log"
    assert path_words("/elsewhere/a.log") == "/elsewhere/a.log"


def test_a_failure_that_is_allowed_is_told_as_such() -> None:
    allowed = replace(ran("audit", exit_code=3), failure_allowed=True)

    assert summary(allowed, ran("lint"), state=EpicState.SUCCEEDED) == [
        "task   state      reason                duration  attempts",
        "audit  failed     exit_code 3, allowed     0.42s         1",
        "lint   succeeded                           0.42s         1",
        "",
        "epic quick: 1 succeeded, 0 failed, 1 failed as allowed in 3.20s · result: state/runs/run-1/result.json",
    ]
