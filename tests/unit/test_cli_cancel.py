"""`cancel` of runs whose owner is gone, without an engine."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from dockersched import recovery
from dockersched.cli import main
from dockersched.data.run_files import RunFiles
from dockersched.model import ScheduledTask
from dockersched.sandbox.docker import leftovers
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-aaaaaa"


@pytest.fixture
def run(tmp_path: Path) -> RecordedRun:
    run = RecordedRun(tmp_path, RUN, [ScheduledTask("build", [], "make")])
    run.start("build")
    return run


@pytest.mark.parametrize("tasks", [[], ["build"]])
def test_a_run_that_was_gone_on_with_and_has_ended_since_stays_as_it_ended(
    tmp_path: Path,
    run: RecordedRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tasks: list[str],
) -> None:
    async def connect() -> SimpleNamespace:
        run.store.finish_run(RUN, "succeeded", 0)
        return SimpleNamespace(pool=None, close=lambda: None)

    monkeypatch.setattr(recovery, "connect", connect)

    assert main(["cancel", RUN, *tasks, "--state-dir", str(tmp_path)]) == 0

    assert capsys.readouterr().err == f"dockersched: run {RUN} is finished already: succeeded\n"
    assert run.store.run(RUN).state == "succeeded"
    assert not (run.folder / "result.json").exists()


@pytest.mark.usefixtures("engine_without_ours")
def test_what_a_killed_process_left_of_an_output_goes(
    tmp_path: Path, run: RecordedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def remove(_pool: object, _left: object) -> list[str]:
        return []

    monkeypatch.setattr(leftovers, "remove", remove)
    files = RunFiles.of_run(run.folder)
    made = files.output_dir("build", "made")
    (made / "deep").mkdir(parents=True)
    (made.with_name(".tmp-0123") / "deep").mkdir(parents=True)

    assert main(["cancel", RUN, "--state-dir", str(tmp_path)]) == 0

    assert list(made.parent.iterdir()) == [made]
    assert (made / "deep").is_dir()
