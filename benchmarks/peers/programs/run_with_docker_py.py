"""Runs a graph with docker-py: `python run_with_docker_py.py GRAPH`."""

from __future__ import annotations

import json
import sys
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import docker


def main() -> None:
    """Runs each task as soon as those that it needs have ended; raises what the first failed one did."""
    graph = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    client = docker.from_env(max_pool_size=graph["max_parallel"])
    unmet = {task: set(fields["needs"]) for task, fields in graph["tasks"].items()}
    running: dict[Future[Any], str] = {}

    def run(task: str) -> None:
        client.containers.run(
            graph["image"],
            graph["tasks"][task]["command"],
            remove=True,
            network_mode="none",
            nano_cpus=round(graph["cpus"] * 1e9),
            mem_limit=graph["memory_bytes"],
            pids_limit=graph["pids"],
            labels=graph["labels"],
        )

    with ThreadPoolExecutor(graph["max_parallel"]) as pool:
        while unmet or running:
            for task in [task for task, needs in unmet.items() if not needs]:
                del unmet[task]
                running[pool.submit(run, task)] = task
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                future.result()
                task = running.pop(future)
                for needs in unmet.values():
                    needs.discard(task)


if __name__ == "__main__":
    main()
