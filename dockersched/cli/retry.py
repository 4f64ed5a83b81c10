"""`dockersched retry RUN [--only TASK…]`: a new run that takes over what succeeded in an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.detach import add_detach, show_or_detach
from dockersched.cli.ending import check_ending
from dockersched.cli.looking import add_run, open_reader, recorded_run
from dockersched.cli.running import add_display, add_mounts, add_state_dir, open_state_dir, show_session

if TYPE_CHECKING:
    import argparse
    from collections.abc import Container, Sequence

    from dockersched.events import Observer
    from dockersched.graph.dag import TaskDAG
    from dockersched.results import SandboxResult
    from dockersched.store.database import StateStore

HELP = "run again what did not succeed in an earlier run"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument(
        "--only",
        metavar="TASK",
        action="append",
        default=[],
        help="run only this task again, whatever became of it (may be given more than once)",
    )
    add_detach(parser)
    add_display(parser)
    add_mounts(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Runs what failed, was cancelled or never started; returns the exit code, or 0 once it is detached."""
    from dataclasses import replace  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.errors import StateError  # noqa: PLC0415
    from dockersched.session import Session  # noqa: PLC0415
    from dockersched.store.database import StateStore  # noqa: PLC0415

    check_ending(args)
    store = StateStore(open_state_dir(args))
    run = store.run(recorded_run(open_reader(args), args.run))
    if run.state is None:
        raise StateError(f"run {run.run_id} is unfinished: `dockersched resume {run.run_id}` goes on with it")
    earlier = store.epic(run.run_id)
    succeeded = _still_good(store, run.run_id, earlier.dag, args.only)
    dag = _only(args.only, earlier.dag, succeeded, run.run_id) if args.only else earlier.dag
    epic = replace(earlier, dag=dag, options=replace(earlier.options, run_id=None))
    taken_over = {task_id: result for task_id, result in succeeded.items() if task_id in dag}

    def show(*observers: Observer) -> int:
        return show_session(args, lambda settings: Session(epic, settings, store, succeeded=taken_over), *observers)

    return show_or_detach(args, show)


def _still_good(store: StateStore, run_id: str, dag: TaskDAG, only: Sequence[str]) -> dict[str, SandboxResult]:
    """What succeeded and need not run again; what is done at the end is done for the new attempts, too."""
    return {
        row.task_id: row.result
        for row in store.attempts(run_id).values()
        if row.result is not None
        and row.result.succeeded
        and row.task_id not in only
        and (only or not dag[row.task_id].finally_)
    }


def _only(wanted: Sequence[str], dag: TaskDAG, succeeded: Container[str], run_id: str) -> TaskDAG:
    """The tasks that are wanted and those that they need, which must have succeeded or be wanted too."""
    from dockersched.errors import StateError  # noqa: PLC0415
    from dockersched.graph.problems import suggestion  # noqa: PLC0415

    if unknown := [task_id for task_id in wanted if task_id not in dag]:
        hint = suggestion(unknown[0], [task.id for task in dag])
        raise StateError(f"run {run_id} has no task {unknown[0]!r}{hint}")
    needed = dag.with_dependencies(wanted)
    if missing := [task.id for task in needed if task.id not in wanted and task.id not in succeeded]:
        raise StateError(
            f"{missing[0]!r}, which is needed, has not succeeded in run {run_id}: name it with --only {missing[0]} too"
        )
    return needed
