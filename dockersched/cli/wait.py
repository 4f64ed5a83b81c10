"""`dockersched wait RUN`: wait for the end of a run that another process owns."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dockersched.cli.looking import add_output, add_run, open_reader, print_json, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "wait until a run has ended, and end with its exit code"
EXIT_OWNER_DIED = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Waits; returns the exit code of the run, or 3 when there is nobody who could end it."""
    from dockersched.inspection.runs import find_run  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.inspection.text import run_line  # noqa: PLC0415
    from dockersched.store.lock import wait_for_owner  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    while run.pid is not None:
        wait_for_owner(run.folder)
        run = find_run(reader, run.run_id)
    if args.output == "json":
        from dockersched.inspection.documents import run_document  # noqa: PLC0415

        print_json(run_document(run))
    elif run.has_ended:
        print_lines([run_line(run)])
    if run.exit_code is None:
        print_lines([f"dockersched: {run_line(run)}"], sys.stderr)
        return EXIT_OWNER_DIED
    return run.exit_code
