"""Docker Compose: a service for each task."""

from __future__ import annotations

import yaml

from benchmarks.graphs import IMAGE, Graph, task_id
from benchmarks.peers.base import TOOLS, Job, Peer, limits

_PROGRAM = TOOLS / "compose" / "bin" / "docker-compose"


class Compose(Peer):
    """`docker compose up`, then `down`; it has no limit of how many run side by side."""

    name = "Compose"

    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""
        return "" if _PROGRAM.exists() else f"there is no {_PROGRAM}"

    def prepare(self, job: Job) -> list[str]:
        """Writes the Compose file."""
        (job.folder / "compose.yaml").write_text(compose_file(job.graph, job.label), "utf-8")
        up = "up --pull=never --no-color"
        project = job.label.replace("=", "-")
        return ["sh", "-c", f'"$0" -p "$1" {up} && "$0" -p "$1" down --volumes', str(_PROGRAM), project]


def compose_file(graph: Graph, label: str) -> str:
    """The graph as a Compose file."""
    allowed = limits(graph)
    services = {
        task_id(index): {
            "image": IMAGE,
            "command": list(graph.command_of(index)),
            "network_mode": "none",
            "cpus": allowed["cpus"],
            "mem_limit": allowed["memory_bytes"],
            "pids_limit": allowed["pids"],
            "labels": [label],
            "depends_on": {task_id(need): {"condition": "service_completed_successfully"} for need in needs},
        }
        for index, needs in enumerate(graph.needs)
    }
    return yaml.safe_dump({"services": services}, sort_keys=False)
