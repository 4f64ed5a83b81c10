"""Makes what runs attempts, of everything that they share."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from dockersched import ids
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions, StopJournal
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.attempt import Attempt
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.container import Container
from dockersched.sandbox.docker.created_ahead import CreatedContainer
from dockersched.sandbox.docker.gate_volumes import GateVolumes
from dockersched.sandbox.docker.gatekeeper import Gatekeeper
from dockersched.sandbox.docker.gating import gated
from dockersched.sandbox.docker.live_output import OnOutput
from dockersched.sandbox.docker.namespaces import Namespaces, Slot, may_share
from dockersched.sandbox.docker.openings import openings
from dockersched.sandbox.docker.provisions import Provision, Provisions
from dockersched.sandbox.docker.room import RoomGate
from dockersched.sandbox.docker.usage import UsageMeter
from dockersched.sandbox.docker.watcher import ExitWatcher
from dockersched.sandbox.secret_values import SecretValues
from dockersched.unbroken import unbroken


class AttemptFactory:
    """Makes the attempts of one runner.

    Args:
        engine: that they run on.
        provisions: gets them what they need.
        secrets: what is known there is taken out of all output.
        room: what they pass to start.
        journal: told why a sandbox is stopped, before it is.
        logs_dir: folder for their logs; None keeps none.
        on_output: called with their output while they run.

    Attributes:
        namespaces: those that the sandboxes of a run share, by run.
        gates: of the runs.
    """

    def __init__(
        self,
        engine: Engine,
        provisions: Provisions,
        *,
        secrets: SecretValues,
        room: RoomGate,
        journal: StopJournal,
        logs_dir: Path | None,
        on_output: OnOutput | None,
    ) -> None:
        self._engine = engine
        self._provisions = provisions
        self.secrets = secrets
        self._room = room
        self.journal = journal
        self._logs_dir = logs_dir
        self._on_output = on_output
        self._usage = UsageMeter.on(engine)
        self._watchers: dict[str, ExitWatcher] = {}
        self.namespaces: dict[str, Namespaces] = {}
        self.gates = GateVolumes(engine)

    async def start_ahead(self, options: SandboxRunOptions, wanted: asyncio.Event) -> Attempt:
        """What runs an attempt, with its container started behind a gate.

        Args:
            options: of the sandbox, with the defaults filled in.
            wanted: set when somebody waits for it; if that is before it could be started, it gets no gate.

        Raises:
            LaunchRefusedError: the sandbox must not or cannot be run.
            RunnerError: the machinery failed.
        """
        attempt = await self.make(options, wanted)
        try:
            await attempt.start_gated()
        except BaseException:
            await unbroken(attempt.give_up())
            raise
        return attempt

    async def create_ahead(self, options: SandboxRunOptions, wanted: asyncio.Event) -> CreatedContainer | None:
        """The container of an attempt, once the engine has had nothing to start for a while.

        Args:
            options: of the sandbox, with the defaults filled in.
            wanted: set when somebody waits for the attempt; then there is no container yet.

        Returns:
            None also where it cannot be known which namespace it will be in, or files must be there before.

        Raises:
            LaunchRefusedError: the sandbox must not or cannot be run.
            RunnerError: the machinery failed.
        """
        namespaces = self._namespaces_of(options)
        if namespaces and not namespaces.is_next_known:
            return None
        await self._engine.pool.idle(wanted)
        if wanted.is_set():
            return None
        given = await self._provisions.provide(options, self.secrets)
        if wanted.is_set() or given.attachments or (namespaces and not namespaces.is_next_known):
            return None
        slot = namespaces.probably_next if namespaces else None
        created = CreatedContainer(self._engine, given.options, _body(given, slot))
        await created.create()
        return created

    async def make(
        self,
        options: SandboxRunOptions,
        wanted: asyncio.Event | None = None,
        *,
        created: CreatedContainer | None = None,
    ) -> Attempt:
        """What runs an attempt.

        Args:
            options: of the sandbox, with the defaults filled in.
            wanted: makes one with a gate, which is started before somebody waits for it; set when somebody does. Where
                somebody does already when it can be started, it gets no gate.
            created: what `create_ahead` made for it, which is not used if it is not what would be made now.

        Raises:
            LaunchRefusedError: the sandbox must not or cannot be run.
            RunnerError: the machinery failed.
        """
        volume = await self._gate_volume(options, wanted) if wanted is not None else None
        asked, given = options, await self._provisions.provide(options, self.secrets)
        options, image, patterns = given.options, given.image, self.secrets.patterns()
        known = replace(known_of(options), image_digest=image.digest, openings=openings(options))
        log_path, watcher = self._log_path(options), self._watcher(options.run_id)
        await watcher.ready()
        namespaces = self._namespaces_of(options)
        slot = await namespaces.take(options.task_id, wanted) if namespaces else None
        name = translate.container_name(options)
        body = _body(given, slot)
        if created is not None and created.body != body:  # of another namespace, or a mount has moved meanwhile
            try:
                await created.give_up()
            except asyncio.CancelledError:
                if namespaces and slot:
                    namespaces.give_back(slot, is_empty=True)
                raise
            created = None
        gate = None
        if wanted is not None and volume is not None and not wanted.is_set():
            body = gated(body, volume=volume, search_path=image.search_path)
            gate = Gatekeeper(self._engine, asked, body, given.attachments, wanted)
        container = Container(
            options,
            known=known,
            name=name,
            body=body,
            engine=self._engine,
            watcher=watcher,
            room=self._room,
            log_path=log_path,
            on_output=self._on_output,
            journal=self.journal,
            patterns=patterns,
            usage=self._usage,
            attachments=given.attachments,
            files=given.files,
            gate=gate,
            created=created.container_id if created else None,
        )

        def forget() -> None:
            watcher.unwatch(name)
            self._usage.forget(name)

        return Attempt(container, known=known, patterns=patterns, namespaces=namespaces, slot=slot, forget=forget)

    def _namespaces_of(self, options: SandboxRunOptions) -> Namespaces | None:
        return self.namespaces.get(options.run_id) if may_share(options, self._engine.features) else None

    async def _gate_volume(self, options: SandboxRunOptions, wanted: asyncio.Event) -> str | None:
        """The volume with the gate, once the engine has a core to spare; None when somebody waits by then."""
        self.gates.begin(options.epic_id, options.run_id)
        await self._engine.pool.core_to_spare(wanted)
        return None if wanted.is_set() else await self.gates.of_run(options.run_id)

    async def aclose(self) -> None:
        """Stops watching."""
        await asyncio.gather(self._usage.aclose(), *(watcher.aclose() for watcher in self._watchers.values()))

    def _watcher(self, run_id: str) -> ExitWatcher:
        if run_id not in self._watchers:
            self._watchers[run_id] = ExitWatcher(
                self._engine.endpoint,
                lambda label: self._engine.pool.call(lambda calls: calls.list_run(label)),
                f"{translate.LABEL_RUN}={run_id}",
                self._engine.api_version,
                self._engine.health,
            )
        return self._watchers[run_id]

    def _log_path(self, options: SandboxRunOptions) -> Path | None:
        if self._logs_dir is None:
            return None
        self._logs_dir.mkdir(parents=True, exist_ok=True)
        return self._logs_dir / ids.log_name(options.task_id, options.attempt)


def _body(given: Provision, slot: Slot | None) -> dict[str, Any]:
    return translate.create_body(
        given.options,
        image_id=given.image.image_id,
        image_volumes=given.image.volumes,
        image_is_32_bit=given.image.is_32_bit,
        mounts=given.mounts,
        network_mode=slot.network_mode if slot else None,
    )


def known_of(options: SandboxRunOptions) -> SandboxResult:
    """What is known of an attempt's result before anything is done."""
    return SandboxResult(options.sandbox_id, image=options.image, quota_requested=options.quota, exit_code=0)
