"""`dockersched status [RUN]`: how a run and each of its tasks stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_output, open_reader, paint_for_stdout, print_json, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "show how a run and each of its tasks stand"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "run", metavar="RUN", nargs="?", default="last", help="id of the run, the beginning of it, or `last` (default)"
    )
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the status; returns 0, however the run stands."""
    from dockersched.inspection.runs import find_run  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.inspection.tasks import read_tasks  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    tasks = read_tasks(reader, run.run_id, has_ended=run.has_ended)
    if args.output == "json":
        from dockersched.inspection.documents import status_document  # noqa: PLC0415

        print_json(status_document(run, tasks))
    else:
        from dockersched.inspection.text import status_lines  # noqa: PLC0415

        print_lines(status_lines(run, tasks, paint_for_stdout()))
    return 0
