"""What is promised of runs, whatever happens to their processes.

Each function looks at one moment, and notes in the world what does not hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dockersched import ScheduledTask, TaskState
from tests.support.lives.world import ENDED, SLACK_S, Attempt, World, seconds, shown


@dataclass
class Sight:
    """What a process of a run knows.

    Attributes:
        attempts: those that were on record when it began.
        named: tasks that were cancelled by name before it began.
        stops: main tasks that were to go on may be stopped in its time before they do.
        ended: tasks whose end was told in its time.
    """

    attempts: frozenset[Attempt]
    named: frozenset[str]
    stops: bool
    ended: set[str]


def of_a_beginning(world: World, sight: Sight, attempt: Attempt) -> None:
    """A container is about to be made, and its task to run."""
    name, task = shown(attempt), world.epic.dag[attempt[0]]
    row = world.rows.get(attempt)
    world.expect(f"{name} runs after its intent is on record", holds=row is not None)
    world.expect(f"{name} runs once", holds=row is None or row.result is None)
    world.expect(f"{name} has a free slot", holds=len(world.running()) < world.epic.options.max_parallel)
    world.expect(f"{name} runs beside no other attempt of its task", holds=task.id not in world.running())
    world.expect(f"{name} does not run after its end was told", holds=task.finally_ or task.id not in world.told)
    for success in world.successes(task.id):
        goes_on = sight.stops or world.went_on_after(success.intended_at)
        world.expect(f"{name} does not run after a success, or is a final of others", holds=task.finally_ and goes_on)
    if attempt not in sight.attempts:
        world.expect(f"{name} was not cancelled by name before", holds=task.id not in sight.named)
        late = row and world.failed_at_s is not None and seconds(row.intended_at) > world.failed_at_s + SLACK_S
        world.expect(f"{name} does not begin after a failure under `fail_fast`", holds=task.finally_ or not late)


def of_a_start(world: World, sight: Sight, task_id: str) -> None:
    """Somebody is told that a task has started."""
    before = sight.ended.issuperset(world.epic.dag[task_id].depends_on)
    world.expect(f"{task_id} starts after all that it depends on", holds=before)


def of_preparing(world: World, attempt: Attempt) -> None:
    """A container is to be made ahead."""
    world.expect(f"{shown(attempt)} is prepared before it is begun", holds=attempt not in world.rows)


def of_discarding(world: World, attempt: Attempt) -> None:
    """A container is to be removed, as nobody needs it."""
    container = world.containers.get(attempt)
    ended = container is None or container.is_gone or container.ends_at_s <= world.now_s + SLACK_S
    world.expect(f"{shown(attempt)} is not discarded while it runs", holds=ended)


def of_states(world: World, states: Mapping[str, TaskState], teller: str) -> None:
    """Somebody is told how all tasks ended: as it is on record."""
    for task in world.epic.dag:
        state = states[task.id]
        succeeded = state is TaskState.SUCCEEDED
        told = f"{task.id}, told as {state} by {teller}"
        world.expect(f"{told}, has a success on record", holds=not succeeded or any(world.successes(task.id)))
        world.expect(f"{told}, has no success that counts", holds=succeeded or not _has_succeeded_for_good(world, task))
        if task.finally_ and state in ENDED:
            last = world.last_container(task.id)
            holds = last is not None and last.began_at_s + SLACK_S >= world.mains_until_s()
            world.expect(f"{told}, ran after all main tasks", holds=holds)
        if not task.finally_ and task.when == "success" and world.last_container(task.id):
            needed = [other for other in task.depends_on if not world.epic.dag[other].allow_failure]
            holds = all(states[other] is TaskState.SUCCEEDED for other in needed)
            world.expect(f"{told}, ran after successes of {needed}", holds=holds)


def of_an_end(world: World, states: Mapping[str, TaskState], told: Mapping[str, TaskState]) -> None:
    """A run has come to its end, of which some tasks' ends were told by earlier processes."""
    of_states(world, states, "the result")
    for task_id, state in told.items():
        stays = states[task_id] is state or world.epic.dag[task_id].finally_
        world.expect(f"{task_id} is {states[task_id]} as it was told before: {state}", holds=stays)
    world.expect(f"nothing runs in the end: {world.running()}", holds=not world.running())


def _has_succeeded_for_good(world: World, task: ScheduledTask) -> bool:
    """A success of a main task stays; that of a final unless others went on, so that it had to come again."""
    if not task.finally_:
        return any(world.successes(task.id))
    last = world.last_container(task.id)
    return any(
        last is world.containers.get((task.id, row.attempt)) and not world.went_on_after(row.intended_at)
        for row in world.successes(task.id)
    )
