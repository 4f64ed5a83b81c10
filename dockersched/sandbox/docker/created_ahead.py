"""A container that is created before anybody asks for it, so that only its start is left to be waited for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import batches, translate
from dockersched.sandbox.docker.connect import Engine

log = Logger("created_ahead")


class CreatedContainer:
    """The container of an attempt; no process of it runs. Whoever launches the attempt finds it, and checks it.

    Attributes:
        container_id: the engine's, once it was created.
    """

    def __init__(self, engine: Engine, options: SandboxRunOptions) -> None:
        self._engine = engine
        self._name = translate.container_name(options)
        self._labels = translate.labels(options)
        self.container_id: str | None = None

    async def create(self, body: Mapping[str, Any]) -> None:
        """Creates it; nothing is left when it could not be.

        Raises:
            RunnerError: it could not be.
        """
        try:
            self.container_id = await self._engine.pool.call(lambda calls: calls.create_or_find(self._name, body))
        except BaseException:
            await self.give_up()
            raise

    async def give_up(self) -> None:
        """Removes it."""
        try:
            await self._engine.pool.call(partial(batches.remove, name=self._name, labels=self._labels))
        except RunnerError as error:  # the sweep at the end of the run finds it
            log.warning("created_ahead.not_removed", name=self._name, error=str(error))
