"""A container that is created before anybody asks for it, so that only its start is left to be waited for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.outcome import was_started

log = Logger("created_ahead")


class CreatedContainer:
    """The container of an attempt; no process of it runs. Whoever launches it looks at it as at any other.

    Args:
        engine: that it is on.
        options: of the sandbox, with the defaults filled in.
        body: that it is created from.

    Attributes:
        body: that it was created from.
        container_id: the engine's, once it was created.
    """

    def __init__(self, engine: Engine, options: SandboxRunOptions, body: Mapping[str, Any]) -> None:
        self.body = body
        self.container_id: str | None = None
        self._engine = engine
        self._name = translate.container_name(options)
        self._labels = translate.labels(options)

    async def create(self) -> None:
        """Creates it; nothing is left when it could not be.

        Raises:
            RunnerError: it could not be.
        """
        try:
            self.container_id = await self._engine.pool.call(lambda calls: calls.create_or_find(self._name, self.body))
        except BaseException:
            await self.give_up()
            raise

    async def give_up(self) -> None:
        """Removes it, unless an earlier process had started it."""
        try:
            await self._engine.pool.call(self._remove)
        except RunnerError as error:  # the sweep at the end of the run finds it
            log.warning("created_ahead.not_removed", name=self._name, error=str(error))

    def _remove(self, calls: EngineCalls) -> None:
        found = calls.find_ours(self._name, self._labels)
        if found is not None and not was_started(found["State"]):
            calls.remove(str(found["Id"]))
