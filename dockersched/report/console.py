"""What a person sees of a run while it goes on, and at its end."""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Literal, NamedTuple, TextIO

from dockersched.events import Event, TaskFinished
from dockersched.log import Logger
from dockersched.report.github import text_cleaner
from dockersched.report.stream import Stream
from dockersched.report.summary import summary_lines
from dockersched.report.text import Paint, can_move_cursor, colours_wanted, one_line
from dockersched.report.transcript import Transcript

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

    from dockersched.report.live import LiveView
    from dockersched.results import EpicResult

_log = Logger("report")

_BACKLOG_BYTES = 4 * 2**20
"""Output that may wait for the display; what comes beyond is left out, as it is in the log."""
_BATCH_ITEMS = 1_000
_BATCH_BYTES = 64 * 2**10
_REFRESH_S = 0.25
_MIN_FRAME_S = 0.05
_PATIENCE_S = 2.0


class _Output(NamedTuple):
    task_id: str
    data: bytes
    skipped_bytes: int


class _Note(NamedTuple):
    text: str


_Item = Event | _Output | _Note | Literal["close"]


class ConsoleReport:
    """Shows a run: a live table on a terminal, plain lines elsewhere, and a summary at the end.

    `observe`, `output` and `note` only put things in a queue, so they may be called on the event loop; a
    thread of its own formats and writes. A reader that is slow or gone costs the run nothing.

    Args:
        out: gets the summary.
        err: gets everything else.
        quiet: leave out the tasks' output.
        summary: whether there is one at the end.
        environ: for NO_COLOR, FORCE_COLOR, CI, TERM and GITHUB_ACTIONS.
    """

    def __init__(self, *, out: TextIO, err: TextIO, quiet: bool, summary: bool, environ: Mapping[str, str]) -> None:
        clean = text_cleaner(environ)
        self._out = Stream(out, clean)
        self._err = Stream(err, clean)
        self._quiet = quiet
        self._summary = summary
        self._environ = environ
        self._paint = Paint(enabled=colours_wanted(environ, terminal=self._err.isatty()))
        self._is_live = self._err.isatty() and not _is_ci(environ) and can_move_cursor(environ)
        self._transcript = Transcript(self._paint, starts=not self._is_live)
        self._view: LiveView | None = None

        self._items: SimpleQueue[_Item] = SimpleQueue()
        self._closing = threading.Event()
        # Two counters, each with one writer: what waits is their difference, without a lock.
        self._bytes_in = 0
        self._bytes_out = 0
        self._skipped: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def observe(self, event: Event) -> None:
        """Takes in an event of the run."""
        if isinstance(event, TaskFinished) and event.result.task_id in self._skipped:
            self._put(_Output(event.result.task_id, b"", self._skipped.pop(event.result.task_id)))
        self._put(event)

    def output(self, task_id: str, data: bytes) -> None:
        """Takes in a chunk of a task's output; it may begin and end anywhere."""
        if self._quiet or self._err.gone:
            return
        if self._bytes_in - self._bytes_out > _BACKLOG_BYTES:
            self._skipped[task_id] = self._skipped.get(task_id, 0) + len(data)
            return
        self._bytes_in += len(data)
        self._put(_Output(task_id, data, self._skipped.pop(task_id, 0) if self._skipped else 0))

    def note(self, text: str) -> None:
        """Takes in a line about what goes on beside the tasks, such as the building of an image."""
        self._put(_Note(text))

    def close(self) -> None:
        """Shows what is still waiting and gives the terminal back.

        It waits as long as the reader takes something now and then, and gives up on one that does not.
        """
        self._closing.set()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        for task_id, size in self._skipped.items():
            self._items.put(_Output(task_id, b"", size))
        self._items.put("close")
        progress = -1
        while thread.is_alive() and progress != self._err.written:
            progress = self._err.written
            thread.join(_PATIENCE_S)

    def finish(self, result: EpicResult, result_path: str | os.PathLike[str] | None = None) -> None:
        """Closes the display and prints the summary, which tells where `result.json` is."""
        self.close()
        if not self._summary:
            return
        paint = Paint(enabled=colours_wanted(self._environ, terminal=self._out.isatty()))
        margin = "\n" if self._out.isatty() else ""
        self._out.write(margin + "".join(f"{line}\n" for line in summary_lines(result, paint, result_path)))

    def check(self) -> None:
        """Tells whoever must know whether the summary was written.

        Raises:
            OSError: it was not; a `BrokenPipeError` where the reader has hung up.
        """
        self._out.check()

    def _put(self, item: _Item) -> None:
        if self._err.gone or self._closing.is_set():
            return
        if self._thread is None:
            # A daemon: a reader that never reads must not keep the program from ending.
            self._thread = threading.Thread(target=self._display, name="dockersched-display", daemon=True)
            self._thread.start()
        self._items.put(item)

    def _display(self) -> None:
        try:
            while self._show(self._take()) and not self._err.gone:
                if self._view is not None:
                    self._closing.wait(_MIN_FRAME_S)
        except Exception as error:  # noqa: BLE001 - a display that fails must not fail the run
            self._err.failure = error
            _log.warning("display.failed", error=repr(error))
        finally:
            if self._view is not None:
                self._view.close()

    def _take(self) -> list[_Item]:
        items: list[_Item] = []
        size = 0
        try:
            items.append(self._items.get(timeout=_REFRESH_S if self._view else None))
            while len(items) < _BATCH_ITEMS and size < _BATCH_BYTES:
                items.append(item := self._items.get_nowait())
                size += len(item.data) if isinstance(item, _Output) else 0
        except Empty:
            pass
        return items

    def _show(self, items: list[_Item]) -> bool:
        """Shows the items; false after the last one."""
        lines: list[str] = []
        for item in items:
            match item:
                case "close":
                    break
                case _Output():
                    self._bytes_out += len(item.data)
                    lines += self._output_lines(item)
                case _Note():
                    lines.append(one_line(item.text))
                case event:
                    lines += self._transcript.event(event)
                    self._update_view(event)
        if self._view is None:
            self._err.write("".join(f"{line}\n" for line in lines))
        elif lines:
            self._view.show(lines)
        else:
            self._view.refresh()
        return "close" not in items

    def _output_lines(self, item: _Output) -> list[str]:
        lines = self._transcript.skipped(item.task_id, item.skipped_bytes) if item.skipped_bytes else []
        return lines + self._transcript.output(item.task_id, item.data)

    def _update_view(self, event: Event) -> None:
        if not self._is_live:
            return
        if self._view is None:
            from dockersched.report.live import LiveView  # noqa: PLC0415 - rich takes 0.1 s to import

            self._view = LiveView.on(self._err, self._paint, self._environ)
        self._view.update(event)


def _is_ci(environ: Mapping[str, str]) -> bool:
    return environ.get("CI", "").lower() not in ("", "0", "false")
