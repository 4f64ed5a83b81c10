"""`dockersched run` as a program of its own, end to end."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import sysconfig
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from benchmarks.contender import Measured
from benchmarks.graphs import Graph


class CommandFailedError(Exception):
    """The program did not end as it should."""


class Command:
    """A running `dockersched run`; as a context manager, it is not left behind.

    Args:
        epic_file: what it runs.
        state_dir: where it keeps its files.
        quiet: whether it leaves out the tasks' output.
    """

    def __init__(self, epic_file: Path, state_dir: Path, *, quiet: bool) -> None:
        self._out = tempfile.TemporaryFile()  # noqa: SIM115 - closed on exit; a pipe could fill up
        self._err = tempfile.TemporaryFile()  # noqa: SIM115
        program = Path(sysconfig.get_path("scripts")) / "dockersched"
        options = ["--output", "json", "--state-dir", str(state_dir), *(["--quiet"] if quiet else [])]
        self._process = subprocess.Popen(
            [sys.executable, str(program), "run", str(epic_file), *options],
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=self._err,
            env=environment(state_dir),
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.is_running:
            self._process.terminate()
            self._process.wait()
        self._out.close()
        self._err.close()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def wait(self) -> None:
        """Waits for its end."""
        self._process.wait()

    def result(self) -> dict[str, Any]:
        """What it printed at its end: the content of `result.json`.

        Raises:
            CommandFailedError: it did not succeed.
        """
        if self._process.wait() != 0:
            raise CommandFailedError(f"dockersched ended with {self._process.returncode}:\n{self.errors()[-2_000:]}")
        self._out.seek(0)
        document: dict[str, Any] = json.load(self._out)
        return document

    def errors(self) -> str:
        """What it wrote to its standard error."""
        self._err.seek(0)
        return self._err.read().decode(errors="replace")


class Dockersched:
    """A contender: `dockersched run`, from the start of the interpreter to its end.

    Args:
        folder: for epic files and state.
    """

    name = "dockersched"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def run(self, graph: Graph) -> Measured:
        """Runs the graph.

        Raises:
            CommandFailedError: it did not succeed.
        """
        epic_file = graph.write_epic(self._folder)
        cpu, clock, started = _childrens_cpu_s(), time.time(), time.monotonic()
        with Command(epic_file, self._folder / "state", quiet=True) as command:
            command.wait()
            makespan = time.monotonic() - started
            cpu = _childrens_cpu_s() - cpu
            result = command.result()
        began, ended = (datetime.fromisoformat(result[key]).timestamp() for key in ("started_at", "finished_at"))
        return Measured(makespan, cpu, began - clock, ended - began, clock + makespan - ended)


def environment(state_dir: Path) -> dict[str, str]:
    """Our own, with bytecode cached as it is wherever the program has run before."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "PYTHONPYCACHEPREFIX": str(state_dir / "bytecode")}


def _childrens_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
