"""The volumes with the gate's program, one for each run: read-only in every sandbox that has a gate."""

from __future__ import annotations

import asyncio
import secrets
from functools import partial

from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import gating, holder, translate
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.holder_image import image_id
from dockersched.sandbox.docker.volumes import volume_labels


class GateVolumes:
    """Makes a run's volume when its first sandbox is prepared; the sweep at the end of the run removes it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._made: dict[str, asyncio.Task[str]] = {}

    def begin(self, epic_id: str, run_id: str) -> None:
        """Begins to make the run's volume, if that has not begun."""
        if run_id not in self._made:
            options = holder.identity(epic_id, run_id, f"gate-{secrets.token_hex(4)}")
            make = partial(_make, options=options, architecture=self._engine.features.architecture)
            self._made[run_id] = asyncio.create_task(self._engine.pool.call(make))

    async def of_run(self, run_id: str) -> str:
        """The name of the volume that was begun for the run.

        Raises:
            RunnerError: it could not be made; that is tried once.
        """
        return await asyncio.shield(self._made[run_id])

    async def forget(self, run_id: str) -> None:
        """The run is over; what is being made is, when this returns."""
        if (making := self._made.pop(run_id, None)) is not None:
            await asyncio.gather(making, return_exceptions=True)


def _make(calls: EngineCalls, options: SandboxRunOptions, architecture: str) -> str:
    """Makes the volume and lets the engine fill it from the holder's image, by a container that is never started."""
    name, labels = translate.container_name(options), translate.labels(options)
    volume = f"{name}-gate"
    calls.create_volume(volume, {}, volume_labels(volume, labels))
    body = holder.create_body(options, image_id(calls, architecture))
    body["HostConfig"]["Mounts"] = [gating.mount(volume, read_only=False)]
    calls.remove(calls.create_or_find(name, body))
    return volume
