"""The attempts of a runner, and what is ready of them before anybody asks."""

from __future__ import annotations

import asyncio

from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.ahead import SandboxesAhead
from dockersched.sandbox.docker.attempt import Attempt
from dockersched.sandbox.docker.attempt_factory import AttemptFactory


class AttemptsAhead:
    """Has attempts ready: started behind a gate, or their container created; what was not is made when it is taken.

    Args:
        attempts: makes them.
    """

    def __init__(self, attempts: AttemptFactory) -> None:
        self._attempts = attempts
        self._started = SandboxesAhead(attempts.start_ahead)
        self._created = SandboxesAhead(attempts.create_ahead)

    def start(self, options: SandboxRunOptions) -> None:
        """Begins to start a sandbox behind a gate, in the background."""
        self._started.begin(options)

    def create(self, options: SandboxRunOptions) -> None:
        """Begins to create a sandbox's container, in the background, once the engine is idle."""
        self._created.begin(options)

    async def take(self, options: SandboxRunOptions) -> Attempt:
        """What runs a sandbox, now.

        Raises:
            LaunchRefusedError: the sandbox must not or cannot be run.
            RunnerError: the machinery failed.
        """
        started = await self._started.take(options)
        if started is not None:
            return started
        created = await self._created.take(options)
        try:
            return await self._attempts.make(options, created=created)
        except BaseException:
            if created is not None:
                await created.give_up()
            raise

    def give_up(self, options: SandboxRunOptions) -> bool:
        """Removes what is ready of a sandbox, in the background; False when nothing is."""
        return self._started.give_up(options) or self._created.give_up(options)

    async def settle(self) -> None:
        """Waits until all that were given up are gone."""
        await asyncio.gather(self._started.settle(), self._created.settle())

    async def aclose(self) -> None:
        """Gives up what is left."""
        await asyncio.gather(self._started.aclose(), self._created.aclose())
