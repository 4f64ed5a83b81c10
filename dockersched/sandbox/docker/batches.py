"""The batches of engine calls that launch a sandbox and remove it, each for one thread."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime
from typing import Any, Protocol

from msgspec import Struct

from dockersched.errors import EngineRefusedError, RunnerError, StateError
from dockersched.model import QuotaConfig
from dockersched.sandbox.docker import gating, outcome, readback, translate
from dockersched.sandbox.docker.calls import ArchiveTooLargeError, EngineCalls
from dockersched.sandbox.docker.phase_clock import PhaseClock
from dockersched.sandbox.docker.users import UnknownUserError
from dockersched.sandbox.docker.volumes import VolumeLostError, remove_held
from dockersched.states import Reason


class NeverReleasedError(Exception):
    """The sandbox ended behind its gate: nothing of its task ever ran."""


class LaunchRefusedError(RunnerError):
    """The sandbox could not be started; that is the task's outcome."""

    def __init__(self, reason: Reason, detail: str, effective: QuotaConfig | None = None) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.effective = effective


class Launched(Struct, frozen=True):
    """A container that was started, now or by an earlier call; `started_at` is known of an earlier one.

    With a gate, the task itself began later, when it was released.
    """

    container_id: str
    effective: QuotaConfig
    has_ended: bool
    started_at: datetime | None
    is_gated: bool


class Attachment(Protocol):
    """Files that a sandbox is started with, in volumes of its own; every call may be repeated."""

    def open(self, calls: EngineCalls) -> None:
        """Makes the volumes, before the sandbox's container is created."""

    def fill(self, calls: EngineCalls) -> None:
        """Puts the files in, once the container is created."""

    def check(self, calls: EngineCalls) -> None:
        """Makes sure, right after the start, that the sandbox got the files."""

    def started(self, calls: EngineCalls) -> None:
        """The sandbox runs: what only had to last until then may go."""


def launch(
    calls: EngineCalls,
    name: str,
    body: Mapping[str, Any],
    attachments: Sequence[Attachment] = (),
    *,
    clock: PhaseClock | None = None,
    created: str | None = None,
) -> Launched:
    """Creates a container, makes sure that all it is to be limited by is in effect, and starts it with its files.

    Args:
        calls: to the engine.
        name: of the container.
        body: that it is created from.
        attachments: its files.
        clock: is told of the start.
        created: id of the container, where it was created ahead.

    Raises:
        LaunchRefusedError: the engine refuses it, or does not apply a limit, or its files cannot be put in.
        RunnerError: the machinery failed.
    """
    return start(calls, create(calls, name, body, attachments, created), attachments, clock)


class Created(Struct, frozen=True):
    """A container that is as it was to be; an earlier call may have started it already."""

    inspected: Mapping[str, Any]
    effective: QuotaConfig


def create(
    calls: EngineCalls,
    name: str,
    body: Mapping[str, Any],
    attachments: Sequence[Attachment] = (),
    created: str | None = None,
) -> Created:
    """The first half of `launch`: creates a container and makes sure that all it is to be limited by is in effect."""
    with _refusing():
        if attachments:
            _open(calls, name, body, attachments)
        inspected = calls.inspect_or_none(created) if created else None
        if inspected is None:
            inspected = calls.inspect(calls.create_or_find(name, body))
        if not outcome.was_started(inspected["State"]) and not _can_be_started(body, inspected):
            calls.remove(str(inspected["Id"]))
            inspected = calls.inspect(calls.create_or_find(name, body))
    effective = readback.effective_quota(inspected)
    if difference := readback.difference(gating.as_made(body, inspected), inspected):
        raise LaunchRefusedError(Reason.QUOTA_NOT_APPLIED, difference, effective)
    return Created(inspected, effective)


def _can_be_started(body: Mapping[str, Any], inspected: Mapping[str, Any]) -> bool:
    """Whether what was created before, or by a process that died, is what is wanted now.

    A gate whose input nobody holds would wait for ever, and in the namespace of another holder there may be a sandbox.
    """
    if gating.is_gated(inspected) and not gating.has_gate(body):
        return False
    mode = str(inspected["HostConfig"].get("NetworkMode"))
    return not translate.is_joined(mode) or mode == body["HostConfig"]["NetworkMode"]


def start(
    calls: EngineCalls,
    created: Created,
    attachments: Sequence[Attachment] = (),
    clock: PhaseClock | None = None,
) -> Launched:
    """The second half of `launch`: starts a container with its files."""
    container_id, state = str(created.inspected["Id"]), created.inspected["State"]
    with _refusing():
        if not outcome.was_started(state):
            _start(calls, container_id, attachments, clock)
        for attachment in attachments:
            attachment.started(calls)
    return Launched(
        container_id,
        created.effective,
        outcome.has_ended(state),
        outcome.parse_time(state["StartedAt"]),
        gating.is_gated(created.inspected),
    )


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns the engine's refusal into the task's outcome."""
    try:
        yield
    except EngineRefusedError as refused:
        reason = outcome.classify_refusal(refused.status, refused.explanation)
        raise LaunchRefusedError(reason, refused.explanation) from refused


def _open(calls: EngineCalls, name: str, body: Mapping[str, Any], attachments: Sequence[Attachment]) -> None:
    """Makes the volumes, unless the container was started with them by an earlier call."""
    found = calls.find_ours(name, body["Labels"])
    if found is None or not outcome.was_started(found["State"]):
        for attachment in attachments:
            attachment.open(calls)


def _start(calls: EngineCalls, container_id: str, attachments: Sequence[Attachment], clock: PhaseClock | None) -> None:
    for attachment in attachments:
        _fill(calls, attachment)
    with clock.starting() if clock else nullcontext():
        calls.start(container_id)
    try:
        for attachment in attachments:
            attachment.check(calls)
    except VolumeLostError:
        calls.remove(container_id)  # it runs without its files
        raise


def _fill(calls: EngineCalls, attachment: Attachment) -> None:
    try:
        try:
            attachment.fill(calls)
        except VolumeLostError:
            attachment.open(calls)
            attachment.fill(calls)
    except UnknownUserError as unknown_user:
        raise LaunchRefusedError(Reason.BAD_USER, str(unknown_user)) from unknown_user
    except ArchiveTooLargeError as too_large:
        raise LaunchRefusedError(Reason.REJECTED, str(too_large)) from too_large
    except StateError as damaged:
        raise LaunchRefusedError(Reason.INPUT_DAMAGED, str(damaged)) from damaged


def remove(
    calls: EngineCalls,
    name: str,
    labels: Mapping[str, str],
    held: Iterable[str] = (),
    container_id: str | None = None,
) -> bool:
    """Kills and removes the container of an attempt, and then what kept its files.

    Args:
        calls: to the engine.
        name: of the container.
        labels: the identity of the attempt.
        held: endings of the names of its volumes.
        container_id: of the container, where it is known to be that of the attempt.

    Returns:
        whether there was a container.
    """
    if container_id is None:
        was_there = calls.remove_ours(name, labels)
    else:
        calls.remove(container_id)
        was_there = True
    for ending in held:
        remove_held(calls, f"{name}{ending}", labels)
    return was_there
