"""What a large epic costs, in processor time; a quarter of each bound is what it takes on an idle machine.

The exact figures, and those of a hundred thousand tasks and more, are for `make bench ARGS=scale`.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from dockersched.epic import Epic
from dockersched.epicfile import load_text
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, ScheduledTask
from dockersched.sandbox.fake import FakeRunner
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal, JournaledRunner
from tests.support.stopwatch import stopwatch

SIZE = 10_000


def random_tasks() -> list[ScheduledTask]:
    choose = random.Random(1)  # noqa: S311 - a graph is no secret
    needs = [choose.sample(range(index), 2) if index > 1 else [] for index in range(SIZE)]
    return [ScheduledTask(f"t{index}", [f"t{need}" for need in needed], "true") for index, needed in enumerate(needs)]


async def test_executes_ten_thousand_tasks_in_time() -> None:
    with stopwatch() as watch:
        result = await ParallelTaskScheduler(FakeRunner()).execute_epic(random_tasks())
    assert (result.succeeded, len(result.tasks)) == (True, SIZE)
    assert watch.seconds < 2


async def test_executes_ten_thousand_tasks_on_record_in_time(tmp_path: Path) -> None:
    dag, options = TaskDAG(random_tasks()), EpicExecutionOptions(max_parallel=500, run_id="r")
    store, fake = StateStore(tmp_path), FakeRunner()
    with stopwatch() as watch:
        store.create_run("r", Epic(dag, options), {}, {})
        await ParallelTaskScheduler(JournaledRunner(fake, Journal(store, "r"))).execute_epic(dag, options)
        store.close()
    assert sum(row.result is not None for row in store.attempts("r").values()) == SIZE
    assert watch.seconds < 5


def test_loads_ten_thousand_tasks_from_json_in_time() -> None:
    tasks = {task.id: {"command": "true", "depends_on": [*task.depends_on]} for task in random_tasks()}
    text = json.dumps({"epic": "big", "tasks": tasks})
    with stopwatch() as watch:
        epic = load_text(text, "big.json")
    assert len(epic.dag) == SIZE
    assert watch.seconds < 2
