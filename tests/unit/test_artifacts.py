"""Outputs of runs: listed, copied, and kept as long as a run needs them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from dockersched.cli import main
from dockersched.data.run_files import RunFiles, pack_workspaces
from dockersched.errors import WorkspaceError
from dockersched.graph.dag import TaskDAG
from dockersched.model import Output, ScheduledTask, Workspace
from dockersched.recovery import prune
from dockersched.results import OutputSummary
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-abcdef"
TASKS = [
    ScheduledTask("build", [], "x", outputs={"report": Output("out")}),
    ScheduledTask("test", ["build"], "x", outputs={"log": Output("log")}),
]


def made(run: RecordedRun, task_id: str, output: str, content: str) -> OutputSummary:
    """An output as a runner leaves it."""
    files = RunFiles.of_run(run.folder)
    path = files.output_dir(task_id, output)
    path.mkdir()
    (path / "a.txt").write_text(content)
    return OutputSummary(str(files.store.add_tree(path)), str(path), 1, len(content))


@pytest.fixture
def run(tmp_path: Path) -> RecordedRun:
    run = RecordedRun(tmp_path, RUN, TASKS)
    for task_id, output in (("build", "report"), ("test", "log")):
        run.start(task_id)
        run.end(task_id, outputs={output: made(run, task_id, output, task_id)})
    return run


def artifacts(state_dir: Path, *args: object) -> int:
    return main(["artifacts", *map(str, args), "--state-dir", str(state_dir)])


def test_lists_what_came_out(run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert artifacts(tmp_path, "last") == 0
    folder = run.folder / "artifacts"
    assert capsys.readouterr().out == (
        f"build.report: 1 entry, 5 B, {folder}/build/report\ntest.log: 1 entry, 4 B, {folder}/test/log\n"
    )
    assert artifacts(tmp_path, "last", "test", "--output", "json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["run"] == RUN
    assert [(row["task"], row["output"], row["size_bytes"]) for row in document["artifacts"]] == [("test", "log", 4)]


def test_a_state_directory_may_be_moved(run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved = tmp_path / "moved"
    moved.mkdir()
    for part in ("runs", "store", "state.db"):
        shutil.move(tmp_path / part, moved)
    folder = moved / "runs" / RUN

    assert artifacts(moved, RUN, "build") == 0
    assert capsys.readouterr().out == f"build.report: 1 entry, 5 B, {folder}/artifacts/build/report\n"
    (folder / "logs" / "build.log").write_bytes(b"made\n")
    assert main(["logs", RUN, "build", "--state-dir", str(moved)]) == 0
    assert capsys.readouterr().out == "made\n"


def test_outputs_that_are_not_there_any_more_are_named(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run.folder / "artifacts" / "build" / "report")

    assert artifacts(tmp_path, RUN) == 1

    said = capsys.readouterr()
    assert said.out.count("\n") == 2
    assert said.err.startswith("dockersched: not there any more: build.report; ")
    assert artifacts(tmp_path, RUN, "--to", tmp_path / "export") == 0


def test_copies_to_files_that_may_be_changed(run: RecordedRun, tmp_path: Path) -> None:
    target = tmp_path / "export"
    assert artifacts(tmp_path, RUN, "--to", target) == 0
    copy = target / "build" / "report" / "a.txt"
    copy.write_text("changed")
    assert (run.folder / "artifacts" / "build" / "report" / "a.txt").read_text() == "build"
    assert (target / "test" / "log" / "a.txt").read_text() == "test"


def test_never_touches_what_is_there(run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there = tmp_path / "export" / "test" / "log"
    there.mkdir(parents=True)
    assert artifacts(tmp_path, run.run_id, "--to", tmp_path / "export") == 2
    assert f"{there} exists: name another folder" in capsys.readouterr().err
    assert not (tmp_path / "export" / "build").exists()


def test_a_damaged_file_is_not_handed_out(run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = run.folder / "artifacts" / "build" / "report" / "a.txt"
    stored.chmod(0o644)
    stored.write_text("biuld")
    assert artifacts(tmp_path, RUN, "build", "--to", tmp_path / "export") == 2
    assert "damaged" in capsys.readouterr().err
    assert not (tmp_path / "export" / "build" / "report").exists()


def test_of_a_copy_that_fails_nothing_stays(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stored,) = (run.folder / "artifacts" / "test" / "log").iterdir()
    whole = stored.read_bytes()
    stored.chmod(0o644)
    for there in ([], ["mine"]):
        for name in there:
            (tmp_path / "deep" / "export" / name).mkdir(parents=True)
        stored.write_bytes(whole[::-1])
        assert artifacts(tmp_path, RUN, "--to", tmp_path / "deep" / "export") == 2
        assert "damaged" in capsys.readouterr().err
        assert sorted(path.name for path in (tmp_path / "deep").rglob("*")) == (["export", *there] if there else [])
    stored.write_bytes(whole)
    assert artifacts(tmp_path, RUN, "--to", tmp_path / "deep" / "export") == 0
    assert (tmp_path / "deep" / "export" / "test" / "log" / "a.txt").read_text() == "test"


@pytest.mark.parametrize("name", ["loop", "file", "n" * 300])
def test_a_folder_that_cannot_be_made_is_refused(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()
    assert artifacts(tmp_path, run.run_id, "--to", tmp_path / name) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: {tmp_path / name}/build/report cannot be made: ")


def test_names_a_task_that_is_not_there(run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert artifacts(tmp_path, run.run_id, "biuld") == 2
    assert "has no task 'biuld' (did you mean 'build'?)" in capsys.readouterr().err


def test_a_run_without_outputs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordedRun(tmp_path, RUN, [ScheduledTask("a", [], "x")])
    assert artifacts(tmp_path, RUN) == 0
    assert capsys.readouterr().out == f"run {RUN} has no outputs\n"


def test_the_store_keeps_what_runs_need(run: RecordedRun, tmp_path: Path) -> None:
    store = tmp_path / "store"
    unneeded = RunFiles.of_run(tmp_path / "runs" / "gone")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "b.txt").write_text("nobody's")
    unneeded.store.add_tree(tmp_path / "other")
    files = {path for path in store.rglob("*") if path.is_file()}
    assert prune(run.store, grace_s=-1) > 0
    assert len(files) - len({path for path in store.rglob("*") if path.is_file()}) == 2, "the file and its tree"
    assert artifacts(tmp_path, RUN, "--to", tmp_path / "export") == 0
    run.store.finish_run(RUN, "succeeded", 0)
    run.store.forget_run(RUN)
    prune(run.store, grace_s=-1)
    assert [path.name for path in store.rglob("*") if path.is_file()] == ["lock"]


def test_a_run_that_another_gc_has_removed_meanwhile_keeps_nothing(
    run: RecordedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = run.store.runs()
    monkeypatch.setattr(run.store, "runs", lambda: [replace(runs[0], run_id="gone"), *runs])
    prune(run.store, grace_s=-1)
    assert artifacts(tmp_path, RUN, "--to", tmp_path / "export") == 0
    run.store.forget_run(RUN)
    prune(run.store, grace_s=-1)
    assert [path.name for path in (tmp_path / "store").rglob("*") if path.is_file()] == ["lock"]


def test_a_workspace_is_packed_once_and_its_digest_is_part_of_the_graph(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("a")
    files = RunFiles.of_run(tmp_path / "state" / "runs" / RUN)
    told: list[str] = []
    tasks = [
        ScheduledTask(f"t{size}", [], "x", workspace=Workspace(str(source), size_bytes=size * 2**20))
        for size in range(1, 11)
    ]
    dag = pack_workspaces(TaskDAG([*tasks, ScheduledTask("plain", [], "x")]), files, told.append)
    digests = {task.workspace.digest for task in dag if task.workspace}
    assert len(digests) == 1
    assert None not in digests
    assert len(told) == 1
    assert len(list((tmp_path / "state" / "store" / "packs").iterdir())) == 1
    assert dag["plain"].workspace is None


def test_the_folder_of_a_task_that_does_not_run_any_more_may_be_gone(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "state" / "runs" / RUN)
    dag = TaskDAG([ScheduledTask("done", [], "x", workspace=Workspace(str(tmp_path / "gone")))])
    assert pack_workspaces(dag, files, print, {"done"})["done"] == dag["done"]
    with pytest.raises(WorkspaceError, match="is not a directory"):
        pack_workspaces(dag, files, print)


def test_a_workspace_larger_than_it_may_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(bytes(2**17))
    files = RunFiles.of_run(tmp_path / ".dockersched" / "runs" / RUN)
    with pytest.raises(WorkspaceError, match=r"more than the 64 KiB of the workspace: exclude .* or raise"):
        files.pack(Workspace(str(tmp_path), size_bytes=2**16))
