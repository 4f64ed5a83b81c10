"""Epics whose tasks have files: run as a program of its own, and what was left of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docker.api import APIClient

from tests.support.bench import Bench

Task = dict[str, Any]


class FileBench(Bench):
    """An epic that only one test has; after each run nothing of it may be on the engine.

    Attributes:
        source: a folder for a workspace.
    """

    def __init__(self, engine: APIClient, folder: Path) -> None:
        super().__init__(engine, folder)
        self.source = folder / "source"
        self.source.mkdir()

    def put(self, **contents: str) -> None:
        """Writes files of the source."""
        for name, content in contents.items():
            (self.source / name).write_text(content)

    def run_tasks(self, exit_code: int = 0, /, **tasks: Task) -> dict[str, Any]:
        """Runs the epic to its end; gives the tasks of its `result.json`."""
        self.write(tasks)
        done = self.run("run", "epic.json", "--new")
        assert done.returncode == exit_code, done.stderr
        assert self.on_engine() == []
        found: dict[str, Any] = self.document()["tasks"]
        return found

    def log(self, task: str) -> str:
        """What a task of the last run wrote."""
        return (self.state_dir / "runs" / self.run_id / "logs" / f"{task}.log").read_text()

    def artifacts(self, task: str) -> dict[str, str]:
        """The files that came out of a task of the last run: their content by path, `<output>/…`."""
        folder = self.state_dir / "runs" / self.run_id / "artifacts" / task
        return tree_of(folder)

    def on_engine(self) -> list[str]:
        """Names of containers and volumes of the epic."""
        volumes = self.engine.volumes(filters={"label": self.label})["Volumes"] or ()
        return [each["Names"][0][1:] for each in self.containers()] + [each["Name"] for each in volumes]

    def close(self) -> None:
        super().close()
        for volume in self.engine.volumes(filters={"label": self.label})["Volumes"] or ():
            self.engine.remove_volume(volume["Name"])


def tree_of(folder: Path) -> dict[str, str]:
    """The files of a folder: their content by path."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def outcomes(tasks: Mapping[str, Any]) -> dict[str, tuple[str, str | None]]:
    """The state and the reason of each task of a `result.json`."""
    return {name: (task["state"], task["reason"]) for name, task in tasks.items()}
