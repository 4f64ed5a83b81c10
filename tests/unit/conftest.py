"""What unit tests share."""

from types import SimpleNamespace

import pytest

from dockersched import recovery
from dockersched.sandbox.docker import leftovers
from dockersched.sandbox.docker.leftovers import Leftovers


@pytest.fixture
def engine_without_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """For `gc` and `cancel`: an engine that has nothing of ours."""

    async def connect() -> SimpleNamespace:
        return SimpleNamespace(pool=None, close=lambda: None)

    async def find(_pool: object, _label: str) -> dict[str, Leftovers]:
        return {}

    monkeypatch.setattr(recovery, "connect", connect)
    monkeypatch.setattr(leftovers, "find", find)
