"""Going on in a process of its own: what a run needs to outlive its caller and the caller's terminal."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from dockersched.events import Event, Observer

CONSOLE_NAME = "console.log"


def add_detach(parser: argparse.ArgumentParser) -> None:
    """Declares `--detach`."""
    parser.add_argument(
        "--detach", action="store_true", help="print the run's id and leave the run to a process of its own"
    )


def show_or_detach(args: argparse.Namespace, show: Callable[..., int]) -> int:
    """Shows a run here, or in a process of its own if that is asked for; returns the exit code.

    Args:
        args: of the command; `--output` says how a detached run is announced here.
        show: runs and shows it; its arguments are observers that must see the events.
    """
    if not args.detach:
        return show()

    from dockersched.cli.looking import open_reader, print_json  # noqa: PLC0415
    from dockersched.cli.running import open_state_dir  # noqa: PLC0415
    from dockersched.inspection.documents import run_document  # noqa: PLC0415
    from dockersched.inspection.runs import find_run  # noqa: PLC0415

    def announce(run_id: str) -> None:
        if as_json:
            print_json(run_document(find_run(open_reader(args), run_id)))
        else:
            print(run_id)

    as_json = args.output == "json"
    args.output = "text"
    return run_detached(open_state_dir(args), show, announce)


def run_detached(state_dir: Path, execute: Callable[[Observer], int], announce: Callable[[str], None]) -> int:
    """Executes in a new process, and returns as soon as that owns its run; returns twice, once in each process.

    The new process has a session of its own, and its output goes to a file, in the run's folder once there is one. If
    it ends without owning a run, what it said is said here, and its exit code is returned.

    Args:
        state_dir: the state directory.
        execute: runs in the new process, with an observer that must see the events; returns its exit code.
        announce: gets the run's id, in the process that called.

    Raises:
        StateError: the file for the output cannot be made; only in the new process, which the other one follows.
    """
    console = state_dir / f".console-{secrets.token_hex(8)}.log"
    from dockersched.session.trouble import writing  # noqa: PLC0415 - keeps `--help` fast

    reading, telling = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.setsid()
        with writing(state_dir):
            _redirect(console)
        return execute(_Announcer(console, telling))
    os.close(telling)
    try:
        with os.fdopen(reading, encoding="utf-8") as told:
            run_id = told.read().strip()
    except BaseException:
        os.kill(child, signal.SIGTERM)  # nobody learns of the run: it must not go on
        os.waitpid(child, 0)
        console.unlink(missing_ok=True)
        raise
    if run_id:
        announce(run_id)
        return 0
    _, status = os.waitpid(child, 0)
    with suppress(FileNotFoundError):
        with console.open(encoding="utf-8", errors="replace") as said:
            shutil.copyfileobj(said, sys.stderr)
        console.unlink()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


class _Announcer:
    """At the launch of the run, moves the console into its folder and tells the caller its id."""

    def __init__(self, console: Path, telling: int) -> None:
        self._console = console
        self._telling: int | None = telling

    def __call__(self, event: Event) -> None:
        from dockersched.events import RunLaunched  # noqa: PLC0415 - keeps `--help` fast

        if not isinstance(event, RunLaunched) or self._telling is None:
            return
        _move_console(self._console, event.state_dir / "runs" / event.run_id / CONSOLE_NAME)
        with suppress(BrokenPipeError):  # the caller is gone already
            os.write(self._telling, event.run_id.encode())
        os.close(self._telling)
        self._telling = None


def _move_console(console: Path, path: Path) -> None:
    """Moves the file that this process writes to; of a run that goes on, what is there already stays before it."""
    if not path.exists():
        console.rename(path)
        return
    output = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(output, console.read_bytes())
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    console.unlink()


def _redirect(console: Path) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(console, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)
    for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, stream)
    for descriptor in (nothing, output):
        os.close(descriptor)
