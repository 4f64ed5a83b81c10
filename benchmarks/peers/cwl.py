"""cwltool: a step of a CWL workflow for each task."""

from __future__ import annotations

import json
from typing import Any

from benchmarks import leftovers
from benchmarks.engine_client import EngineConnection
from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.leftovers import Left
from benchmarks.peers.base import TOOLS, Job, Peer, limits

_PROGRAM = TOOLS / "cwltool" / "bin" / "cwltool"
_CIDS = "cids"
_MIB = 2**20


class Cwltool(Peer):
    """`cwltool --parallel`, with its limits of CPUs and memory; it has none of processes."""

    name = "cwltool"

    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""
        return "" if _PROGRAM.exists() else f"there is no {_PROGRAM}"

    def prepare(self, job: Job) -> list[str]:
        """Writes the workflow."""
        (job.folder / "graph.cwl").write_text(json.dumps(workflow(job.graph)), "utf-8")
        cids = job.folder / _CIDS
        cids.mkdir()
        return [
            *(str(_PROGRAM), "--quiet", "--parallel", f"--parallel-max={job.graph.max_parallel}", "--disable-pull"),
            *("--strict-cpu-limit", "--strict-memory-limit", f"--cidfile-dir={cids}", "--outdir=out", "graph.cwl"),
        ]

    def clear(self, engine: EngineConnection, job: Job) -> Left:
        """Counts by the ids that it wrote down, as it sets no labels."""
        containers = [file.read_text("ascii") for file in (job.folder / _CIDS).glob("*.cid")]
        return Left(leftovers.remove_containers(engine, containers))


def workflow(graph: Graph) -> dict[str, Any]:
    """The graph as a CWL workflow, in JSON; a step waits for others by taking a number that they give."""
    allowed = limits(graph)
    cores, memory = allowed["cpus"], allowed["memory_bytes"] // _MIB
    resources = {"class": "ResourceRequirement", "coresMin": cores, "ramMin": memory}
    return {
        "cwlVersion": "v1.2",
        "class": "Workflow",
        "requirements": [{"class": "MultipleInputFeatureRequirement"}, resources],
        "hints": [{"class": "DockerRequirement", "dockerPull": IMAGE}],
        "inputs": [],
        "outputs": [],
        "steps": [_step(graph, index) for index in range(len(graph))],
    }


def _step(graph: Graph, index: int) -> dict[str, Any]:
    needs = [f"{task_id(need)}/done" for need in graph.needs[index]]
    tool = {
        "class": "CommandLineTool",
        "inputs": [{"id": "after", "type": ["null", {"type": "array", "items": "Any"}]}],
        "outputs": [{"id": "done", "type": "Any", "outputBinding": {"outputEval": "$(runtime.ram)"}}],
        "baseCommand": list(graph.command_of(index)),
    }
    after = {"id": "after", "source": needs, "linkMerge": "merge_nested"}
    return {"id": task_id(index), "run": tool, "in": [after] if needs else [], "out": ["done"]}
