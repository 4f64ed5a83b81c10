"""Starts one container behind its gate, and releases it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any

from msgspec.structs import replace

from dockersched.errors import PermanentRunnerError
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import batches, gating, outcome, translate
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.mounts import sources
from dockersched.sandbox.docker.streams import Stdin, open_stdin


class Gatekeeper:
    """Holds the other end of a gate's input from before the start: whatever ends this process closes it.

    Args:
        engine: to start the container on.
        options: of the sandbox, as they were asked for.
        body: that it is created from, with a gate.
        attachments: files that it is started with.
        wanted: set when somebody waits for the start; until then others come first.

    Attributes:
        released_at: when the task was let begin, by the engine's clock; None as long as it was not.
    """

    def __init__(
        self,
        engine: Engine,
        options: SandboxRunOptions,
        body: Mapping[str, Any],
        attachments: Sequence[batches.Attachment],
        wanted: asyncio.Event,
    ) -> None:
        self._engine = engine
        self._name = translate.container_name(options)
        self._body = body
        self._attachments = attachments
        self._wanted = wanted
        self._begun_at = engine.health.now()
        self._mounts, self._mounted = options.mounts, sources(options.mounts)
        self._stdin: Stdin | None = None
        self._launched: batches.Launched | None = None
        self.released_at: datetime | None = None

    async def start(self) -> None:
        """Creates the container and starts it; nothing of its task runs.

        Raises:
            LaunchRefusedError: it could not be started.
            RunnerError: the machinery failed; nothing is tried again.
        """
        pool, attachments = self._engine.pool, self._attachments
        create = partial(batches.create, name=self._name, body=self._body, attachments=attachments)
        created = await pool.start_when_idle(create, self._wanted)
        if outcome.was_started(created.inspected["State"]):
            raise PermanentRunnerError(f"{self._name} was started by an earlier process")
        self._stdin = await open_stdin(self._engine.endpoint, self._engine.api_version, self._name)
        self._launched = await pool.start_when_idle(
            partial(batches.start, created=created, attachments=attachments), self._wanted
        )

    async def release(self) -> batches.Launched:
        """Lets the task begin, once. What becomes of that, if the connection is lost, is seen by how it ends.

        Raises:
            NeverReleasedError: it was not started, or the engine went down since, and the container with it, or what it
                mounts has been replaced.
        """
        if self._launched is None or self._stdin is None or self._engine.health.was_lost_since(self._begun_at):
            raise batches.NeverReleasedError
        if sources(self._mounts) != self._mounted:
            raise batches.NeverReleasedError
        self.released_at = self._engine.health.now()
        with suppress(OSError):
            await self._stdin.send(gating.RELEASE)
        return replace(self._launched, started_at=self.released_at)

    def close(self) -> None:
        """Ends the gate's input: what was not released ends."""
        if self._stdin is not None:
            self._stdin.close()
