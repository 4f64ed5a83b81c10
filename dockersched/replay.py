"""Takes in what an earlier process of a run has on record, before anything else happens to the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from msgspec.structs import replace

from dockersched.epic_run import EpicRun, Settled
from dockersched.errors import StateError
from dockersched.graph.admission import Standing
from dockersched.graph.capacity import resumed, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, QuotaConfig
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions


class Earlier(Protocol):
    """What an earlier process of a run left."""

    def standing(self) -> Mapping[str, Standing]:
        """What is on record of each task that was started."""

    def recorded(self, options: SandboxRunOptions) -> SandboxResult | None:
        """The result of an attempt."""


def replay(
    run: EpicRun, recorded: Callable[[SandboxRunOptions], SandboxResult | None]
) -> Iterator[tuple[int, Settled]]:
    """Settles every attempt that is on record and whose turn comes; what was stopped or cancelled since comes after it.

    Args:
        run: that goes on; nothing of it has been started.
        recorded: gives the result of an attempt.

    Yields:
        the index of each task whose attempt was taken in, and what follows.

    Raises:
        StateError: an attempt has no result, although the run's shares say so.
    """
    admission = run.plan.admission
    with run.failures_held_back():
        while (begun := run.start_resumed(admission.recorded)) is not None:
            index, options = begun
            result = recorded(options)
            if result is None:
                raise StateError(f"attempt {options.attempt} of task {options.task_id!r} has no record")
            settled = run.settle(index, result)
            if settled.retry_in_s is not None and (index in admission.recorded or index in admission.in_flight):
                run.requeue(index)  # the pause before that attempt is over
                settled = replace(settled, retry_in_s=None)
            yield index, settled


def replayed(dag: TaskDAG, options: EpicExecutionOptions, earlier: Earlier) -> EpicRun:
    """A run as far as it is on record."""
    shares = resumed(dag, share_out(dag, options, None, lambda quota: quota or QuotaConfig()), earlier.standing())
    run = EpicRun(dag, options, (), shares)
    for _ in replay(run, earlier.recorded):
        pass
    return run
