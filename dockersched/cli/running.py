"""What the verbs that run an epic share: their options, and showing a session to whoever is watching."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.store import folder
from dockersched.store.folder import DEFAULT_STATE_DIR, named_state_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable

    from dockersched.events import Observer
    from dockersched.session import Session, SessionSettings


def add_state_dir(parser: argparse.ArgumentParser) -> None:
    """Declares `--state-dir`."""
    parser.add_argument(
        "--state-dir",
        metavar="DIR",
        default=named_state_dir(),
        help=f"where runs keep their files (DOCKERSCHED_STATE_DIR, {DEFAULT_STATE_DIR})",
    )


def add_display(parser: argparse.ArgumentParser) -> None:
    """Declares what is shown of a run."""
    parser.add_argument("--quiet", action="store_true", help="do not show the tasks' output")
    parser.add_argument(
        "--output",
        choices=("text", "json", "jsonl"),
        default="text",
        help="json prints result.json on stdout, jsonl each event as it happens",
    )


def add_mounts(parser: argparse.ArgumentParser) -> None:
    """Declares which folders sandboxes may see; it is never taken from a file."""
    parser.add_argument(
        "--allow-mount",
        metavar="DIR",
        action="append",
        default=[],
        help="folder below which mounts of the epic may lie (may be given more than once)",
    )


def open_state_dir(args: argparse.Namespace) -> Path:
    """The state directory, made if need be, and kept out of version control.

    Raises:
        StateError: it cannot be used.
    """
    return folder.open_state_dir(args.state_dir)


def show_session(args: argparse.Namespace, make: Callable[[SessionSettings], Session], *observers: Observer) -> int:
    """Runs the session that `make` builds, showing it as the arguments say; returns the exit code.

    Args:
        args: of the command.
        make: builds the session from its settings.
        observers: see every event, too.
    """
    import asyncio  # noqa: PLC0415

    from dockersched.report.console import ConsoleReport  # noqa: PLC0415
    from dockersched.report.document import to_json  # noqa: PLC0415
    from dockersched.report.jsonl import EventStream  # noqa: PLC0415
    from dockersched.session import SessionSettings  # noqa: PLC0415

    report = ConsoleReport(
        out=sys.stdout,
        err=sys.stderr,
        quiet=args.quiet,
        summary=args.output == "text",
        environ=os.environ,
    )
    events = EventStream(sys.stdout) if args.output == "jsonl" else None
    settings = SessionSettings(
        state_dir=open_state_dir(args),
        observers=(report.observe, *([events.observe] if events else []), *observers),
        on_output=None if args.quiet else report.output,
        progress=report.note,
        allow_mounts=tuple(args.allow_mount),
        handle_signals=True,
    )
    try:
        ended = asyncio.run(make(settings).run())
    finally:
        report.close()
        if events is not None:
            events.close()
    report.finish(ended.result, result_path=_shown(ended.path))
    if args.output == "json":
        print(to_json(ended.document))
    if events is not None and events.gone:
        raise BrokenPipeError
    tell_leaked(ended.leaked)
    return ended.exit_code


def tell_leaked(things: Iterable[str]) -> None:
    """Says on stderr what could not be removed from the engine, and how to do it by hand."""
    for thing in things:
        kind, _, name = thing.partition(" ")
        command = f"docker volume rm {name}" if kind == "volume" else f"docker rm -f {name}"
        print(f"dockersched: {thing} could not be removed ({command})", file=sys.stderr)


def _shown(path: Path) -> str:
    """A path as a person would type it here."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
