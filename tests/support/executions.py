"""Counts how often the commands of tasks were really executed, whatever was said of their containers.

A container that waits behind a gate has started, but executed nothing; only the command itself can tell.
"""

from __future__ import annotations

from pathlib import Path

from dockersched import Mount

_AT = "/executed"


class Executions:
    """Each execution adds a line to a file of its task, which its sandbox sees.

    Args:
        folder: a new one, on the engine's host.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o777)  # sandboxes are nobody

    @property
    def mount(self) -> Mount:
        """What the sandboxes of the tasks must have; the runner must allow `folder`."""
        return Mount(str(self.folder), _AT, read_only=False)

    def of(self, task_id: str) -> int:
        """How often the task's command was executed."""
        return len(self.times_s(task_id))

    def times_s(self, task_id: str) -> list[int]:
        """When it was, in seconds since the epoch, rounded down."""
        path = self.folder / task_id
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    @property
    def tasks(self) -> set[str]:
        """Those of which the command was executed."""
        return {path.name for path in self.folder.iterdir()}


def noted(task_id: str, script: str) -> str:
    """A shell script that notes its execution first."""
    return f"date +%s >> {_AT}/{task_id}; {script}"
