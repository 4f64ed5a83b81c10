"""make with the docker client: a rule for each task."""

from __future__ import annotations

import shlex
import shutil

from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.peers.base import Job, Peer, limits


class Make(Peer):
    """`make -j`, each task with `docker run --rm`."""

    name = "make + docker client"

    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""
        missing = [program for program in ("make", "docker") if not shutil.which(program)]
        return f"there is no {' and no '.join(missing)}" if missing else ""

    def prepare(self, job: Job) -> list[str]:
        """Writes the Makefile."""
        (job.folder / "Makefile").write_text(makefile(job.graph, job.label), "utf-8")
        return ["make", "--silent", f"--jobs={job.graph.max_parallel}", "all"]


def makefile(graph: Graph, label: str) -> str:
    """The graph as a Makefile whose target `all` needs every task."""
    allowed = limits(graph)
    options = [
        *("--rm", "--pull=never", "--network=none", f"--label={label}"),
        *(f"--cpus={allowed['cpus']:g}", f"--memory={allowed['memory_bytes']}", f"--pids-limit={allowed['pids']}"),
    ]
    tasks = [task_id(index) for index in range(len(graph))]
    lines = [f".PHONY: all {' '.join(tasks)}", f"all: {' '.join(tasks)}"]
    for index, task in enumerate(tasks):
        command = shlex.join(["docker", "run", *options, IMAGE, *graph.command_of(index)])
        lines += [" ".join([f"{task}:", *map(task_id, graph.needs[index])]), f"\t{command}"]
    return "\n".join([*lines, ""])
