"""`dockersched logs RUN TASK`: a task's output, while it runs or afterwards."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockersched.cli.arguments import ordinal, whole_number
from dockersched.cli.looking import add_run, check_task, open_reader, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator


HELP = "print the output of a task, stdout and stderr as they came"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument("task", metavar="TASK", help="id of the task")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the task's attempt has ended")
    parser.add_argument("--tail", type=whole_number, metavar="N", help="only the last N lines, and what follows them")
    parser.add_argument("--attempt", type=ordinal, metavar="N", help="which attempt (the last one)")
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the output; returns 0."""
    import asyncio  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.inspection.output import TaskOfRun, TaskOutput  # noqa: PLC0415
    from dockersched.inspection.runs import find_run  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    check_task(reader, run, args.task)
    task = TaskOfRun(run.epic_id or "", run.run_id, args.task, args.attempt)
    with _writer() as write:
        output = TaskOutput(reader, task, write=write, note=_note)
        asyncio.run(output.show(follow=args.follow, tail=args.tail))
    return 0


@contextmanager
def _writer() -> Iterator[Callable[[bytes], None]]:
    """Byte for byte; but a terminal gets nothing that could steer it."""
    from dockersched.report.text import TerminalText  # noqa: PLC0415

    def write(data: bytes) -> None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()

    if not sys.stdout.isatty():
        yield write
        return
    shown = TerminalText(sys.stdout.encoding)
    yield lambda data: write(shown.feed(data))
    write(shown.end())


def _note(line: str) -> None:
    from dockersched.report.text import printable  # noqa: PLC0415

    print_lines([f"dockersched: {printable(line)}"], sys.stderr)
