"""`dockersched gc`: remove what broken-off runs left on the engine, and old runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dockersched.cli.arguments import whole_number
from dockersched.cli.looking import print_lines
from dockersched.cli.running import add_state_dir, tell_leaked

if TYPE_CHECKING:
    import argparse

HELP = "remove what broken-off runs left behind, and old runs"
DEFAULT_KEEP = 20
_NAMED_MAX = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--keep", type=whole_number, default=DEFAULT_KEEP, metavar="N", help=f"finished runs to keep ({DEFAULT_KEEP})"
    )
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Removes, and prints a line for each thing removed; returns 1 if something could not be."""
    import asyncio  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.recovery import Garbage, collect_garbage  # noqa: PLC0415
    from dockersched.report.text import printable  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415
    from dockersched.store.folder import find_state_dir  # noqa: PLC0415

    garbage = Garbage()
    state_dir = find_state_dir(args.state_dir)
    try:
        if state_dir.exists():
            asyncio.run(collect_garbage(StateStore(state_dir), garbage, keep=args.keep, dry_run=args.dry_run))
    finally:
        verb = "would remove" if args.dry_run else "removed"
        print_lines(f"{verb} {thing}" for thing in garbage.removed)
        tell_leaked(garbage.leaked)
        print_lines((f"dockersched: {printable(failure)}" for failure in garbage.failed), sys.stderr)
    if garbage.kept:
        what = "runs are" if len(garbage.kept) > 1 else "run is"
        shown = ", ".join(garbage.kept[:_NAMED_MAX]) + (", …" if len(garbage.kept) > _NAMED_MAX else "")
        told = (
            f"kept what of {state_dir} may be needed: {len(garbage.kept)} {what} not in this "
            f"database, which may have been lost ({shown}); remove these folders by hand if nobody needs them"
        )
        print_lines([told])
    elif not garbage.removed and not garbage.leaked and not garbage.failed:
        print("nothing to remove")
    return 1 if garbage.leaked or garbage.failed else 0
