"""`dockersched doctor`: whether this machine and its engine are fit to run code that nobody has read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from dockersched.sandbox.docker.checkup import Check

HELP = "check the engine and this machine, and say what to do about each finding"
EXIT_UNFIT = 3
_LINE_LIMIT = 1_000
_COLOURS = {"ok": ("green",), "warn": ("yellow",), "fail": ("red", "bold")}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("--output", choices=("text", "json"), default="text", help="json prints one document")
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints a line for each finding; returns 3 if one of them fails."""
    from dockersched.errors import EngineUnavailableError, RunnerError  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.sandbox.docker.checkup import Status, check_engine, unreachable, worst  # noqa: PLC0415
    from dockersched.sandbox.docker.dial import is_there  # noqa: PLC0415
    from dockersched.sandbox.docker.survey import survey  # noqa: PLC0415

    try:
        checks = list(check_engine(survey()))
    except RunnerError as error:
        checks = [unreachable(str(error), is_there=isinstance(error, EngineUnavailableError) and is_there(error))]
    checks.append(check_state_dir(Path(args.state_dir)))
    code = EXIT_UNFIT if worst(checks) is Status.FAIL else 0
    if args.output == "json":
        _print_json(checks, code)
    else:
        _print_text(checks)
    return code


def check_state_dir(path: Path) -> Check:
    """Whether files can be written in the state directory, or where it would be made; nothing stays there."""
    import os  # noqa: PLC0415
    import shutil  # noqa: PLC0415
    import tempfile  # noqa: PLC0415

    from dockersched.sandbox.docker.checkup import Check, Status, free_disk  # noqa: PLC0415

    path = path.absolute()
    nearest = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    try:
        with tempfile.TemporaryFile(dir=nearest):
            free_bytes = shutil.disk_usage(nearest).free
    except OSError as error:
        remedy = "give the user of this command a folder to write to, with --state-dir or DOCKERSCHED_STATE_DIR"
        return Check("state directory", Status.FAIL, f"{path} cannot be written ({error.strerror})", remedy)
    return free_disk("state directory", str(path), free_bytes)


def _print_json(checks: Sequence[Check], code: int) -> None:
    import json  # noqa: PLC0415

    from dockersched.sandbox.docker.checkup import worst  # noqa: PLC0415

    lines = [
        {"name": check.name, "status": check.status, "found": check.found, "remedy": check.remedy or None}
        for check in checks
    ]
    print(json.dumps({"status": worst(checks), "exit_code": code, "checks": lines}, indent=2))


def _print_text(checks: Sequence[Check]) -> None:
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415
    from collections import Counter  # noqa: PLC0415

    from dockersched.report.text import Paint, colours_wanted, one_line  # noqa: PLC0415

    paint = Paint(enabled=colours_wanted(os.environ, terminal=sys.stdout.isatty()))
    width = max(len(check.name) for check in checks)
    for check in checks:
        status = paint(f"{check.status:<4}", *_COLOURS[check.status])
        print(f"{status}  {check.name:<{width}}  {one_line(check.found, _LINE_LIMIT)}")
        if check.remedy:
            print(f"{'':{width + 8}}{one_line(check.remedy, _LINE_LIMIT)}")
    counts = Counter(str(check.status) for check in checks)
    print(", ".join(f"{counts[status]} {status}" for status in _COLOURS))
