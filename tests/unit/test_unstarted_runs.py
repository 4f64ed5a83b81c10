"""Runs that ended before they were on record, so that only their folders are left."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from dockersched import recovery
from dockersched.cli import main
from dockersched.epic import Epic
from dockersched.errors import RunOwnedError
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, ScheduledTask
from dockersched.store.database import StateStore
from dockersched.store.lock import own_run
from tests.support.recorded_runs import EPIC_ID, RecordedRun

RECORDED, LOST, OWNED = "20260131-000000-aaaaaa", "20260201-000000-bbbbbb", "20260202-000000-cccccc"


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """One unfinished run, and two that are not on record."""
    RecordedRun(tmp_path, RECORDED, [ScheduledTask("build", [], "make")])
    RecordedRun(tmp_path, LOST)
    RecordedRun(tmp_path, OWNED)
    return tmp_path


@pytest.fixture
def collected(state_dir: Path, engine_without_ours: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What `gc` says, with an engine that has nothing of ours."""

    def collect(*argv: str) -> str:
        assert main(["gc", *argv, "--state-dir", str(state_dir)]) == 0
        return capsys.readouterr().out

    return collect


def folders(state_dir: Path) -> list[str]:
    return sorted(path.name for path in (state_dir / "runs").iterdir())


def test_gc_removes_them_unless_somebody_owns_them(state_dir: Path, collected: Callable[..., str]) -> None:
    with own_run(state_dir / "runs" / OWNED):
        assert collected("--dry-run") == f"would remove run {LOST} (not started)\n"
        assert folders(state_dir) == [RECORDED, LOST, OWNED]

        assert collected() == f"removed run {LOST} (not started)\n"
        assert folders(state_dir) == [RECORDED, OWNED]
    assert collected("--keep", "0") == f"removed run {OWNED} (not started)\n"
    assert collected() == "nothing to remove\n"
    assert folders(state_dir) == [RECORDED]


def test_what_came_on_record_meanwhile_stays(
    state_dir: Path, collected: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    free = recovery._free

    @contextmanager
    def after_it_began(store: StateStore, run_id: str, *, dry_run: bool) -> Iterator[bool]:
        if run_id == LOST:
            options = EpicExecutionOptions(epic_id=EPIC_ID, run_id=LOST)
            store.create_run(LOST, Epic(TaskDAG([ScheduledTask("build", [], "make")]), options, EPIC_ID), {}, {})
        with free(store, run_id, dry_run=dry_run) as is_free:
            yield is_free

    monkeypatch.setattr(recovery, "_free", after_it_began)

    assert collected() == f"removed run {OWNED} (not started)\n"
    assert folders(state_dir) == [RECORDED, LOST]


@pytest.mark.parametrize("verb", [["resume"], ["retry"], ["rightsize"]])
def test_there_is_nothing_to_go_on_with(state_dir: Path, capsys: pytest.CaptureFixture[str], verb: list[str]) -> None:
    assert main([*verb, LOST, "--state-dir", str(state_dir)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(
        f"dockersched: run {LOST} of {EPIC_ID} ended before any task was started: run its epic anew; "
    )
    with own_run(state_dir / "runs" / OWNED):
        assert main([*verb, OWNED, "--state-dir", str(state_dir)]) == 5
    assert f"run {OWNED} is owned by process {os.getpid()}" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [["artifacts", LOST], ["logs", LOST, "build"], ["explain", LOST, "build"]])
@pytest.mark.parametrize(
    ("traces", "words"),
    [([], "ended before any task was started"), (["result.json"], "is not in this directory's database")],
)
def test_of_what_is_not_on_record_nothing_is_told_but_that(
    state_dir: Path, capsys: pytest.CaptureFixture[str], verb: list[str], traces: list[str], words: str
) -> None:
    for trace in traces:
        (state_dir / "runs" / LOST / trace).touch()

    assert main([*verb, "--state-dir", str(state_dir)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: run {LOST} of {EPIC_ID} {words}")


def test_one_that_was_cut_off_before_it_told_anything_is_as_old_as_its_lock(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = state_dir / "runs" / LOST
    (folder / "events.jsonl").unlink()
    begun = datetime.fromisoformat(StateStore(state_dir).run(RECORDED).created_at).timestamp()

    for at, newest in ((begun - 60, RECORDED), (begun + 60, LOST)):
        os.utime(folder / "owner.lock", (at, at))
        assert main(["status", "last", "--output", "json", "--state-dir", str(state_dir)]) == 0
        assert json.loads(capsys.readouterr().out)["run"] == newest


def test_a_folder_that_is_removed_while_it_is_taken_is_not_owned(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = state_dir / "runs" / LOST
    with (folder / "owner.lock").open() as collecting:
        fcntl.flock(collecting, fcntl.LOCK_EX)

        def let_go(_pause_s: float) -> None:
            shutil.rmtree(folder, ignore_errors=True)
            fcntl.flock(collecting, fcntl.LOCK_UN)

        monkeypatch.setattr(time, "sleep", let_go)
        with pytest.raises(RunOwnedError, match="it was just being removed"), own_run(folder):
            pass
