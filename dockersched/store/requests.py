"""What other processes ask of a run's owner: files in a folder of the run, which the owner takes away."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

_FOLDER = "requests"


class CancelRequests:
    """The requests to cancel a run or tasks of it."""

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / _FOLDER

    def put(self, task_ids: Sequence[str]) -> None:
        """Asks for these tasks to be cancelled; for the whole run when there are none."""
        self._folder.mkdir(parents=True, exist_ok=True)
        name = secrets.token_hex(8)
        temporary = self._folder / f".{name}"
        temporary.write_text(json.dumps(list(task_ids)), encoding="utf-8")
        temporary.replace(self._folder / f"{name}.cancel")

    def take(self) -> list[list[str] | None]:
        """The requests that have come, each the tasks to cancel, or None for the whole run; they come once."""
        taken: list[list[str] | None] = []
        try:
            found = sorted(os.scandir(self._folder), key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        for entry in found:
            if entry.name.endswith(".cancel"):
                path = Path(entry.path)
                taken.append(json.loads(path.read_text("utf-8")) or None)
                path.unlink()
        return taken
