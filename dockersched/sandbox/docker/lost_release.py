"""A release that got lost: the connection took it, but the gate never read it.

So it is when a daemon dies with it and its containers live on (live-restore), or the network stalls. Such a gate would
wait until the deadline of a task that never began.
"""

from __future__ import annotations

from contextlib import suppress

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker import gating
from dockersched.sandbox.docker.calls import EngineCalls


def freeze_if_waiting(calls: EngineCalls, container: str) -> bool:
    """Whether a container that was to be released still waits behind its gate; then it is frozen, to be removed.

    Only what is frozen stays as it is seen: what was sent may arrive at any time. A frozen process that is killed does
    not run again.

    Args:
        calls: to the engine.
        container: id or name.
    """
    if _waits(calls, container):
        try:
            calls.pause(container)
        except EngineRefusedError:  # it has ended
            return False
        if _waits(calls, container):
            return True
    inspected = calls.inspect_or_none(container)
    if inspected is not None and inspected["State"]["Paused"]:  # now, or by an earlier try that the engine broke off
        with suppress(EngineRefusedError):  # it has ended
            calls.unpause(container)
    return False


def _waits(calls: EngineCalls, container: str) -> bool:
    try:
        return any(map(gating.is_gate, calls.processes(container)))
    except EngineRefusedError:  # it has ended, or the engine's host has no `ps`
        return False
