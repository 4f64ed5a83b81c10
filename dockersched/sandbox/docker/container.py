"""One attempt's container, from its launch to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions, StopJournal
from dockersched.sandbox.docker import attached, batches
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.collecting import Collected
from dockersched.sandbox.docker.conclusion import Conclusion, later
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.gatekeeper import Gatekeeper
from dockersched.sandbox.docker.live_output import LiveOutput, OnOutput
from dockersched.sandbox.docker.lost_release import freeze_if_waiting
from dockersched.sandbox.docker.outcome import was_started
from dockersched.sandbox.docker.patience import Patience
from dockersched.sandbox.docker.phase_clock import PhaseClock
from dockersched.sandbox.docker.room import RoomGate
from dockersched.sandbox.docker.sandbox_files import SandboxFiles
from dockersched.sandbox.docker.usage import UsageMeter
from dockersched.sandbox.docker.watcher import ExitWatcher
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason

_KILL_LIMIT_S = 10.0
_RELEASE_LIMIT_S = 10.0

log = Logger("container")


class Container:
    """Launches a container, waits for its end or its deadline, and tells how it ended.

    Attributes:
        name: of the container.
        container_id: the engine's, once it was launched or released.
    """

    def __init__(
        self,
        options: SandboxRunOptions,
        *,
        known: SandboxResult,
        name: str,
        body: Mapping[str, Any],
        engine: Engine,
        watcher: ExitWatcher,
        room: RoomGate,
        log_path: Path | None,
        on_output: OnOutput | None,
        journal: StopJournal,
        patterns: SecretPatterns,
        usage: UsageMeter,
        attachments: Sequence[batches.Attachment] = (),
        files: SandboxFiles | None = None,
        gate: Gatekeeper | None = None,
        created: str | None = None,
    ) -> None:
        self.name = name
        self.container_id: str | None = None
        self._options = options
        self._body = body
        self._engine = engine
        self._watcher = watcher
        self._room = room
        self._output = LiveOutput(engine, name, options.task_id, on_output, patterns)
        self._patience = Patience(engine.pool, name)
        self._conclusion = Conclusion(
            options,
            name=name,
            engine=engine,
            watcher=watcher,
            patience=self._patience,
            log_path=log_path,
            output=self._output,
            patterns=patterns,
            usage=usage,
            files=files,
        )
        self._journal = journal
        self._patterns = patterns
        self._usage = usage
        self._clock: PhaseClock
        self._attachments = attachments
        self._exited = watcher.watch(name)
        self._known = known
        self._stopped_for: Reason | None = None
        self._gate = gate
        self._created = created
        self._intended_at: datetime | None = None
        self._is_release_unseen = False
        self._running_since: datetime | None = None

    async def start_gated(self) -> None:
        """Starts the container behind its gate, if it has one; nothing of its task runs before `run`.

        Raises:
            LaunchRefusedError: it could not be started.
            RunnerError: the machinery failed; nothing is tried again.
        """
        if self._gate is not None:
            await self._gate.start()
            self._watcher.started(self.name)

    async def run(self, clock: PhaseClock) -> SandboxResult:
        """Launches the container, or releases the one that waits behind a gate, and waits for its end.

        Args:
            clock: that measures it.

        Raises:
            LaunchRefusedError: it could not be started.
            NeverReleasedError: it ended behind its gate, or its release got lost; nothing of it will run.
            RunnerError: the machinery failed.
        """
        self._clock = clock
        begun_at = self._engine.health.now()
        launched = await self._launch() if self._gate is None else await self._release(self._gate)
        self._clock.launched()
        result = self._known = replace(self._known, quota_effective=launched.effective)
        self.container_id = launched.container_id
        self._watcher.started(self.name)
        self._stopped_for = self._journal.stopped_for(self._options)
        if launched.has_ended:
            return await self._told(result, await self._collect())
        self._running_since = begun_at
        self._is_release_unseen = launched.is_gated
        self._usage.watch(self.name)
        self._output.follow()
        try:
            async with asyncio.timeout(0 if self._stopped_for else self._remaining_s(launched)):
                collected = await self._ended()
        except TimeoutError:
            if self._is_release_unseen and not self._stopped_for:
                await self._see_release()
            await self._stop(Reason.TIMED_OUT)
            collected = await self._collect()
        finally:
            self._output.stop()
        return await self._told(result, collected)

    async def _launch(self) -> batches.Launched:
        launch = partial(
            batches.launch,
            name=self.name,
            body=self._body,
            attachments=self._attachments,
            clock=self._clock,
            created=self._created,
        )
        launched = await self._room.passing(partial(self._patience.start, launch))
        if launched.is_gated:  # by an earlier process, which was to release it at that time
            intended_at = self._journal.begun_at(self._options)
            # That is by the clock of this machine, which can be before the engine's.
            self._intended_at = intended_at and min(intended_at, self._engine.health.now())
            launched = replace(launched, started_at=later(launched.started_at, self._released_at))
        return launched

    async def _release(self, gate: Gatekeeper) -> batches.Launched:
        if self._exited.done():
            raise batches.NeverReleasedError
        with self._clock.starting():
            return await gate.release()

    async def end(self, reason: Reason) -> SandboxResult:
        """Stops the container if there is one, waits until it is gone, and tells what is known of it."""
        result = self._known
        try:
            found = await self._patience.call(
                partial(EngineCalls.find_ours, name=self.name, labels=self._body["Labels"])
            )
            if found is None:
                return replace(result, exit_code=None, reason=reason)
            has_begun = was_started(found["State"]) and (self._gate is None or self._gate.released_at is not None)
            if has_begun:
                await self._stop(reason)
                result = await self._told(result, await self._collect())
            else:
                result = replace(result, exit_code=None, reason=reason)
        except batches.NeverReleasedError:
            result = replace(result, exit_code=None, reason=reason)
        except RunnerError as error:
            result = replace(result, exit_code=None, reason=reason, detail=self._patterns.redact(str(error)))
        with suppress(RunnerError), self._clock.removing():  # the sweep at the end of the run tells what is left
            await self.remove()
        return result

    async def remove(self) -> None:
        """Kills and removes the container and its volumes.

        Raises:
            RunnerError: the engine did not.
        """
        if self._gate is not None:
            self._gate.close()
        held = attached.endings(self._options)
        await self._patience.call(partial(batches.remove, name=self.name, labels=self._body["Labels"], held=held))

    async def _ended(self) -> Collected:
        """Waits for the end. A hint is no proof: it looks, and waits on if the container still runs."""
        if self._is_release_unseen:
            await asyncio.wait([self._exited], timeout=_RELEASE_LIMIT_S)
            if not self._exited.done():
                await self._see_release()
        while True:
            await self._exited
            self._clock.exit_noticed()
            collected = await self._conclusion.collect_if_ended(None, self._running_since)
            if collected is not None:
                return collected
            self._exited = self._watcher.watch(self.name)
            self._watcher.started(self.name)

    async def _see_release(self) -> None:
        """Makes sure that a container which still runs has been released: what was sent to its gate can get lost."""
        self._is_release_unseen = False
        if await self._patience.call(partial(freeze_if_waiting, container=self.name)):
            log.warning("container.release_lost", name=self.name)
            raise batches.NeverReleasedError

    async def _collect(self) -> Collected:
        self._clock.exit_noticed()
        return await self._conclusion.collect(self._stopped_for, self._running_since)

    async def _told(self, known: SandboxResult, collected: Collected) -> SandboxResult:
        return await self._conclusion.result(known, collected, self.container_id, self._released_at)

    @property
    def _released_at(self) -> datetime | None:
        """When it was let through its gate, by this process or an earlier one."""
        return self._gate.released_at if self._gate else self._intended_at

    def _remaining_s(self, launched: batches.Launched) -> float:
        """Seconds until the deadline, which counts from the start or the release, whoever did it."""
        timeout_s = self._options.timeout_s or 0
        if launched.started_at is None:
            return timeout_s
        return timeout_s - (self._engine.health.now() - launched.started_at).total_seconds()

    async def _stop(self, reason: Reason) -> None:
        """Stops the process, politely and then not, unless it has ended by itself before.

        The first reason stands, and is noted before the signal: a second order to stop can break in at any moment.
        """
        is_first = self._stopped_for is None
        self._stopped_for = self._stopped_for or reason
        await self._journal.stopping(self._options, reason)
        self._exited = self._watcher.watch(self.name)  # a hint from before the signal is none of its end
        self._watcher.started(self.name)
        if not await self._patience.call(partial(EngineCalls.kill, container=self.name, signal="SIGTERM")):
            if is_first:
                self._stopped_for = None
            return
        try:
            async with asyncio.timeout(self._options.stop_grace_s):
                await self._wait_exit()
        except TimeoutError:
            await self._patience.call(partial(EngineCalls.kill, container=self.name, signal="SIGKILL"))
            with suppress(TimeoutError):
                async with asyncio.timeout(_KILL_LIMIT_S):
                    await self._wait_exit()

    async def _wait_exit(self) -> None:
        """Waits until the container may have ended; every waiting is on a future of its own."""
        if self._exited.cancelled():
            self._exited = self._watcher.watch(self.name)
            self._watcher.started(self.name)
        await self._exited
