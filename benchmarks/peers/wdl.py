"""miniwdl: a call of a WDL workflow for each task, on a Docker Swarm of one node, which an engine of its own is."""

from __future__ import annotations

import shlex
import time

from benchmarks import leftovers
from benchmarks.engine_client import EngineConnection, quoted_filters
from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.leftovers import Left
from benchmarks.peers.base import TOOLS, Job, Peer, limits
from tests.support.private_engine import PrivateEngine, why_no_private_engine

_PROGRAM = TOOLS / "miniwdl" / "bin" / "miniwdl"
_ITS_LABEL = "miniwdl_run_id"
_ADDRESS = "127.0.0.1"
_REMOVAL_LIMIT_S = 10.0
"""Swarm removes containers some time after their service."""

# The shell is the one that the image has; memory would only be reserved without the multiplier.
_CONFIG = """[scheduler]
task_concurrency = {slots}
[task_runtime]
command_shell = /bin/sh
memory_limit_multiplier = 1.0
"""


class Miniwdl(Peer):
    """`miniwdl run`, with its limit of memory.

    It has a limit of CPUs only together with a reservation of them, which would keep tasks from running side by side
    on a machine with fewer CPUs than slots; and none of processes. Its tasks have no network, as its engine has none.
    """

    name = "miniwdl"

    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""
        return why_no_private_engine() if _PROGRAM.exists() else f"there is no {_PROGRAM}"

    def prepare(self, job: Job) -> list[str]:
        """Writes the workflow; before the first one, starts the engine."""
        if self._host is None:
            engine = self._started.enter_context(PrivateEngine())
            engine.load_image(f"{IMAGE}:latest")
            self._host = engine.url
            with EngineConnection(self._host) as connection:
                connection.call("POST", "/swarm/init", {"AdvertiseAddr": _ADDRESS, "ListenAddr": _ADDRESS})
        (job.folder / "graph.wdl").write_text(workflow(job.graph), "utf-8")
        (job.folder / "miniwdl.cfg").write_text(_CONFIG.format(slots=job.graph.max_parallel), "ascii")
        return [str(_PROGRAM), "run", "graph.wdl", "--cfg=miniwdl.cfg", "--dir=out", "--log-json"]

    def clear(self, engine: EngineConnection, job: Job) -> Left:  # noqa: ARG002 - its label is its own
        """Counts by its own label, as nobody else is on its engine, once the engine had time to remove what it may."""
        filters = quoted_filters(label=_ITS_LABEL)
        deadline = time.monotonic() + _REMOVAL_LIMIT_S
        while engine.call("GET", f"/containers/json?all=1&filters={filters}") and time.monotonic() < deadline:
            time.sleep(0.1)
        return leftovers.clear(engine, _ITS_LABEL)


def workflow(graph: Graph) -> str:
    """The graph as a WDL 1.1 workflow."""
    calls = []
    for index, needs in enumerate(graph.needs):
        command = shlex.join(graph.command_of(index))
        after = "".join(f" after {task_id(need)}" for need in needs)
        calls.append(f'  call step as {task_id(index)}{after} {{ input: line = "{command}" }}')
    return "\n".join(
        [
            *("version 1.1", "", "workflow bench {", *calls, "}", ""),
            *("task step {", "  input {", "    String line", "  }", "  command <<<", "    ~{line}", "  >>>"),
            *("  runtime {", f'    docker: "{IMAGE}"', f'    memory: "{limits(graph)["memory_bytes"]} B"'),
            *("  }", "}", ""),
        ]
    )
