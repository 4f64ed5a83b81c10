from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import DockerRunner, ids


@pytest.fixture
async def runner(engine: APIClient, tmp_path: Path) -> AsyncIterator[DockerRunner]:
    async with await DockerRunner.connect(logs_dir=tmp_path / "logs") as connected:
        yield connected


@pytest.fixture
async def run_id(runner: DockerRunner) -> AsyncIterator[str]:
    """A run of which nothing is left, however the test ends."""
    run_id = ids.new_run_id()
    yield run_id
    assert await runner.sweep(run_id) == []
