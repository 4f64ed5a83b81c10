"""Shows what a sandbox writes while it runs. Display only: its log file is read after the exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dockersched.errors import EngineUnavailableError
from dockersched.log import Logger
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.streams import open_stream, pieces
from dockersched.sandbox.redaction import OutputRedactor, SecretPatterns

OnOutput = Callable[[str, bytes], None]

_FOLLOW_AFTER_S = 0.2
_FOLLOW_BYTES = 2**20

log = Logger("live_output")


class LiveOutput:
    """The output of one container.

    Args:
        engine: that has it.
        name: of the container.
        task_id: of its task.
        on_output: called with that and the output; None shows nothing.
        patterns: what to take out.

    Attributes:
        shown_bytes: how much was shown by now.
    """

    def __init__(
        self, engine: Engine, name: str, task_id: str, on_output: OnOutput | None, patterns: SecretPatterns
    ) -> None:
        self._engine = engine
        self._name = name
        self._task_id = task_id
        self._on_output = on_output
        self._patterns = patterns
        self._following: asyncio.Task[None] | None = None
        self.shown_bytes = 0

    def follow(self) -> None:
        """Begins to show it, in the background."""
        if self._on_output:
            self._following = asyncio.create_task(self._follow(self._on_output))

    def stop(self) -> None:
        """Shows no more of what comes: the rest is for `show`."""
        if self._following:
            self._following.cancel()

    def show(self, clear: bytes) -> None:
        """Shows output from which the secrets were taken already."""
        if self._on_output and clear:
            self._on_output(self._task_id, clear)

    async def _follow(self, on_output: OnOutput) -> None:
        await asyncio.sleep(_FOLLOW_AFTER_S)
        path = f"/v{self._engine.api_version}/containers/{self._name}/logs?follow=1&stdout=1&stderr=1"
        redactor = OutputRedactor(self._patterns)
        try:
            async with open_stream(self._engine.endpoint, path) as reader:
                async for brought in pieces(reader):
                    clear = redactor.feed(brought)
                    if clear:
                        on_output(self._task_id, clear)
                    self.shown_bytes += len(clear)
                    if self.shown_bytes >= _FOLLOW_BYTES:
                        return
        except EngineUnavailableError as error:
            log.info("live_output.follow_failed", name=self._name, error=str(error))
