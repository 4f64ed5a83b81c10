"""A thread pool with docker-py: what people write who need no more than that."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.peers.base import Job, Peer, write_json

_PROGRAM = Path(__file__).parent / "programs" / "run_with_docker_py.py"


class Pool(Peer):
    """`containers.run` of docker-py, in as many threads as slots."""

    name = "docker-py thread pool"

    def why_missing(self) -> str:
        """Nothing is missing: the library is a dependency of dockersched."""
        return ""

    def prepare(self, job: Job) -> list[str]:
        """Writes the graph."""
        return [sys.executable, str(_PROGRAM), str(write_json(job))]
