"""What the engine says of a container, turned into an outcome. Pure; the only place that classifies.

It cannot know: whether a process that ended with 137 was killed by the host or ended itself with that code; both
are `killed` unless the engine told of an out-of-memory kill. And a process that prints tini's own words for a
program that cannot be executed, and nothing else, and exits as tini does, is taken at its word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dockersched.states import Reason

_SIGKILL_EXIT = 137
_SIGSYS_EXIT = 159
_SIGSYS = "killed by SIGSYS: it calls the kernel as 32-bit programs do, or has a filter of its own"
_TINI_FAILURE = re.compile(rb"\[FATAL tini \(\d+\)\] exec .+ failed: (?P<error>[^\n]{1,200})\n", re.DOTALL)
_TINI_REASONS = {126: Reason.NOT_EXECUTABLE, 127: Reason.NOT_FOUND}

# Words of the engine, of containerd, of runc and of gVisor, as seen with Docker Engine 20.10 and 26.1.
_REFUSALS = (
    # What holds the network namespace that it was to join is gone.
    (re.compile(r"cannot join network of|/proc/\d+/ns/net"), Reason.ENGINE_ERROR),
    (re.compile(r"storage-opt|error setting rlimit"), Reason.QUOTA_NOT_APPLIED),
    (
        re.compile(
            r"unable to find (user|group)|uids and gids must be in range|invalid user|no matching entries in passwd"
        ),
        Reason.BAD_USER,
    ),
    (re.compile(r"chdir to cwd|mkdir:? /|initial working directory"), Reason.BAD_WORKING_DIR),
    # Of a program only: a daemon that goes down misses files of its own.
    (re.compile(r'executable file not found|exec: ".*no such file or directory', re.DOTALL), Reason.NOT_FOUND),
    (re.compile(r'exec format error|exec: ".*(permission denied|is a directory)', re.DOTALL), Reason.NOT_EXECUTABLE),
    (re.compile(r"No such image"), Reason.IMAGE_UNAVAILABLE),
    # Somebody removed it between its creation and its start.
    (re.compile(r"No such container|is marked for removal"), Reason.INTERRUPTED),
)


class Ending(Struct, frozen=True):
    """How a container's process ended."""

    exit_code: int | None
    reason: Reason | None
    detail: str = ""
    oom_event: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None


def classify_exit(state: Mapping[str, Any], *, stopped_for: Reason | None, log_head: bytes) -> Ending:
    """The ending of a container that was started and has ended.

    Args:
        state: the `State` of the engine's inspect answer.
        stopped_for: why we stopped it (`timed_out`, `cancelled`); None when we did not.
        log_head: the first bytes of its output, in which the init process tells why it could not execute.
    """
    exit_code, oom = int(state["ExitCode"]), bool(state.get("OOMKilled"))
    detail = str(state.get("Error") or "")
    reason: Reason | None = None
    if stopped_for is not None:
        reason = stopped_for
    elif oom and exit_code == _SIGKILL_EXIT:
        reason = Reason.OOM_KILLED
    elif exit_code == _SIGKILL_EXIT:
        reason = Reason.KILLED
    elif exit_code in _TINI_REASONS and (failure := _TINI_FAILURE.fullmatch(log_head)):
        reason = _TINI_REASONS[exit_code]
        detail = failure["error"].decode("utf-8", "replace")
    elif exit_code != 0:
        reason = Reason.EXIT_CODE
        detail = _SIGSYS if exit_code == _SIGSYS_EXIT else detail
    started_at, finished_at = parse_time(state.get("StartedAt")), parse_time(state.get("FinishedAt"))
    if started_at and finished_at:
        # The engine takes the start's time after the process may have ended.
        finished_at = max(started_at, finished_at)
    return Ending(exit_code, reason, detail, oom, started_at, finished_at)


def doubted(ending: Ending) -> Ending:
    """An ending that a daemon going down may have brought about: whatever the exit code says, it is no success.

    Docker Engine 20.10 gives exit code 0 to a container that it stopped itself (moby#31262, moby#45788).
    """
    return replace(
        ending,
        reason=Reason.INTERRUPTED,
        detail=f"the engine went down while it ran; its exit code {ending.exit_code} tells nothing",
    )


def out_of_memory(ending: Ending) -> Ending:
    """An ending with an event of an out-of-memory kill.

    Docker Engine 20.10 leaves out its flag when it takes in the event after the exit.
    """
    reason = Reason.OOM_KILLED if ending.reason is Reason.KILLED else ending.reason
    return replace(ending, reason=reason, oom_event=True)


def classify_refusal(status: int, explanation: str) -> Reason:
    """Why the engine refused to create or start a container.

    The status does not tell whose fault it is: an unknown user gives 500 as a full disk does.
    """
    for words, reason in _REFUSALS:
        if words.search(explanation):
            return reason
    return Reason.REJECTED if 400 <= status < 500 else Reason.ENGINE_ERROR


def parse_time(text: str | None) -> datetime | None:
    """The engine's RFC 3339 time with nanoseconds; its zero time means never."""
    if not text or text.startswith("0001-"):
        return None
    return datetime.fromisoformat(text)


def was_started(state: Mapping[str, Any]) -> bool:
    """Whether the container's process was ever started; its status alone does not tell."""
    return parse_time(state.get("StartedAt")) is not None


def has_ended(state: Mapping[str, Any]) -> bool:
    """Whether a started container's process has ended."""
    return state.get("Status") in {"exited", "dead"}
