"""What `retry` refuses before it needs an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.cli.retry import _still_good
from dockersched.model import ScheduledTask
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-aaaaaa"
TASKS = [
    ScheduledTask("build", [], "make"),
    ScheduledTask("test", ["build"], "pytest"),
    ScheduledTask("publish", ["test"], "twine"),
]


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    run = RecordedRun(tmp_path, RUN, TASKS)
    run.start("build")
    run.end("build")
    run.start("test")
    run.end("test", exit_code=1)
    run.store.finish_run(RUN, "failed", 1)
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--only", "tst"], f"run {RUN} has no task 'tst' (did you mean 'test'?)"),
        (
            ["--only", "publish"],
            f"'test', which is needed, has not succeeded in run {RUN}: name it with --only test too",
        ),
        (["--detach", "--output", "jsonl"], "a detached run prints no events: they are in its events.jsonl"),
        (["--digest-bytes", "many"], "argument --digest-bytes: must be a whole number, not 'many'"),
    ],
)
def test_a_retry_that_cannot_be_is_one_message(
    state_dir: Path, capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    assert main(["retry", RUN, *argv, "--state-dir", str(state_dir)]) == 2

    said = capsys.readouterr()
    assert message in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("only", "good"), [([], {"build"}), (["test"], {"build", "tidy"}), (["tidy", "test"], {"build"})]
)
def test_what_runs_at_the_end_does_so_again_unless_only_others_are_wanted(
    tmp_path: Path, only: list[str], good: set[str]
) -> None:
    run = RecordedRun(tmp_path, RUN, [*TASKS[:2], ScheduledTask("tidy", [], "rm", finally_=True)])
    for task_id, exit_code in (("build", 0), ("test", 1), ("tidy", 0)):
        run.start(task_id)
        run.end(task_id, exit_code=exit_code)

    assert set(_still_good(run.store, RUN, run.store.epic(RUN).dag, only)) == good
