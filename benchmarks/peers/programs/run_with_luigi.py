"""Runs a graph with Luigi: `python run_with_luigi.py GRAPH`; each task leaves an empty file beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import luigi
from luigi.contrib.docker_runner import DockerTask

_FILE = Path(sys.argv[1]).absolute()
_GRAPH = json.loads(_FILE.read_text("utf-8"))


class Step(DockerTask):
    """A task of the graph, which is done when its file is there."""

    task = luigi.Parameter()
    image = _GRAPH["image"]
    network_mode = "none"
    mount_tmp = False

    @property
    def command(self) -> list[str]:
        """What runs in the container."""
        return _GRAPH["tasks"][self.task]["command"]

    @property
    def container_options(self) -> dict[str, Any]:
        """Of "create container"."""
        return {"labels": _GRAPH["labels"]}

    @property
    def host_config_options(self) -> dict[str, Any]:
        """Of "create container", its host's part."""
        nano_cpus = round(_GRAPH["cpus"] * 1e9)
        return {"nano_cpus": nano_cpus, "mem_limit": _GRAPH["memory_bytes"], "pids_limit": _GRAPH["pids"]}

    def requires(self) -> list[Step]:
        """The tasks before it."""
        return [Step(task=need) for need in _GRAPH["tasks"][self.task]["needs"]]

    def output(self) -> luigi.LocalTarget:
        """Its file."""
        return luigi.LocalTarget(_FILE.with_name(f"{self.task}.done"))

    def run(self) -> None:
        """Runs the container, and makes the file."""
        super().run()
        Path(self.output().path).touch()


if __name__ == "__main__":
    steps = [Step(task=task) for task in _GRAPH["tasks"]]
    sys.exit(not luigi.build(steps, workers=_GRAPH["max_parallel"], local_scheduler=True, log_level="WARNING"))
