"""What the verbs that only look at runs share: their options, and how they answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping
    from typing import TextIO

    from dockersched.inspection.runs import RunView
    from dockersched.report.text import Paint
    from dockersched.store.reader import StateReader


def add_run(parser: argparse.ArgumentParser) -> None:
    """Declares `RUN`."""
    parser.add_argument("run", metavar="RUN", help="id of the run, the beginning of it, or `last`")


def add_output(parser: argparse.ArgumentParser) -> None:
    """Declares `--output`."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json prints one object on stdout")


def open_reader(args: argparse.Namespace) -> StateReader:
    """A reader of the state directory, which need not be there.

    Raises:
        StateError: nothing can be there.
    """
    from dockersched.store.folder import find_state_dir  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.store.reader import StateReader  # noqa: PLC0415

    return StateReader(find_state_dir(args.state_dir))


def recorded_run(reader: StateReader, reference: str) -> str:
    """The id of the run that is meant, which is on record: its tasks are known.

    Raises:
        StateError: no such run, or more than one, is meant, or it ended too early for that.
        RunOwnedError: it gets its images ready, in another process.
    """
    from dockersched.errors import RunOwnedError  # noqa: PLC0415
    from dockersched.inspection.runs import OpenState, find_run  # noqa: PLC0415

    run = find_run(reader, reference)
    check_not_lost(run)
    if run.state == OpenState.PREPARING:
        raise RunOwnedError(run.run_id, run.pid or 0)
    return run.run_id


def check_not_lost(run: RunView) -> None:
    """Refuses a run of which nothing is on record, nor will be.

    Raises:
        StateError: it is such a one.
    """
    if run.is_lost:
        from dockersched.errors import StateError  # noqa: PLC0415
        from dockersched.inspection.text import run_line  # noqa: PLC0415

        raise StateError(run_line(run))


def check_task(reader: StateReader, run: RunView, task_id: str) -> None:
    """Refuses a task that the run does not have.

    Raises:
        StateError: it has none of that name, or nothing of it is on record.
    """
    from dockersched.errors import StateError  # noqa: PLC0415
    from dockersched.graph.problems import suggestion  # noqa: PLC0415

    check_not_lost(run)
    known = reader.dependencies(run.run_id)
    if task_id not in known and (known or run.pid is None):  # else its tasks are not on record yet
        raise StateError(f"run {run.run_id} has no task {task_id!r}{suggestion(task_id, list(known))}")


def paint_for_stdout() -> Paint:
    """Colours, where stdout shows them."""
    import os  # noqa: PLC0415

    from dockersched.report.text import Paint, colours_wanted  # noqa: PLC0415

    return Paint(enabled=colours_wanted(os.environ, terminal=sys.stdout.isatty()))


def print_lines(lines: Iterable[str], file: TextIO | None = None) -> None:
    """Prints lines, none of which a CI service's runner takes for a command.

    Args:
        lines: without their ends.
        file: where to; stdout by default.
    """
    import os  # noqa: PLC0415

    from dockersched.report.github import text_cleaner  # noqa: PLC0415

    clean = text_cleaner(os.environ) or str
    for line in lines:
        print(clean(line), file=file)


def print_json(document: Mapping[str, object]) -> None:
    """Prints a document on one line, in ASCII: that is fast for many tasks, too. Nor is any of it a command."""
    import json  # noqa: PLC0415
    import os  # noqa: PLC0415

    from dockersched.report.github import json_cleaner  # noqa: PLC0415

    clean = json_cleaner(os.environ) or str
    print(clean(json.dumps(document)))
