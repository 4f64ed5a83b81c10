"""Signals that stop a run, for programs that are nothing but that run."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from dockersched.log import Logger
from dockersched.report.commands import Commands
from dockersched.report.text import SHOW_CURSOR, can_move_cursor

log = Logger("session")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_LEFT = """dockersched: ended at once; sandboxes may be left: `{resume}` goes on with the run,
`{cancel}` ends it and removes them
"""


@contextmanager
def stopping_on_signals(stop: Callable[[int], None], run_id: str, commands: Commands) -> Iterator[None]:
    """Handles signals while the block runs: the first one stops the run, a second one ends the process at once.

    A hangup stays ignored where it was, as `nohup` asks for; afterwards all signals do what they did before, if
    that was no handler of the loop. Only for the main thread, and for one run at a time: a loop has one handler for
    each signal.

    Args:
        stop: called on the event loop with the exit code that the signal asks for, 128 + its number.
        run_id: of the run, for the last words.
        commands: that these name.
    """
    loop = asyncio.get_running_loop()
    received = False

    def on_signal(number: signal.Signals) -> None:
        nonlocal received
        if received:  # as if we did not handle it
            _say_last_words(_LEFT.format(resume=commands.resume(run_id), cancel=commands.cancel(run_id)))
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        received = True
        log.info("session.signal_received", signal=number.name)
        stop(128 + number)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            # What is not Python's, or was the loop's and is gone, cannot be set again.
            if handler is not None and getattr(handler, "__module__", None) != loop.add_signal_handler.__module__:
                signal.signal(number, handler)


def _say_last_words(text: str) -> None:
    """Also where a live table has hidden the cursor; whether somebody still reads is no matter."""
    with suppress(OSError):
        hidden = os.isatty(2) and can_move_cursor(os.environ)
        os.write(2, ((SHOW_CURSOR if hidden else "") + text).encode(errors="backslashreplace"))
