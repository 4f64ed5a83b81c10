"""Luigi: a task of its Docker module for each task."""

from __future__ import annotations

from pathlib import Path

from benchmarks.peers.base import TOOLS, Job, Peer, write_json

_PYTHON = TOOLS / "luigi" / "bin" / "python"
_PROGRAM = Path(__file__).parent / "programs" / "run_with_luigi.py"


class Luigi(Peer):
    """`luigi.build` with its local scheduler and as many workers as slots."""

    name = "Luigi"

    def why_missing(self) -> str:
        """Why it cannot be run here; empty when it can."""
        return "" if _PYTHON.exists() else f"there is no {_PYTHON}"

    def prepare(self, job: Job) -> list[str]:
        """Writes the graph."""
        return [str(_PYTHON), str(_PROGRAM), str(write_json(job))]
