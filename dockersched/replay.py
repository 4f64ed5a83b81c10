"""Takes in what an earlier process of a run has on record, before anything else happens to the run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from msgspec.structs import replace

from dockersched.epic_run import EpicRun, Settled
from dockersched.errors import StateError
from dockersched.graph.capacity import resumed, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.graph.standing import Standing
from dockersched.model import EpicExecutionOptions, QuotaConfig
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.states import Reason


class Earlier(Protocol):
    """What an earlier process of a run left."""

    def standing(self) -> Mapping[str, Standing]:
        """What is on record of each task that was started."""

    def recorded(self, options: SandboxRunOptions) -> SandboxResult | None:
        """The result of an attempt."""


def replay(
    run: EpicRun, recorded: Callable[[SandboxRunOptions], SandboxResult | None]
) -> Iterator[tuple[int, Settled]]:
    """Settles every attempt that is on record and whose turn comes.

    Args:
        run: that goes on.
        recorded: gives the result of an attempt.

    Yields:
        the index of each task whose attempt was taken in, and what follows.

    Raises:
        StateError: an attempt has no result, although the run's shares say so.
    """
    admission = run.plan.admission
    while (begun := run.start_recorded()) is not None:
        index, options = begun
        result = recorded(options)
        if result is None:
            raise StateError(f"attempt {options.attempt} of task {options.task_id!r} has no record")
        settled = run.settle(index, result)
        if settled.retry_in_s is not None and (index in admission.recorded or index in admission.in_flight):
            run.requeue(index)  # the pause before that attempt is over
            settled = replace(settled, retry_in_s=None)
        yield index, settled


def replayed(
    dag: TaskDAG, options: EpicExecutionOptions, earlier: Earlier, requests: Iterable[Iterable[str]] = ()
) -> tuple[EpicRun, list[int]]:
    """A run as far as it is on record, and the indexes of the tasks that were in flight when it broke off.

    Args:
        dag: the graph.
        options: of the run.
        earlier: what is on record.
        requests: tasks that were cancelled by name.
    """
    shares = resumed(dag, share_out(dag, options, None, lambda quota: quota or QuotaConfig()), earlier.standing())
    run = EpicRun(dag, options, (), shares)
    run.hold_back_failures()
    in_flight: list[int] = []
    orders: list[Callable[[], list[int]]] = [partial(run.cancel, task_ids) for task_ids in [(), *requests]]
    for order in [*orders, run.stop_held_back]:
        for index in order():
            run.settle(index, asyncio.CancelledError())
            in_flight.remove(index)
        for _ in replay(run, earlier.recorded):
            pass
        while (begun := run.start_in_flight()) is not None:
            in_flight.append(begun[0])
    return run, in_flight


def cancel(run: EpicRun, in_flight: Iterable[int]) -> None:
    """Cancels a run that is replayed: nothing that was in flight goes on, and only finals can still come.

    Args:
        run: as `replayed` gives it.
        in_flight: the same.
    """
    run.stop(Reason.CANCELLED)
    for index in in_flight:
        run.settle(index, asyncio.CancelledError())


class Attempts(Earlier, Protocol):
    """What is on record of each attempt of a run."""

    def begun(self, task_id: str) -> list[tuple[int, datetime]]:
        """The attempts of a task that count, and when each was about to be made."""

    def last_begun(self, task_ids: Collection[str]) -> datetime | None:
        """When the last attempt of these tasks was about to be made, whether it counts or not."""

    def disregard(self, task_id: str, attempt: int) -> None:
        """An attempt is none that counts: its task gets another."""


def disregard_early_finals(
    dag: TaskDAG,
    options: EpicExecutionOptions,
    earlier: Attempts,
    requests: Sequence[Iterable[str]],
    *,
    goes_on: bool = True,
) -> list[tuple[str, int]]:
    """Lets tasks with `finally` run again where others go on, or have gone on, after they ran.

    An earlier process that was stopped ran them; what it had to cancel runs now, and they come after that.

    Args:
        dag: the graph.
        options: of the run.
        earlier: what is on record.
        requests: tasks that were cancelled by name, and so do not go on.
        goes_on: False where the run was cancelled, so that none of the others goes on.

    Returns:
        the attempts that count no more: task and number.
    """
    finals = [task.id for task in dag if task.finally_]
    begun = [(task_id, attempt, at) for task_id in finals for attempt, at in earlier.begun(task_id)]
    if not begun:
        return []
    run, in_flight = replayed(dag, options, earlier, requests)
    if not goes_on:
        cancel(run, in_flight)
    last = earlier.last_begun([task.id for task in dag if not task.finally_])
    early = [
        (task_id, attempt)
        for task_id, attempt, at in begun
        if not run.plan.is_closing or (last is not None and at < last)
    ]
    for task_id, attempt in early:
        earlier.disregard(task_id, attempt)
    return early
