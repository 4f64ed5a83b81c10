"""`dockersched resume [RUN]`: go on with a run that broke off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.detach import add_detach, show_or_detach
from dockersched.cli.ending import check_ending
from dockersched.cli.looking import open_reader, recorded_run
from dockersched.cli.running import add_display, add_mounts, add_state_dir, open_state_dir, show_session

if TYPE_CHECKING:
    import argparse

    from dockersched.events import Observer

HELP = "go on with a run that broke off"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "run", metavar="RUN", nargs="?", help="id of the run, the beginning of it, or `last` (the last unfinished one)"
    )
    add_detach(parser)
    add_display(parser)
    add_mounts(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Goes on with the run; returns its exit code, or 0 once it is detached.

    A run that is finished only gives its exit code again.
    """
    import sys  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.session import Session  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    check_ending(args)
    store = StateStore(open_state_dir(args))
    run = store.run(recorded_run(open_reader(args), args.run)) if args.run else store.last_unfinished()
    if run.state is not None:
        print(f"dockersched: run {run.run_id} is finished: {run.state}", file=sys.stderr)
        return run.exit_code or 0
    epic = store.epic(run.run_id)

    def show(*observers: Observer) -> int:
        return show_session(args, lambda settings: Session(epic, settings, store), *observers)

    return show_or_detach(args, show)
