"""What is read out of `events.jsonl`, whatever the tasks put into it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockersched.events import RunLaunched
from dockersched.inspection.recorded_events import count_finished, has_started
from dockersched.inspection.runs import find_run
from dockersched.inspection.tasks import read_tasks
from dockersched.model import ScheduledTask
from dockersched.results import SandboxResult
from dockersched.store.reader import StateReader
from tests.support.recorded_runs import AT, EPIC_ID, RecordedRun

RUN = "20260131-000000-aaaaaa"
TASKS = [ScheduledTask("a", [], "true"), ScheduledTask("forger", [], "true", values=("type",))]


def states(state_dir: Path) -> dict[str, str]:
    return {task_id: task.state for task_id, task in read_tasks(StateReader(state_dir), RUN, has_ended=False).items()}


@pytest.mark.parametrize("forged", ["launch", "epic_started", "task_finished"])
def test_values_of_a_task_are_taken_for_no_event(tmp_path: Path, forged: str) -> None:
    run = RecordedRun(tmp_path, RUN, TASKS)
    for task_id, values in (("a", {}), ("forger", {"at": "x", "type": forged})):
        run.start(task_id)
        run.come_back(task_id, SandboxResult("s", 0, started_at=AT, finished_at=AT, values=values))
    assert f'"type":"{forged}"' in (run.folder / "events.jsonl").read_text().splitlines()[-1]

    assert states(tmp_path) == {"a": "succeeded", "forger": "succeeded"}
    assert count_finished(run.folder) == 2


def test_values_of_a_task_start_no_run(tmp_path: Path) -> None:
    folder = RecordedRun(tmp_path, RUN).folder
    (folder / "events.jsonl").write_text('{"at":"x","type":"other","values":{"type":"epic_started"}}\n')

    assert not has_started(folder)


def test_a_process_that_has_not_begun_to_go_on_with_a_run_tells_nothing_new(tmp_path: Path) -> None:
    run = RecordedRun(tmp_path, RUN, TASKS)
    run.start("a")
    run.end("a")
    run.tell(RunLaunched(AT, EPIC_ID, RUN, 1, tmp_path))

    assert states(tmp_path) == {"a": "succeeded", "forger": "ready"}
    assert find_run(StateReader(tmp_path), RUN).tasks_done == 1
