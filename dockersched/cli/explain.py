"""`dockersched explain RUN TASK`: why a task waits, never started, or failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_output, add_run, check_task, open_reader, print_json, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "tell why a task waits, never started, or failed, and what helps"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument("task", metavar="TASK", help="id of the task")
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the explanation; returns 0, however the task stands."""
    from dockersched.inspection.explain import explain  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.inspection.runs import find_run  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    check_task(reader, run, args.task)
    found = explain(reader, run, args.task)
    if args.output == "json":
        from dockersched.inspection.explain_document import explain_document  # noqa: PLC0415

        print_json(explain_document(found))
    else:
        from dockersched.inspection.explain_text import explanation_lines  # noqa: PLC0415

        print_lines(explanation_lines(found))
    return 0
