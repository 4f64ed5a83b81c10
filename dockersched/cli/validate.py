"""`dockersched validate FILE…`: every problem of epic files, without running anything."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from dockersched.cli.looking import print_lines

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from dockersched.epic import Epic
    from dockersched.errors import Problem
    from dockersched.sandbox.docker.features import EngineFeatures

HELP = "check epic files and list everything that is wrong with them"
EXIT_BAD_EPIC = 2


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="epic file, YAML or JSON; - reads standard input")


def execute(args: argparse.Namespace) -> int:
    """Checks the files; returns the exit code: 2 when any of them cannot be run."""
    checked = [_check(source) for source in args.files]
    return 0 if all(checked) else EXIT_BAD_EPIC


def _check(source: str) -> bool:
    from dockersched.epicfile import load, locate  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.errors import EpicError  # noqa: PLC0415

    try:
        epic = load(source)
    except EpicError as error:
        return _report(error.problems)
    if problems := _refused(epic):
        return _report(locate(problems, source))
    tasks = f"{len(epic.dag)} task{'' if len(epic.dag) == 1 else 's'}"
    print_lines([f"{_shown(source)}: ok ({tasks})"])
    return True


def _refused(epic: Epic) -> list[Problem]:
    """What the epic asks for that it does not allow its tasks, or that the engine does not have, if one answers."""
    from dockersched.graph.capacity import check_capacity, share_out  # noqa: PLC0415
    from dockersched.sandbox.asked import sandbox_options  # noqa: PLC0415
    from dockersched.sandbox.docker.defaults import SandboxDefaults  # noqa: PLC0415
    from dockersched.sandbox.docker.refusals import find_refusals  # noqa: PLC0415

    defaults, features = SandboxDefaults(), _engine_features()
    capacity = features.capacity if features else None
    problems = check_capacity(epic.dag, share_out(epic.dag, epic.options, capacity, defaults.fill_quota), capacity)
    if features is None:
        return problems
    sandboxes = [sandbox_options(task, epic.options.epic_id, "") for task in epic.dag]
    return problems + find_refusals(sandboxes, features, defaults)


@cache
def _engine_features() -> EngineFeatures | None:
    """One question to the engine, however many files there are."""
    from dockersched.sandbox.docker.capacity import engine_features  # noqa: PLC0415

    return engine_features()


def _report(problems: Sequence[Problem]) -> bool:
    print_lines((_shown(str(problem)) for problem in problems), sys.stderr)
    return False


def _shown(line: str) -> str:
    from dockersched.report.text import one_line  # noqa: PLC0415

    return one_line(line, 2_000)
