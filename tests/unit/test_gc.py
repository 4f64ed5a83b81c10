"""`gc` on state directories in which something is not as it should be: it removes the rest and tells."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from dockersched import recovery
from dockersched.cli import main
from dockersched.data.pack import pack_workspace
from dockersched.model import ScheduledTask
from dockersched.store.lock import own_run
from tests.support.recorded_runs import EPIC_ID, RecordedRun

OLD, NEW, UNSTARTED = "20260131-000000-aaaaaa", "20260201-000000-bbbbbb", "20260202-000000-cccccc"
TASKS = [ScheduledTask("build", [], "make")]

pytestmark = pytest.mark.usefixtures("engine_without_ours")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder of two finished runs, and of one that ended before it was on record."""
    for run_id in (OLD, NEW):
        run = RecordedRun(tmp_path, run_id, TASKS)
        run.start("build")
        run.end("build", b"made\n")
        run.store.finish_run(run_id, "succeeded", 0)
    RecordedRun(tmp_path, UNSTARTED)
    return tmp_path / "runs"


@pytest.fixture
def gc(runs: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, list[str], str]]:
    """Exit code, lines on stdout and stderr of `gc`."""

    def collect(*argv: str) -> tuple[int, list[str], str]:
        code = main(["gc", *argv, "--state-dir", str(runs.parent)])
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return collect


def folders(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir())


def removed(run_id: str) -> str:
    return f"removed run {run_id} of {EPIC_ID} (succeeded)"


@pytest.mark.parametrize("is_empty", [True, False])
def test_runs_whose_database_was_lost_are_kept(
    runs: Path,
    gc: Callable[..., tuple[int, list[str], str]],
    capsys: pytest.CaptureFixture[str],
    mocker: MockerFixture,
    *,
    is_empty: bool,
) -> None:
    (runs.parent / "state.db").unlink()
    if is_empty:
        (runs.parent / "state.db").touch()
    mocker.patch.object(recovery, "prune", side_effect=AssertionError("they may need any file of the store"))

    code, lines, err = gc("--keep", "0")

    assert (code, err, lines[0]) == (0, "", f"removed run {UNSTARTED} (not started)")
    assert lines[1].startswith(f"kept what of {runs.parent} may be needed: 2 runs are not in this database")
    assert f"({OLD}, {NEW})" in lines[1]
    assert folders(runs) == [OLD, NEW]
    assert main(["status", OLD, "--state-dir", str(runs.parent)]) == 0
    assert f"run {OLD} of {EPIC_ID} is not in this directory's database" in capsys.readouterr().out
    assert main(["ps", "--state-dir", str(runs.parent)]) == 0
    assert capsys.readouterr().out.count("unrecorded") == 2
    assert main(["resume", OLD, "--state-dir", str(runs.parent)]) == 2


@pytest.mark.parametrize("trace", ["result.json", "logs/build.log", None])
def test_each_trace_of_a_task_keeps_a_run(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]], trace: str | None
) -> None:
    if trace:
        (runs / UNSTARTED / trace).touch()
        (runs / UNSTARTED / "events.jsonl").unlink()
    else:
        (runs / UNSTARTED / "events.jsonl").write_text('{"at":"x","type":"launch"}\n{"at":"x","type":"epic_started"}\n')

    code, lines, _ = gc()

    assert (code, folders(runs)) == (0, [OLD, NEW, UNSTARTED])
    assert "1 run is not in this database" in lines[0]


def test_a_log_that_was_taken_over_starts_no_run(runs: Path, gc: Callable[..., tuple[int, list[str], str]]) -> None:
    (runs / UNSTARTED / "logs" / "build.log").touch()

    assert gc() == (0, [f"removed run {UNSTARTED} (not started)"], "")


