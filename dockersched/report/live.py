"""A table of the run that changes in place, at the bottom of a terminal; lines scroll by above it."""

from __future__ import annotations

import time
from collections import deque
from itertools import chain, islice
from typing import TYPE_CHECKING, TextIO, cast

from msgspec import Struct

# Only a terminal's user pays for importing this module.
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from dockersched.events import (
    EpicFinished,
    EpicStarted,
    Event,
    RunDone,
    RunLaunched,
    TaskFinished,
    TaskRetrying,
    TaskStarted,
)
from dockersched.report.text import Paint, one_line
from dockersched.report.wording import STATE_STYLES, duration_words, reason_words
from dockersched.states import TaskState
from dockersched.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dockersched.report.stream import Stream
    from dockersched.results import TaskResult

_ROWS_MAX = 30
_MINUTE_S = 60
_FRAME_LINES = 3
"""Title, header, and the line on what is left out."""

_Row = tuple[Text, Text, str]


class _Epic(Struct):
    name: str = ""
    total: int = 0
    started_at: float = 0.0


class LiveView:
    """The table and the lines above it. Used by one thread; it changes only when told to.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._epic = _Epic(started_at=time.monotonic())
        self._waiting: dict[str, None] = {}
        self._running: dict[str, float] = {}
        self._failed: list[TaskResult] = []
        self._others: deque[TaskResult] = deque(maxlen=_ROWS_MAX)
        self._finished = 0
        self._closed = False
        self._live = Live(
            self,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start()

    @classmethod
    def on(cls, stream: Stream, paint: Paint, environ: Mapping[str, str]) -> LiveView:
        """A view on a terminal."""
        return cls(
            Console(
                file=cast("TextIO", stream),
                force_terminal=True,
                no_color=not paint.enabled,
                color_system="standard" if paint.enabled else None,
                highlight=False,
                markup=False,
                emoji=False,
                _environ=environ,
            )
        )

    def update(self, event: Event) -> None:
        """Takes in an event; the table shows it at the next refresh."""
        match event:
            case EpicStarted():
                self._epic = _Epic(event.epic_id, len(event.task_ids), time.monotonic())
                self._waiting = dict.fromkeys(event.task_ids)
            case TaskStarted():
                self._waiting.pop(event.task_id, None)
                self._running[event.task_id] = time.monotonic()
            case TaskRetrying():
                self._running.pop(event.task_id, None)
                self._waiting[event.task_id] = None
            case TaskFinished(result=task):
                self._waiting.pop(task.task_id, None)
                self._running.pop(task.task_id, None)
                self._finished += 1
                (self._failed if task.is_root_cause else self._others).append(task)
            case RunLaunched() | EpicFinished() | RunDone():
                pass

    def show(self, lines: list[str]) -> None:
        """Prints lines above the table, which is drawn anew."""
        # Soft wrap: the terminal breaks long lines, so that they are copied whole.
        self._console.print(Text.from_ansi("\n".join(lines)), soft_wrap=True)

    def refresh(self) -> None:
        """Draws the table anew."""
        self._live.refresh()

    def close(self) -> None:
        """Takes the table away; the lines stay."""
        self._closed = True
        self._live.stop()

    def __rich__(self) -> Group:
        """The table as it is at this moment: rich draws it anew below all that is printed."""
        return Group() if self._closed else Group(self._title(), self._table())

    def _table(self) -> Table:
        # Half of the terminal stays for the lines above.
        room = max(1, min(_ROWS_MAX, self._console.size.height // 2 - _FRAME_LINES))
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("task", no_wrap=True, overflow="ellipsis")
        table.add_column("state", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        rows = self._rows()
        for row in islice(rows, room):
            table.add_row(*row)
        left_out = self._epic.total - room
        if left_out > 0:
            table.add_row(Text(f"… and {left_out:,} more", style="dim"))
        return table

    def _title(self) -> Text:
        counts = (
            f"{self._finished:,}/{self._epic.total:,} finished",
            f"{len(self._running):,} running",
            f"{len(self._waiting):,} waiting",
        )
        title = Text(one_line(self._epic.name, 40), style="bold", no_wrap=True, overflow="ellipsis")
        title.append(f"  {' · '.join(counts)}", style="not bold")
        if self._failed:
            title.append(f" · {len(self._failed):,} failed", style="not bold red")
        elapsed = int(time.monotonic() - self._epic.started_at)
        return title.append(f"  {elapsed // 60}:{elapsed % 60:02d}", style="not bold dim")

    def _rows(self) -> Iterator[_Row]:
        """What matters first: running, failed, waiting, then what ended last."""
        now = time.monotonic()
        running = (
            _row(task_id, TaskState.RUNNING, "running", _elapsed(now - since))
            for task_id, since in self._running.items()
        )
        waiting = (_row(task_id, TaskState.PENDING, "waiting", "") for task_id in self._waiting)
        failed, others = map(_finished_row, self._failed), map(_finished_row, reversed(self._others))
        return chain(running, failed, waiting, others)


def _finished_row(task: TaskResult) -> _Row:
    reason = reason_words(task)
    return _row(task.task_id, task.state, f"{task.state}{f' ({reason})' if reason else ''}", duration_words(task))


def _elapsed(seconds: float) -> str:
    return f"{seconds:.1f}s" if seconds < _MINUTE_S else format_duration(seconds)


def _row(task_id: str, state: TaskState, words: str, duration: str) -> _Row:
    return Text(one_line(task_id, 48)), Text(words, style=STATE_STYLES.get(state, "dim")), duration
