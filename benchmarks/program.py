"""Programs as contenders run them: measured by a small process beside them, with what they say kept for errors."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TIMED = Path(__file__).with_name("timed.py")


class CommandFailedError(Exception):
    """The program did not end as it should."""


@dataclass(frozen=True)
class Ended:
    """A program that has succeeded.

    Args:
        started_at: seconds since the epoch.
        makespan_s: from its start to its end.
        cpu_s: processor time, of all processes that it waited for too.
        peak_bytes: memory; see `benchmarks.timed`.
        output: what it wrote to its standard output.
    """

    started_at: float
    makespan_s: float
    cpu_s: float
    peak_bytes: int
    output: str


def run(command: Sequence[str], *, folder: Path, environment: Mapping[str, str]) -> Ended:
    """Runs a program to its end.

    Args:
        command: the program and its arguments.
        folder: to run in.
        environment: all of its variables.

    Raises:
        CommandFailedError: it did not end with 0; the message ends with what it wrote.
    """
    report = folder / "measured.json"
    report.unlink(missing_ok=True)
    with tempfile.TemporaryFile("w+", errors="replace") as out, tempfile.TemporaryFile("w+", errors="replace") as err:
        subprocess.run(
            [sys.executable, "-I", "-S", str(_TIMED), str(report), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            check=False,
        )
        out.seek(0)
        err.seek(0)
        output, errors = out.read(), err.read()
    measured = json.loads(report.read_text("ascii")) if report.exists() else {"returncode": "nothing measured"}
    if (returncode := measured.pop("returncode")) != 0:
        raise CommandFailedError(f"{command[0]} ended with {returncode}:\n{(output + errors)[-2_000:]}")
    return Ended(**measured, output=output)
