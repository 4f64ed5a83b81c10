"""What other processes ask of a run's owner: files in a folder of the run, which the owner takes away."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from dockersched.data.files import replace_durably, sync_directory
from dockersched.log import Logger

_FOLDER = "requests"
_SUFFIX = ".cancel"

log = Logger("requests")


class CancelRequests:
    """The requests to cancel a run or tasks of it; one that cannot be read is passed over.

    One for tasks stays until the run ends, so that it holds for a resumed run too; one for the whole run is for its
    owner, and goes when that takes it: who resumes the run wants it to go on.
    """

    def __init__(self, run_dir: Path) -> None:
        self._folder = run_dir / _FOLDER
        self._taken: set[str] = set()
        self._told: set[str] = set()

    def put(self, task_ids: Sequence[str]) -> None:
        """Asks for these tasks to be cancelled; for the whole run when there are none."""
        with replace_durably(self._folder) as file:
            file.write(json.dumps(list(task_ids)).encode())
            file.publish(f"{secrets.token_hex(8)}{_SUFFIX}")
        sync_directory(self._folder.parent)

    def take(self) -> list[list[str] | None]:
        """The requests that have come, each the tasks to cancel, or None for the whole run; each comes once.

        Raises:
            OSError: the folder could not be read just now; nothing counts as taken.
        """
        found = [(path, self._read(path)) for path in self._paths() if path.name not in self._taken]
        readable = [(path, task_ids) for path, task_ids in found if task_ids is not None]
        for path, task_ids in readable:
            self._taken.add(path.name)
            if not task_ids:
                with suppress(OSError):  # it is asked for all the same
                    path.unlink()
        return [task_ids or None for _, task_ids in readable]

    def of_tasks(self) -> list[list[str]]:
        """The requests for tasks that are there, whether they were taken or not."""
        return [task_ids for path in self._paths() if (task_ids := self._read(path))]

    def clear(self) -> None:
        """The run has ended: nothing is asked of it any more."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        try:
            return sorted(path for path in self._folder.iterdir() if path.suffix == _SUFFIX)
        except FileNotFoundError:
            return []

    def _read(self, path: Path) -> list[str] | None:
        """The tasks of a request; None when it cannot be read, which is told once."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=list[str])
        except FileNotFoundError:  # its owner has taken it meanwhile
            return None
        except (OSError, ValueError) as error:
            if path.name not in self._told:
                self._told.add(path.name)
                log.warning("requests.unreadable", path=str(path), error=str(error))
            return None
