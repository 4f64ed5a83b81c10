"""What is left of a sandbox that ended, collected by one batch of engine calls, for one thread."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from dockersched.log import Logger
from dockersched.sandbox.docker import gating, outcome
from dockersched.sandbox.docker.batches import NeverReleasedError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.logfile import CollectedLog, collect
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason

_LOG_TRIES = 3

log = Logger("container")


class Collected(Struct, frozen=True):
    """What is left of a sandbox that ended."""

    ending: outcome.Ending
    log: CollectedLog | None


def collect_ended(
    calls: EngineCalls,
    container_id: str,
    *,
    stopped_for: Reason | None,
    log_path: Path | None,
    log_bytes: int,
    shown_bytes: int,
    patterns: SecretPatterns,
    health: EngineHealth,
    running_since: datetime | None,
) -> Collected | None:
    """How a container ended, and its output; None when it has not ended.

    Args:
        calls: to the engine.
        container_id: the container's id or name.
        stopped_for: why we stopped it; None when we did not.
        log_path: where its output goes; None keeps it nowhere.
        log_bytes: how much of it the engine keeps.
        shown_bytes: how much was shown live, without the secrets.
        patterns: what to take out of the output.
        health: when the engine was out of reach.
        running_since: when it is known to have run or not begun, by the clock of `health`; None when it is not.

    Raises:
        NeverReleasedError: it ended behind its gate.
    """
    inspected = calls.inspect_or_none(container_id)
    if inspected is None:
        gone = outcome.Ending(None, stopped_for or Reason.INTERRUPTED, "the container was removed by somebody else")
        return Collected(gone, None)
    if not outcome.has_ended(inspected["State"]):
        return None

    def read() -> CollectedLog:
        return collect(
            calls.read_log(container_id),
            log_path,
            limit_bytes=log_bytes,
            shown_bytes=shown_bytes,
            patterns=patterns,
        )

    output = _whole_log(read)
    # A gate that is stopped ends by the signal: these words, after that, are a task's.
    if stopped_for is None and gating.was_never_released(inspected, output.head, patterns):
        log.warning("container.never_released", container=container_id)
        raise NeverReleasedError
    ending = outcome.classify_exit(inspected["State"], stopped_for=stopped_for, log_head=output.head)
    if stopped_for is None and _is_doubtful(calls, inspected["Id"], ending, health, running_since):
        ending = outcome.doubted(ending)
    if output.summary and ending.started_at and health.was_full_since(ending.started_at):
        output = replace(output, summary=replace(output.summary, complete=False))
    return Collected(ending, output)


def _whole_log(read: Callable[[], CollectedLog]) -> CollectedLog:
    """The container's log; read again when it was cut, and after that taken as it is."""
    tries = 0
    while True:
        tries += 1
        log = read()
        if log.complete or tries == _LOG_TRIES:
            return log


def _is_doubtful(
    calls: EngineCalls, container_id: str, ending: outcome.Ending, health: EngineHealth, running_since: datetime | None
) -> bool:
    """Whether a daemon that went down may have ended the container.

    It ended while the engine was out of reach, or before we saw it run, and the daemon that answers now is not the one
    that started it. Only the engine's clock tells when it ended, and somebody may have set that, before or after.
    """
    if ending.started_at is None or ending.finished_at is None:
        return False
    if running_since is not None:
        if not health.was_lost_since(running_since):
            return False
        first, last = sorted((ending.finished_at, ending.finished_at - calls.clock_gain()))
        if not health.was_lost_between(first, last):
            return False
    return not calls.remembers(container_id, "start", ending.started_at)
