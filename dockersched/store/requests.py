"""What other processes ask of a run's owner: files in a folder of the run, which the owner takes away."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

_FOLDER = "requests"


class CancelRequests:
    """The requests to cancel a run or tasks of it.

    One for tasks stays until the run ends, so that it holds for a resumed run too; one for the whole run is for its
    owner, and goes when that takes it: who resumes the run wants it to go on.
    """

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / _FOLDER
        self._taken: set[str] = set()

    def put(self, task_ids: Sequence[str]) -> None:
        """Asks for these tasks to be cancelled; for the whole run when there are none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        temporary = self._folder / f".{name}"
        temporary.write_text(json.dumps(list(task_ids)), encoding="utf-8")
        temporary.replace(self._folder / f"{name}.cancel")

    def take(self) -> list[list[str] | None]:
        """The requests that have come, each the tasks to cancel, or None for the whole run; each comes once."""
        taken: list[list[str] | None] = []
        try:
            found = sorted(os.scandir(self._folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        for entry in found:
            if entry.name.endswith(".cancel") and entry.name not in self._taken:
                path = Path(entry.path)
                task_ids: list[str] = json.loads(path.read_text("utf-8"))
                taken.append(task_ids or None)
                self._taken.add(entry.name)
                if not task_ids:
                    path.unlink()
        return taken

    def of_tasks(self) -> list[list[str]]:
        """The requests for tasks that are there, whether they were taken or not."""
        found = [json.loads(path.read_text("utf-8")) for path in sorted(self._folder.glob("*.cancel"))]
        return [task_ids for task_ids in found if task_ids]

    def clear(self) -> None:
        """The run has ended: nothing is asked of it any more."""
        shutil.rmtree(self._folder, ignore_errors=True)
