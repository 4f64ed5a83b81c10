"""Runs of a Python program with all that the client and the session do, and no engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

from dockersched.graph.capacity import Capacity
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.fake import FakeRunner, Script


class FakeEngineRunner(FakeRunner):
    """A fake runner that a session takes for Docker's."""

    def __init__(self, scripts: Mapping[str, Script], settings: Mapping[str, Any]) -> None:
        super().__init__(scripts)
        self.settings = settings
        self.images = SimpleNamespace(resolved=dict, pin=lambda _images: None)
        self.removed_ms: dict[tuple[str, str, int], float] = {}
        self.journal: object = None
        self.sweeps = 0
        self.unremovable: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    @property
    def capacity(self) -> Capacity:
        """More than any test asks for."""
        return Capacity(64, 64 * 2**30)

    def find_refusals(self, _sandboxes: Sequence[SandboxRunOptions]) -> list[object]:
        """Nothing is refused."""
        return []

    def share_namespaces(self, *_: object, **__: object) -> None:
        """There are none."""

    async def remove_prepared(self, _sandboxes: object) -> None:
        """There is nothing."""

    async def sweep(self, run_id: str) -> list[str]:
        """Notes it."""
        assert not self.alive, f"sandboxes of {run_id} still run"
        self.sweeps += 1
        return self.unremovable


@contextmanager
def fake_engine(scripts: Mapping[str, Script]) -> Iterator[list[FakeEngineRunner]]:
    """While the block runs sessions and clients have no engine; gives the runners that they make."""
    runners: list[FakeEngineRunner] = []

    async def connect(*, shared: object = None, met: object = None, **settings: Any) -> FakeEngineRunner:
        runners.append(FakeEngineRunner(scripts, settings))
        return runners[-1]

    async def connect_engine() -> SimpleNamespace:
        return SimpleNamespace(close=lambda: None)

    with (
        mock.patch("dockersched.session.run.DockerRunner.connect", connect),
        mock.patch("dockersched.client.client.connect_engine", connect_engine),
    ):
        yield runners
