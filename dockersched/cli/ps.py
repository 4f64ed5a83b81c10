"""`dockersched ps`: which runs there are, and how they stand."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dockersched.cli.looking import add_output, open_reader, paint_for_stdout, print_json, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "list the runs of a state directory, the newest first"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the runs; returns 0."""
    from dockersched.inspection.runs import list_runs  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    damaged: list[str] = []
    runs = list_runs(open_reader(args), damaged.append)
    print_lines((f"dockersched: {line}" for line in damaged), sys.stderr)
    if args.output == "json":
        from dockersched.inspection.documents import runs_document  # noqa: PLC0415

        print_json(runs_document(runs))
    else:
        from dockersched.inspection.text import runs_lines  # noqa: PLC0415

        print_lines(runs_lines(runs, paint_for_stdout()) if runs or damaged else ["no runs yet"])
    return 0
