"""`dockersched run EPIC`: run an epic and show what happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.detach import add_detach, show_or_detach
from dockersched.cli.ending import check_ending
from dockersched.cli.overrides import add_limits, with_overrides
from dockersched.cli.running import add_display, add_mounts, add_state_dir, open_state_dir, show_session

if TYPE_CHECKING:
    import argparse

    from dockersched.epic import Epic
    from dockersched.events import Observer
    from dockersched.session import SessionSettings

HELP = "run an epic, each task in its own sandbox"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("epic", metavar="EPIC", help="epic file, YAML or JSON; - reads standard input")
    add_limits(parser)
    parser.add_argument(
        "--prepare-ahead", metavar="N", help="sandboxes started behind a gate before their tasks may run (0)"
    )
    parser.add_argument("--timeout", metavar="DURATION", help="limit for the whole epic, as 90s or 1h30m")
    parser.add_argument("--fail-fast", action="store_true", help="stop everything at the first failure")
    parser.add_argument("--locked", action="store_true", help="refuse images that are not given by their digest")
    add_detach(parser)
    parser.add_argument("--new", action="store_true", help="start anew even if the epic's last run is unfinished")
    add_display(parser)
    add_mounts(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Runs the epic; returns the exit code, or 0 once it is detached."""
    # Imports are here to keep `--help` fast. What asks the engine comes first: it answers while the rest loads.
    from dockersched.sandbox.docker.connect import meet_in_background  # noqa: PLC0415

    met = None if args.detach else meet_in_background()

    from dataclasses import replace  # noqa: PLC0415

    from msgspec import structs  # noqa: PLC0415

    from dockersched.epicfile import load, locate  # noqa: PLC0415
    from dockersched.errors import EpicError  # noqa: PLC0415
    from dockersched.session import Session  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    check_ending(args)
    epic = with_overrides(load(args.epic), args)
    if args.fail_fast:
        epic = replace(epic, options=replace(epic.options, fail_fast=True))
    if args.locked:
        _refuse_tags(epic, args.epic)
    store = StateStore(open_state_dir(args))

    def make(settings: SessionSettings) -> Session:
        return Session(epic, structs.replace(settings, met=met), store, beside_others=args.new)

    def show(*observers: Observer) -> int:
        try:
            return show_session(args, make, *observers)
        except EpicError as error:  # of secrets or the engine: the problems know the task, not yet the line
            raise EpicError(locate(error.problems, args.epic)) from error

    return show_or_detach(args, show)


def _refuse_tags(epic: Epic, source: str) -> None:
    """What runs must be what was agreed on."""
    from dockersched.epicfile import locate  # noqa: PLC0415
    from dockersched.errors import EpicError  # noqa: PLC0415
    from dockersched.sandbox.docker.pins import find_tags  # noqa: PLC0415

    if problems := find_tags(epic.dag):
        raise EpicError(locate(problems, source))
