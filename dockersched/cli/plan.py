"""`dockersched plan EPIC`: what an epic would do if it were run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_output, open_reader, print_json, print_lines
from dockersched.cli.overrides import add_limits, with_overrides
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "tell order, duration and peaks of an epic without running it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("epic", metavar="EPIC", help="epic file, YAML or JSON; - reads standard input")
    add_limits(parser)
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the plan; returns 0."""
    from dockersched.epicfile import load, locate  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.errors import EpicError  # noqa: PLC0415
    from dockersched.inspection.outlook import look_ahead  # noqa: PLC0415
    from dockersched.inspection.outlook_text import plan_document, plan_lines  # noqa: PLC0415

    epic = with_overrides(load(args.epic), args)
    try:
        outlook = look_ahead(epic, open_reader(args).durations(epic.options.epic_id))
    except EpicError as error:  # the problems know the task, not yet the line
        raise EpicError(locate(error.problems, args.epic)) from error
    if args.output == "json":
        print_json(plan_document(outlook))
    else:
        print_lines(plan_lines(outlook))
    return 0
