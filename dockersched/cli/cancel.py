"""`dockersched cancel RUN [TASK…]`: end a run, or tasks of it, from another process."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from dockersched.cli.looking import add_run, open_reader
from dockersched.cli.running import add_state_dir, digest_settings, tell_leaked

if TYPE_CHECKING:
    import argparse

    from dockersched.store.reader import StateReader

HELP = "cancel a run, or tasks of it"
_WAIT_S = 60.0
_LOOK_S = 0.1


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument("tasks", metavar="TASK", nargs="*", help="tasks to cancel, with all that depends on them")
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Asks the owner, or ends the run itself where there is none any more; returns 0 once the run has ended."""
    from dockersched.errors import StateError  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.inspection.runs import find_run  # noqa: PLC0415
    from dockersched.store.requests import CancelRequests  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    if run.has_ended or run.is_lost:
        return _finished_already(run.run_id, run.state)
    known = reader.dependencies(run.run_id)
    if unknown := [task_id for task_id in args.tasks if task_id not in known]:
        why = f"has no task {unknown[0]!r}" if known else "gets its images ready: until then, cancel the whole run"
        raise StateError(f"run {run.run_id} {why}")
    if run.pid is None:
        return _end_orphan(args, reader, run.run_id, args.tasks)
    CancelRequests(run.folder).put(args.tasks)
    return 0 if args.tasks else _wait_for_end(args, reader, run.run_id)


def _wait_for_end(args: argparse.Namespace, reader: StateReader, run_id: str) -> int:
    """Waits until the owner has ended the run; does it in its place should it die meanwhile."""
    from dockersched.inspection.runs import find_run  # noqa: PLC0415

    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        run = find_run(reader, run_id)
        if run.has_ended or run.is_lost:
            return 0
        if run.pid is None:
            return _end_orphan(args, reader, run_id, [])
        time.sleep(_LOOK_S)
    print(f"dockersched: run {run_id} has not ended yet", file=sys.stderr)
    return 1


def _end_orphan(args: argparse.Namespace, reader: StateReader, run_id: str, task_ids: list[str]) -> int:
    import asyncio  # noqa: PLC0415

    from dockersched.errors import FinishedRunError  # noqa: PLC0415
    from dockersched.recovery import cancel_orphaned_tasks, end_orphan  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    store = StateStore(reader.state_dir)
    try:
        if task_ids:
            leaked = asyncio.run(cancel_orphaned_tasks(store, run_id, task_ids))
            print(f"dockersched: `dockersched resume {run_id}` goes on with the rest of the run", file=sys.stderr)
        else:
            leaked = asyncio.run(end_orphan(store, run_id, digest_settings(args)))
    except FinishedRunError as finished:  # somebody went on with it since
        return _finished_already(run_id, finished.state)
    tell_leaked(leaked)
    return 1 if leaked else 0


def _finished_already(run_id: str, state: str) -> int:
    print(f"dockersched: run {run_id} is finished already: {state}", file=sys.stderr)
    return 0
