"""The commands that a reader is told to call, exactly as a shell takes them where this process was called."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from msgspec import Struct

from dockersched.report.text import printable

_LINE_MAX = 2_000


class Commands(Struct, frozen=True):
    """Commands for runs of one state directory.

    Args:
        state_dir: the directory as `--state-dir` takes it; None where it is found without.
        allow_mounts: folders that the run's sandboxes may see; whoever runs its tasks again must allow them again.
        program: words that call dockersched.
    """

    state_dir: str | None = None
    allow_mounts: Sequence[str] = ()
    program: Sequence[str] = ("dockersched",)

    def retry(self, run_id: str, only: str | None = None) -> str:
        """Runs again what did not succeed in a run, or only one task of it."""
        return self._line("retry", run_id, *(() if only is None else ("--only", only)), *self._mounts())

    def resume(self, run_id: str) -> str:
        """Goes on with a run that broke off."""
        return self._line("resume", run_id, *self._mounts())

    def cancel(self, run_id: str) -> str:
        """Ends a run, also one that broke off, and removes its sandboxes."""
        return self._line("cancel", run_id)

    def logs(self, run_id: str, task_id: str) -> str:
        """Prints all that is kept of a task's output."""
        return self._line("logs", run_id, task_id)

    def _mounts(self) -> list[str]:
        return [word for folder in self.allow_mounts for word in ("--allow-mount", folder)]

    def _line(self, *words: str) -> str:
        state_dir = () if self.state_dir is None else ("--state-dir", self.state_dir)
        return printable(shlex.join((*self.program, *words, *state_dir)), _LINE_MAX)
