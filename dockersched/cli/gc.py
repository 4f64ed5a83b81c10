"""`dockersched gc`: remove what broken-off runs left on the engine, and old runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.arguments import whole_number
from dockersched.cli.looking import print_lines
from dockersched.cli.running import add_state_dir, open_state_dir, tell_leaked

if TYPE_CHECKING:
    import argparse

HELP = "remove what broken-off runs left behind, and old runs"
DEFAULT_KEEP = 20


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

    from dockersched.recovery import collect_garbage  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    store = StateStore(open_state_dir(args))
    garbage = asyncio.run(collect_garbage(store, keep=args.keep, dry_run=args.dry_run))
    verb = "would remove" if args.dry_run else "removed"
    print_lines(f"{verb} {thing}" for thing in garbage.removed)
    tell_leaked(garbage.leaked)
    if not garbage.removed and not garbage.leaked:
        print("nothing to remove")
    return 1 if garbage.leaked else 0
