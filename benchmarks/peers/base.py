"""What all peers have in common: they are programs that read a graph from a file, and run it on the same engine."""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import leftovers, program
from benchmarks.contender import Measured
from benchmarks.engine_client import EngineConnection
from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.leftovers import Left
from dockersched.sandbox.docker.connection import resolve_endpoint
from dockersched.sandbox.docker.defaults import SandboxDefaults

TOOLS = Path(__file__).parents[2] / ".bench-peers"
"""Where `make bench-peers` installs them."""

_LABEL = "dockersched-bench"


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        graph: to be run.
        folder: for files; the program runs in it.
        label: `key=value`, for everything that the program makes on the engine, where it can set labels.
    """

    graph: Graph
    folder: Path
    label: str


class Peer(ABC):
    """A contender that is a program of others.

    Args:
        folder: for the files of its runs.
    """

    name: str
    """For the tables."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host: str | None = None
        self._started = ExitStack()

    @abstractmethod
    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""

    @abstractmethod
    def prepare(self, job: Job) -> list[str]:
        """Writes what the program reads; returns its command line."""

    def run(self, graph: Graph) -> Measured:
        """Runs the graph to its end; what it left behind is counted and removed.

        Raises:
            CommandFailedError: it did not succeed.
        """
        label = f"{_LABEL}={secrets.token_hex(6)}"
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            job = Job(graph, Path(folder), label)
            command = self.prepare(job)
            host = self._host or resolve_endpoint().host
            try:
                ended = program.run(command, folder=job.folder, environment={**outside_make(), "DOCKER_HOST": host})
            finally:
                with EngineConnection(host) as engine:
                    left = self.clear(engine, job)
        return Measured(ended.makespan_s, ended.cpu_s, left, ended.peak_bytes)

    def clear(self, engine: EngineConnection, job: Job) -> Left:
        """Counts and removes what a run left."""
        return leftovers.clear(engine, job.label)

    def close(self) -> None:
        """Ends what was started for it."""
        self._host = None
        self._started.close()


def limits(graph: Graph) -> dict[str, Any]:
    """What each task may have: `cpus`, `memory_bytes` and `pids`, as dockersched's have it."""
    quota = SandboxDefaults().fill_quota(graph.quota)
    return {"cpus": quota.cpus, "memory_bytes": quota.memory_bytes, "pids": quota.pids}


def write_json(job: Job) -> Path:
    """Writes the graph for programs of our own that use a library; returns the file's path."""
    graph = job.graph
    key, _, value = job.label.partition("=")
    document = {
        "image": IMAGE,
        "max_parallel": graph.max_parallel,
        "labels": {key: value},
        **limits(graph),
        "tasks": {
            task_id(index): {
                "command": graph.command_of(index),
                "needs": [task_id(need) for need in graph.needs[index]],
            }
            for index in range(len(graph))
        },
    }
    path = job.folder / "graph.json"
    path.write_text(json.dumps(document), "utf-8")
    return path


def outside_make() -> dict[str, str]:
    """Our environment without what a make that called us left there, which another make would obey."""
    return {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
