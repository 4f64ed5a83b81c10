"""`dockersched artifacts RUN [TASK]`: what tasks made, listed, or copied to a folder."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.cli.looking import (
    add_output,
    add_run,
    check_not_lost,
    check_task,
    open_reader,
    print_json,
    print_lines,
)
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from dockersched.results import OutputSummary

    MadeOutput = tuple[str, str, OutputSummary]

HELP = "list the outputs of a run, or copy them to a folder"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument("task", metavar="TASK", nargs="?", help="id of a task (all)")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="copy them to FOLDER/TASK/OUTPUT/")
    add_output(parser)
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Lists or copies; returns 0, or 1 if an output that is listed is not where it was."""
    from dockersched.inspection.runs import find_run  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    reader = open_reader(args)
    run = find_run(reader, args.run)
    if args.task is None:
        check_not_lost(run)
    else:
        check_task(reader, run, args.task)
    outputs = [made for made in reader.outputs(run.run_id) if args.task in {None, made[0]}]
    if args.to is not None:
        outputs = _copied(outputs, args.to, reader.state_dir)
    if args.output == "json":
        from msgspec.structs import asdict  # noqa: PLC0415

        rows = [{"task": task_id, "output": name, **asdict(output)} for task_id, name, output in outputs]
        print_json({"run": run.run_id, "artifacts": rows})
    elif outputs:
        from dockersched.report.text import printable  # noqa: PLC0415
        from dockersched.units import format_bytes  # noqa: PLC0415

        for task_id, name, output in outputs:
            entries = "1 entry" if output.entries == 1 else f"{output.entries} entries"
            what = f"{task_id}.{name}: {entries}, {format_bytes(output.size_bytes)}"
            print_lines([f"{what}, {printable(output.path)}"])
    else:
        print_lines([f"run {run.run_id} has no outputs{f' of task {args.task!r}' if args.task else ''}"])
    gone = [f"{task_id}.{name}" for task_id, name, output in outputs if not os.path.lexists(output.path)]
    if gone:
        advice = "`dockersched artifacts RUN --to FOLDER` copies what the store has of them"
        print_lines([f"dockersched: not there any more: {', '.join(gone)}; {advice}"], sys.stderr)
    return 1 if gone else 0


def _copied(outputs: Sequence[MadeOutput], folder: Path, state_dir: Path) -> list[MadeOutput]:
    """Copies outputs, each verified, to files that may be changed; what is there already is never touched.

    Raises:
        StateError: one of them cannot be copied; none is there then.
    """
    import shutil  # noqa: PLC0415

    from msgspec.structs import replace  # noqa: PLC0415

    from dockersched import ids  # noqa: PLC0415
    from dockersched.data.run_files import STORE  # noqa: PLC0415
    from dockersched.data.store import ContentStore, TreeDigest  # noqa: PLC0415
    from dockersched.errors import StateError  # noqa: PLC0415

    targets = [Path(os.path.realpath(folder)) / ids.file_stem(task_id) / name for task_id, name, _ in outputs]
    for target in targets:
        if os.path.lexists(target):
            raise StateError(f"{target} exists: name another folder with --to, or remove it")
    store = ContentStore(state_dir / STORE)
    with ExitStack() as undo:
        for (_, _, output), target in zip(outputs, targets, strict=True):
            try:
                _make_folder(target.parent, undo)
            except OSError as error:
                raise StateError(f"{target} cannot be made: {error.strerror}") from error
            store.materialise(TreeDigest(output.digest), target, link=False)
            undo.callback(shutil.rmtree, target, ignore_errors=True)
        undo.pop_all()
    return [
        (task_id, name, replace(output, path=str(target)))
        for (task_id, name, output), target in zip(outputs, targets, strict=True)
    ]


def _make_folder(folder: Path, undo: ExitStack) -> None:
    """Makes a folder with all above it; those that were not there are removed again unless they hold anything else."""
    if folder.is_dir():
        return
    _make_folder(folder.parent, undo)
    folder.mkdir(exist_ok=True)
    undo.callback(_remove_empty, folder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
