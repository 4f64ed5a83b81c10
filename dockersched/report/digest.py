"""The failure digest: what a program that plans work must know of each failure, in few bytes.

It tells of root causes only. What it holds is bounded by the bytes of its text, as `cause_lines` writes it; root causes
share them fairly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from dockersched.report.commands import Commands
from dockersched.report.log_tail import log_tail
from dockersched.report.quota_words import quota_words
from dockersched.report.text import count_of, one_line
from dockersched.report.wording import advice, duration_words, path_words, reason_sentence
from dockersched.results import EpicResult, TaskResult
from dockersched.states import Reason

DEFAULT_BYTES = 4 * 2**10

_TAIL_LINES = 1_000
_LEAST_TAIL_BYTES = 160
"""Room that is kept for the end of each log before another root cause is told of."""
_LEFT_OUT_BYTES = 64
_ID_MAX = 100
_DETAIL_MAX = 300
_BAR = "  | "
"""Before each line that a task wrote or that may quote it, so that no such line can be taken for one of ours."""


class DigestSettings(Struct, frozen=True):
    """How a digest is made.

    Args:
        max_bytes: of its text, in UTF-8.
        commands: for what its reader may want to call.
    """

    max_bytes: int = DEFAULT_BYTES
    commands: Commands = field(default_factory=Commands)


class RootCause(Struct, frozen=True):
    """A task that failed itself.

    Args:
        task: its result.
        detail: one line in the words of the engine or so, often empty.
        meaning: what happened, in a sentence.
        advice: whose it is and what helps.
        rerun: the command that runs this task again, and no other.
        log_tail: the last lines of its output, printable, as many as there is room for.
    """

    task: TaskResult
    detail: str
    meaning: str
    advice: str
    rerun: str
    log_tail: Sequence[str] = ()


class Digest(Struct, frozen=True):
    """The root causes of a run.

    Args:
        max_bytes: that its text may have.
        causes: in declaration order.
        left_out: how many more there are.
        commands: for what its reader may want to call.
    """

    max_bytes: int
    causes: Sequence[RootCause]
    left_out: int
    commands: Commands


def make_digest(result: EpicResult, settings: DigestSettings) -> Digest:
    """The digest of a run; reads the ends of its logs.

    Args:
        result: of the run.
        settings: its limit, and what its commands need.
    """
    failed = result.root_cause_ids
    causes: list[RootCause] = []
    tails: list[list[str]] = []
    room = settings.max_bytes - (_LEFT_OUT_BYTES if len(failed) > 1 else 0)
    kept = 0
    for task_id in failed:
        cause = _cause(result, result.tasks[task_id], settings.commands)
        tail = _tail(cause.task)
        size = _size(cause_lines(cause))
        least = min(_size(tail), _LEAST_TAIL_BYTES)
        if size + kept + least > room and (causes or size > room):
            break
        causes.append(cause)
        tails.append(tail)
        room -= size
        kept += least
    shares = _fair_shares([_size(tail) for tail in tails], room)
    told = [_with_tail(cause, tail, share) for cause, tail, share in zip(causes, tails, shares, strict=True)]
    return Digest(settings.max_bytes, told, len(failed) - len(told), settings.commands)


def digest_lines(digest: Digest) -> Iterator[str]:
    """The text of a digest, printable; with a line end each, its lines have no more bytes than were allowed."""
    for cause in digest.causes:
        yield from cause_lines(cause)
    if digest.left_out and digest.max_bytes >= _LEFT_OUT_BYTES:
        yield f"… and {count_of(digest.left_out, 'more failed task')}"


def cause_lines(cause: RootCause) -> Iterator[str]:
    """The text of one root cause."""
    task = cause.task
    yield f"{one_line(task.task_id, _ID_MAX)}: {cause.meaning} ({task.reason})"
    if cause.detail and task.reason is not Reason.EXIT_CODE:
        yield f"{_BAR}{cause.detail}"
    yield f"  {cause.advice}"
    if task.attempts:
        ran = f", the last one ran {duration_words(task)}" if duration_words(task) else ""
        yield f"  attempts: {task.attempts}{ran}"
    if quota := quota_words(task):
        yield f"  {quota}"
    log = task.sandbox.log if task.sandbox else None
    if log is not None:
        size = f"{log.size_bytes:,} bytes{', its beginning is lost' if log.truncated else ''}"
        yield f"  log: {path_words(log.path)} ({size})"
    yield from (f"{_BAR}{line}" for line in cause.log_tail)
    yield f"  run only this task again: {cause.rerun}"


def _cause(result: EpicResult, task: TaskResult, commands: Commands) -> RootCause:
    return RootCause(
        task,
        one_line(task.detail, _DETAIL_MAX),
        reason_sentence(task),
        advice(task),
        commands.retry(result.run_id, task.task_id),
    )


def _tail(task: TaskResult) -> list[str]:
    """The last lines of its output with the bar before them."""
    log = task.sandbox.log if task.sandbox else None
    return [f"{_BAR}{line}" for line in log_tail(log.path, _TAIL_LINES)] if log is not None else []


def _with_tail(cause: RootCause, tail: Sequence[str], share: int) -> RootCause:
    lines = tuple(line.removeprefix(_BAR) for line in _last_within(tail, share))
    return replace(cause, log_tail=lines)


def _last_within(lines: Sequence[str], max_bytes: int) -> list[str]:
    """The last lines that have room; where not even the last one has, its beginning."""
    kept: list[str] = []
    room = max_bytes
    for line in reversed(lines):
        room -= _size([line])
        if room < 0:
            break
        kept.append(line)
    if not kept and lines:
        mark = " …"
        cut = lines[-1].encode()[: max(0, max_bytes - _size([mark]))].decode("utf-8", "ignore")
        return [cut + mark] if len(cut) > len(_BAR) else []
    return kept[::-1]


def _fair_shares(wanted: Sequence[int], room: int) -> list[int]:
    """Bytes for each: all that it wants, or as many as any other that does not get all."""
    shares = [0] * len(wanted)
    waiting = sorted(range(len(wanted)), key=wanted.__getitem__)
    for place, index in enumerate(waiting):
        shares[index] = min(wanted[index], max(0, room) // (len(waiting) - place))
        room -= shares[index]
    return shares


def _size(lines: Sequence[str] | Iterator[str]) -> int:
    return sum(len(line.encode()) + 1 for line in lines)
