"""`dockersched run` as a program of its own, end to end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from benchmarks import leftovers, program
from benchmarks.contender import Measured
from benchmarks.engine_client import EngineConnection
from benchmarks.graphs import Graph
from benchmarks.program import CommandFailedError
from dockersched.sandbox.docker.translate import LABEL_RUN


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
        self._process = subprocess.Popen(
            _command_line(epic_file, state_dir, quiet=quiet),
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
        folder: for epic files and state; with another contender's, both learn from the same runs.
        name: for the tables.
        keys: of the epics, beside those of the graph.
    """

    def __init__(self, folder: Path, name: str = "dockersched", keys: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._folder = folder
        self._keys = keys or {}

    def run(self, graph: Graph) -> Measured:
        """Runs the graph.

        Raises:
            CommandFailedError: it did not succeed.
        """
        state_dir = self._folder / "state"
        command = _command_line(graph.write_epic(self._folder, **self._keys), state_dir, quiet=True)
        ended = program.run(command, folder=self._folder, environment=environment(state_dir))
        result = json.loads(ended.output)
        began, finished = (datetime.fromisoformat(result[key]).timestamp() for key in ("started_at", "finished_at"))
        with EngineConnection() as engine:
            left = leftovers.clear(engine, f"{LABEL_RUN}={result['run']}")
        return Measured(
            ended.makespan_s,
            ended.cpu_s,
            left,
            ended.peak_bytes,
            before_s=began - ended.started_at,
            epic_s=finished - began,
            after_s=ended.started_at + ended.makespan_s - finished,
        )


def environment(state_dir: Path) -> dict[str, str]:
    """Our own, with bytecode cached as it is wherever the program has run before."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**environment, "PYTHONPYCACHEPREFIX": str(state_dir / "bytecode")}


def _command_line(epic_file: Path, state_dir: Path, *, quiet: bool) -> list[str]:
    script = Path(sysconfig.get_path("scripts")) / "dockersched"
    options = ["--output", "json", "--state-dir", str(state_dir), *(["--quiet"] if quiet else [])]
    return [sys.executable, str(script), "run", str(epic_file), *options]
