"""GitHub Actions: a run's failures as annotations, and the run on the workflow's page.

No text of a task is a command in the one or markup in the other.
"""

from __future__ import annotations

import html
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from dockersched.report.digest import Digest, RootCause, cause_lines
from dockersched.report.summary import counts_words
from dockersched.report.text import count_of, one_line
from dockersched.report.wording import duration_words, reason_words
from dockersched.results import EpicResult
from dockersched.states import TaskState
from dockersched.units import format_duration

LIMIT_BYTES = 2**20
"""What a step may say on the page; of a longer file nothing is shown."""

_ANNOTATIONS_MAX = 10
"""Errors that the runner shows of one step."""
_TITLE_MAX = 120
_ROWS_PER_STATE = 100
_ID_MAX = 100
_CUT = "\n\nThere was no room for more.\n"


def error_commands(result: EpicResult, digest: Digest) -> Iterator[str]:
    """The commands, a line each, that show a run's failures beside the workflow's steps; bounded.

    Args:
        result: of the run.
        digest: of its failures.
    """
    if result.succeeded:
        return
    shown = digest.causes[: _ANNOTATIONS_MAX - 1]
    for cause in shown:
        title = f"epic {result.epic_id}: task {cause.task.task_id}"
        yield _error(title, "\n".join(cause_lines(cause)))
    if more := len(result.root_cause_ids) - len(shown):
        yield _error(f"epic {result.epic_id}", f"tasks that failed, beside those that are shown: {more:,}")
    elif not shown:
        yield _error(f"epic {result.epic_id}", f"the epic ended as {result.state}")


def append_step_summary(path: Path, result: EpicResult, digest: Digest, exit_code: int) -> None:
    """Appends what there is room for to the file that the runner reads.

    Args:
        path: of the file; what other programs of the step wrote stays.
        result: of the run.
        digest: of its failures.
        exit_code: of the program.

    Raises:
        OSError: it cannot be written.
    """
    with path.open("ab") as file:
        room = LIMIT_BYTES - file.seek(0, os.SEEK_END)
        file.write(step_summary(result, digest, exit_code, room).encode())


def step_summary(result: EpicResult, digest: Digest, exit_code: int, max_bytes: int) -> str:
    """The Markdown: a table of the tasks, and each root cause with the end of its log."""
    kept: list[str] = []
    room = max_bytes - len(_CUT)
    for part in _parts(result, digest, exit_code):
        room -= len(part.encode())
        if room < 0:
            return "".join([*kept, _CUT]) if max_bytes >= len(_CUT) else ""
        kept.append(part)
    return "".join(kept)


def _parts(result: EpicResult, digest: Digest, exit_code: int) -> Iterator[str]:
    took = format_duration(max(0.0, (result.finished_at - result.started_at).total_seconds()))
    yield f"\n### Epic {_plain(result.epic_id)}: {_plain(result.state)}\n\n"
    yield f"{counts_words(result)} in {took}, exit code {exit_code}, run {_plain(result.run_id)}\n\n"
    yield from (_cause(cause) for cause in digest.causes)
    if digest.left_out:
        yield f"… and {count_of(digest.left_out, 'more failed task')}\n\n"
    yield _row(("task", "state", "reason", "duration", "attempts"))
    yield _row(["---"] * 5)
    seen: Counter[TaskState] = Counter()
    for task in result.tasks.values():
        seen[task.state] += 1
        if seen[task.state] <= _ROWS_PER_STATE:
            cells = (task.task_id, task.state, reason_words(task), duration_words(task), task.attempts or "")
            yield _row(_plain(str(cell)) for cell in cells)
    for state, count in seen.items():
        if count > _ROWS_PER_STATE:
            yield f"\n… and {count - _ROWS_PER_STATE:,} more {_plain(state)}\n"


def _cause(cause: RootCause) -> str:
    text = html.escape("\n".join(cause_lines(cause)), quote=False)
    return f"<pre>{text}</pre>\n\n"


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _plain(text: str) -> str:
    """The text on one line as character references, which Markdown takes for text whatever they stand for."""
    line = one_line(text, _ID_MAX)
    return "".join(char if char.isalnum() or char == " " else f"&#{ord(char)};" for char in line)


def _error(title: str, message: str) -> str:
    return f"::error title={_escaped_property(one_line(title, _TITLE_MAX))}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
