"""What the verbs that run an epic share: their options, and showing a session to whoever is watching."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.cli.agents import is_called_by_agent
from dockersched.cli.arguments import whole_number
from dockersched.collector import collect_seldom
from dockersched.store import folder
from dockersched.store.folder import DEFAULT_STATE_DIR, named_state_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Sequence

    from dockersched.events import Observer
    from dockersched.report.digest import DigestSettings
    from dockersched.session import Session, SessionResult, SessionSettings

EXIT_NOT_WRITTEN = 1


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
        choices=("text", "json", "jsonl", "agent"),
        default="agent" if is_called_by_agent(os.environ) else "text",
        help="what is on stdout: json is result.json, jsonl each event as it happens, agent what a language model "
        "needs to know at the end (default: text, or agent where an agent calls)",
    )
    parser.add_argument("--junit", metavar="FILE", help="also write the result as JUnit XML")
    parser.add_argument(
        "--digest-bytes",
        type=whole_number,
        metavar="N",
        help="what is said of failures in result.json and to agents, in bytes (4096)",
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


def digest_settings(args: argparse.Namespace, allow_mounts: Sequence[str] = ()) -> DigestSettings:
    """How failures are digested; the commands in it can be called where this one was."""
    from dockersched.report.commands import Commands  # noqa: PLC0415
    from dockersched.report.digest import DEFAULT_BYTES, DigestSettings  # noqa: PLC0415

    state_dir = None if args.state_dir == DEFAULT_STATE_DIR else os.path.abspath(args.state_dir)  # noqa: PTH100
    mounts = tuple(os.path.abspath(folder) for folder in allow_mounts)  # noqa: PTH100
    commands = Commands(state_dir, mounts, program_words(sys.argv[0], sys.executable))
    max_bytes = getattr(args, "digest_bytes", None)
    return DigestSettings(DEFAULT_BYTES if max_bytes is None else max_bytes, commands)


def program_words(called_as: str, python: str) -> tuple[str, ...]:
    """The words that call this program again from the same folder.

    Args:
        called_as: path that it was called by.
        python: path of the interpreter.
    """
    import shutil  # noqa: PLC0415

    path = Path(called_as)
    if path.name != "dockersched":
        return (python, "-m", "dockersched")
    found = shutil.which("dockersched")
    if found is not None and Path(found).resolve() == path.resolve():
        return ("dockersched",)
    return (_shown(path.absolute()),)


def show_session(args: argparse.Namespace, make: Callable[[SessionSettings], Session], *observers: Observer) -> int:
    """Runs the session that `make` builds, showing it as the arguments say; returns the exit code.

    Args:
        args: of the command.
        make: builds the session from its settings.
        observers: see every event, too.
    """
    import asyncio  # noqa: PLC0415

    from dockersched.cli.ending import write_reports  # noqa: PLC0415
    from dockersched.report.console import ConsoleReport  # noqa: PLC0415
    from dockersched.report.github import json_cleaner  # noqa: PLC0415
    from dockersched.report.jsonl import EventStream  # noqa: PLC0415
    from dockersched.session import SessionSettings  # noqa: PLC0415

    # Whoever reads all that is said, as a language model does, is told no more than what came of it.
    is_brief = args.output == "agent"
    report = ConsoleReport(
        out=sys.stdout,
        err=sys.stderr,
        quiet=args.quiet,
        summary=args.output == "text",
        environ=os.environ,
    )
    events = EventStream(sys.stdout, json_cleaner(os.environ)) if args.output == "jsonl" else None
    settings = SessionSettings(
        state_dir=open_state_dir(args),
        observers=(
            *([] if is_brief else [report.observe]),
            *([events.observe] if events else []),
            *observers,
        ),
        on_output=None if args.quiet or is_brief else report.output,
        progress=report.note,
        allow_mounts=tuple(args.allow_mount),
        handle_signals=True,
        digest=digest_settings(args, args.allow_mount),
    )
    try:
        session = make(settings)
        collect_seldom()
        ended = asyncio.run(session.run())
    finally:
        report.close()
        if events is not None:
            events.close()
    report.finish(ended.result, result_path=_shown(ended.path))
    all_written = write_reports(ended, args.junit, os.environ)
    tell_leaked(ended.leaked)
    _print_result(args.output, ended)
    report.check()
    if events is not None:
        events.check()
    return ended.exit_code or (0 if all_written else EXIT_NOT_WRITTEN)


def _print_result(output: str, ended: SessionResult) -> None:
    """Prints how the run ended, for those who do not read the summary."""
    from dockersched.report.agent import agent_lines  # noqa: PLC0415
    from dockersched.report.github import json_cleaner, text_cleaner  # noqa: PLC0415
    from dockersched.report.stream import Stream  # noqa: PLC0415

    clean = text_cleaner(os.environ)
    if output == "json":
        text, clean = ended.path.read_text("ascii"), json_cleaner(os.environ)
    elif output == "agent":
        lines = agent_lines(ended.result, ended.digest, exit_code=ended.exit_code, result_path=ended.path)
        text = "".join(f"{line}\n" for line in lines)
    else:
        return
    stream = Stream(sys.stdout, clean)
    stream.write(text)
    stream.check()


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
