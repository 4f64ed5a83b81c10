"""Whether something in a container was killed for lack of memory: the engine can tell so after the exit."""

from __future__ import annotations

from functools import partial

from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.outcome import Ending, out_of_memory
from dockersched.sandbox.docker.patience import Patience
from dockersched.sandbox.docker.watcher import ExitWatcher
from dockersched.states import Reason

_DELAY_S = 1.0
"""Half a second after the exit was seen with 20.10 under load."""


async def with_late_word(
    ending: Ending, container_id: str, watcher: ExitWatcher, engine: Engine, patience: Patience
) -> Ending:
    """A container's ending, with an event of an out-of-memory kill; what could be one is waited for.

    Args:
        ending: as the engine's flag has it.
        container_id: the engine's id of the container.
        watcher: of its run.
        engine: that it was on.
        patience: with the engine.

    Raises:
        RunnerError: the machinery failed.
    """
    if ending.reason is Reason.KILLED:
        await watcher.out_of_memory(container_id, _DELAY_S)
    is_told = watcher.told_of_out_of_memory(container_id)
    if not is_told and ending.reason is Reason.KILLED and ending.started_at is not None:
        since = ending.started_at
        if since < engine.connected_at or engine.health.was_lost_since(since):  # it may have come to nobody
            ask = partial(EngineCalls.remembers, container=container_id, event="oom", since=since)
            is_told = await patience.call(ask)
    return out_of_memory(ending) if is_told else ending