def test_a_run_that_cannot_be_removed_is_told_and_remembered(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def refuse(path: Path) -> None:
        if path.name == NEW:
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        code, lines, err = gc("--keep", "0")

    assert (code, lines) == (1, [removed(OLD), f"removed run {UNSTARTED} (not started)"])
    assert err == f"dockersched: run {NEW} cannot be removed: [Errno 13] Permission denied: '{runs / NEW}'\n"
    assert folders(runs) == [NEW]
    assert gc("--keep", "0") == (0, [removed(NEW)], "")


def test_folders_that_are_too_deep_keep_nothing_else(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = shutil.rmtree

    def give_up(path: Path) -> None:
        if path.name == NEW:
            raise RecursionError("maximum recursion depth exceeded")
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", give_up)

    code, lines, err = gc("--keep", "0")

    assert (code, lines) == (1, [removed(OLD), f"removed run {UNSTARTED} (not started)"])
    assert err == f"dockersched: run {NEW} cannot be removed: maximum recursion depth exceeded\n"


def test_of_a_folder_elsewhere_only_the_link_is_removed(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]], tmp_path: Path
) -> None:
    for run_id in (OLD, UNSTARTED):
        shutil.move(runs / run_id, tmp_path / run_id)
        (runs / run_id).symlink_to(tmp_path / run_id)

    assert gc("--keep", "0") == (0, [removed(NEW), removed(OLD), f"removed run {UNSTARTED} (not started)"], "")

    assert folders(runs) == []
    assert (tmp_path / OLD / "owner.lock").exists()
    assert gc("--keep", "0") == (0, ["nothing to remove"], "")


def test_a_run_that_cannot_be_owned_keeps_no_other(runs: Path, gc: Callable[..., tuple[int, list[str], str]]) -> None:
    shutil.rmtree(runs / NEW)
    (runs / NEW).write_text("no folder")
    (runs / UNSTARTED / "owner.lock").unlink()
    (runs / UNSTARTED / "owner.lock").mkdir()

    code, lines, err = gc("--keep", "0")

    assert (code, lines) == (1, [removed(OLD)])
    assert [line.split(":")[1].split(" cannot")[0] for line in err.splitlines()] == [f" run {NEW}", f" run {UNSTARTED}"]
    (runs / NEW).unlink()
    assert gc("--keep", "0")[1] == [removed(NEW)]


def test_a_record_that_cannot_be_read_only_keeps_what_it_may_need(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]]
) -> None:
    with closing(sqlite3.connect(runs.parent / "state.db", isolation_level=None)) as database:
        database.execute("UPDATE runs SET epic = '{', state = NULL WHERE run_id = ?", (NEW,))

    code, lines, err = gc("--keep", "0")

    assert (code, lines) == (1, [removed(OLD), f"removed run {UNSTARTED} (not started)"])
    assert err.startswith("dockersched: what no run needs of the store cannot be removed: a record in the state ")


def test_where_there_is_no_state_directory_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gc", "--state-dir", str(tmp_path / "none")]) == 0

    assert capsys.readouterr().out == "nothing to remove\n"
    assert not (tmp_path / "none").exists()


def test_what_is_lost_with_its_database_while_it_is_owned_stays(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]]
) -> None:
    (runs.parent / "state.db").unlink()
    with own_run(runs / UNSTARTED):
        gc()
    assert folders(runs) == [OLD, NEW, UNSTARTED]


def test_the_workspace_of_a_run_that_is_just_beginning_stays(
    runs: Path, gc: Callable[..., tuple[int, list[str], str]], tmp_path: Path
) -> None:
    (tmp_path / "source").mkdir()
    packed = pack_workspace(tmp_path / "source", store=runs.parent / "store")
    os.utime(packed.path, (0, 0))

    with own_run(runs / UNSTARTED):  # its images are being made
        assert gc() == (0, ["nothing to remove"], "")
        assert packed.path.exists()
    code, lines, _ = gc()
    assert (code, lines[1]) == (0, "removed 1 KiB of files that no run needs")
    assert not packed.path.exists()
