from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import DockerRunner


@pytest.fixture
async def runner(engine: APIClient, tmp_path: Path) -> AsyncIterator[DockerRunner]:
    async with await DockerRunner.connect(logs_dir=tmp_path / "logs") as connected:
        yield connected
