"""`dockersched resume [RUN]`: go on with a run that broke off."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dockersched.cli.detach import add_detach, show_or_detach
from dockersched.cli.ending import check_ending
from dockersched.cli.looking import open_reader, recorded_run
from dockersched.cli.running import add_display, add_mounts, add_state_dir, open_state_dir, show_session
from dockersched.errors import FinishedRunError

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
    from dockersched.session import Session  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.store.database import StateStore  # noqa: PLC0415

    check_ending(args)
    store = StateStore(open_state_dir(args))
    run_id = recorded_run(open_reader(args), args.run) if args.run else store.last_unfinished().run_id
    epic = store.epic(run_id)

    def show(*observers: Observer) -> int:
        try:
            return show_session(args, lambda settings: Session(epic, settings, store), *observers)
        except FinishedRunError as finished:  # only now: another process went on with it first
            return _told(finished)

    try:
        store.refuse_finished(run_id)
    except FinishedRunError as finished:
        return _told(finished)
    return show_or_detach(args, show)


def _told(finished: FinishedRunError) -> int:
    print(f"dockersched: {finished}", file=sys.stderr)
    return finished.exit_code
