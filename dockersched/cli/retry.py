"""`dockersched retry RUN`: a new run that takes over what succeeded in an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_run, open_reader
from dockersched.cli.running import add_display, add_mounts, add_state_dir, open_state_dir, show_session

if TYPE_CHECKING:
    import argparse

HELP = "run again what did not succeed in an earlier run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    add_display(parser)
    add_mounts(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Runs what failed, was cancelled or never started; returns the exit code."""
    from dataclasses import replace  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.errors import StateError  # noqa: PLC0415
    from dockersched.inspection.runs import resolve_run_id  # noqa: PLC0415
    from dockersched.session import Session  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    store = StateStore(open_state_dir(args))
    run = store.run(resolve_run_id(open_reader(args), args.run))
    if run.state is None:
        raise StateError(f"run {run.run_id} is unfinished: `dockersched resume {run.run_id}` goes on with it")
    earlier = store.epic(run.run_id)
    epic = replace(earlier, options=replace(earlier.options, run_id=None))
    succeeded = {
        row.task_id: row.result
        for row in store.attempts(run.run_id).values()
        if row.result is not None and row.result.succeeded
    }
    return show_session(args, lambda settings: Session(epic, settings, store, succeeded=succeeded))
