"""Epics of a few tasks that use all that decides what runs when: conditions, retries, finals, limits."""

from __future__ import annotations

import random
from collections.abc import Sequence

from dockersched import EpicExecutionOptions, QuotaConfig, RetryPolicy, ScheduledTask
from dockersched.epic import Epic
from dockersched.graph.dag import TaskDAG
from dockersched.model.condition import Rule, TaskIs

EPIC_ID, RUN_ID = "epic", "run"
EXIT_CODE = 3
"""The one that some tasks are tried again for."""

_RETRIES = (
    RetryPolicy(limit=0),
    RetryPolicy(initial_s=0.01),
    RetryPolicy(initial_s=0.01, exit_codes=[EXIT_CODE], limit=2),
    RetryPolicy(initial_s=0.001, on=["infra", "oom_killed"], memory_factor=2.0),
)


def random_epic(chance: random.Random) -> Epic:
    """An epic of two to nine tasks; a time limit, where it has one, is as short as its tasks."""
    tasks: list[ScheduledTask] = []
    for number in range(chance.randint(2, 9)):
        tasks.append(_random_task(chance, number, tasks))
    options = EpicExecutionOptions(
        epic_id=EPIC_ID,
        run_id=RUN_ID,
        max_parallel=chance.randint(1, 3),
        fail_fast=chance.random() < 0.35,
        timeout_s=chance.choice([None, None, None, 0.05, 0.3]),
        max_memory="1g",
        prepare_ahead=chance.choice([0, 0, 2]),
    )
    return Epic(TaskDAG(tasks), options)


def _random_task(chance: random.Random, number: int, earlier: Sequence[ScheduledTask]) -> ScheduledTask:
    is_final = chance.random() < 0.3
    before = [task.id for task in earlier if task.finally_ == is_final]
    depends_on = chance.sample(before, min(len(before), chance.randint(0, 2)))
    return ScheduledTask(
        f"{'final' if is_final else 'main'}-{number}",
        depends_on,
        "true",
        retry=chance.choice(_RETRIES),
        when=_random_condition(chance, depends_on),
        allow_failure=chance.random() < 0.15,
        finally_=is_final,
        priority=chance.randint(-1, 1),
        quota=QuotaConfig(memory=chance.choice(["128m", "512m", "1g"])) if chance.random() < 0.5 else None,
    )


def _random_condition(chance: random.Random, depends_on: Sequence[str]) -> Rule | TaskIs:
    if not depends_on:
        return "success"
    task_is = TaskIs(depends_on[0], chance.choice(["failed", "succeeded"]))
    conditions: Sequence[Rule | TaskIs] = ("success", "success", "failure", "always", task_is)
    return chance.choice(conditions)
