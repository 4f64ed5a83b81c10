"""Runs each sandbox as a container of a Docker engine."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from dockersched.callbacks import display_only
from dockersched.data.run_files import RunFiles
from dockersched.errors import MountRefusedError, Problem, RunnerError
from dockersched.graph.capacity import Capacity
from dockersched.log import Logger
from dockersched.model import PullPolicy, QuotaConfig
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxBackend, SandboxRunOptions, StopJournal
from dockersched.sandbox.docker import attached, batches, leftovers, translate
from dockersched.sandbox.docker.attempt import Attempt, refusal
from dockersched.sandbox.docker.attempt_factory import AttemptFactory, known_of
from dockersched.sandbox.docker.attempts_ahead import AttemptsAhead
from dockersched.sandbox.docker.connect import CALL_TIMEOUT_S, Engine, Meeting, connect
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.gating import can_be_gated
from dockersched.sandbox.docker.images import ImageResolver, Progress
from dockersched.sandbox.docker.live_output import OnOutput
from dockersched.sandbox.docker.mounts import MountGate
from dockersched.sandbox.docker.namespaces import Namespaces, may_share
from dockersched.sandbox.docker.phase_clock import PhaseClock
from dockersched.sandbox.docker.provisions import Provisions
from dockersched.sandbox.docker.refusals import find_refusals
from dockersched.sandbox.docker.room import RoomGate
from dockersched.sandbox.secret_values import SecretValues
from dockersched.units import to_ms

log = Logger("runner")

_HOLDER_PULL_POLICY: PullPolicy = "missing"


class DockerRunner(SandboxBackend):
    """Runs sandboxes on a Docker engine; make one with `connect`, and use it on one event loop.

    Args:
        engine: the engine to run on.
        logs_dir: folder for `<task>.log` files; None keeps no logs.
        defaults: what a sandbox gets when its options are silent.
        on_output: called on the event loop with a task's id and output while it runs; display only, so that nothing
            follows from what it raises.
        progress: called, from any thread, with a line about an image that is built or pulled, or about a full disk.
        journal: told why a sandbox is stopped, before it is.
        secrets: where the values of secrets are; what is known there by now is taken out of all output.
        allow_mounts: folders of this machine below which the sources of mounts may lie; without them, none may.
        private_dirs: folders that no sandbox sees, nor can write to by what holds them.
        shares_engine: others use the engine, too: it is not let go of at the end.
        files: where workspaces, outputs and inputs are beside dockersched; None refuses sandboxes that have any.

    Attributes:
        removed_ms: what the removal of each attempt's container and volumes took, by run, task and attempt.

    Raises:
        MountRefusedError: what is allowed is no folder.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        logs_dir: Path | None = None,
        defaults: SandboxDefaults | None = None,
        on_output: OnOutput | None = None,
        progress: Progress | None = None,
        journal: StopJournal | None = None,
        secrets: SecretValues | None = None,
        allow_mounts: Iterable[str | os.PathLike[str]] = (),
        private_dirs: Iterable[str | os.PathLike[str]] = (),
        shares_engine: bool = False,
        files: RunFiles | None = None,
    ) -> None:
        self.engine = engine
        self._shares_engine = shares_engine
        self._defaults = defaults or SandboxDefaults()
        say = display_only(progress, "progress") if progress else (lambda _line: None)
        self.images = ImageResolver(engine.pool, say)
        self._room = RoomGate(say, engine.health)
        socket = engine.endpoint.socket
        never = [engine.features.data_root, *([socket] if socket else [])]
        self._mount_gate = MountGate(allow_mounts, never, [os.fspath(path) for path in private_dirs])
        self._provisions = Provisions(engine.features, self.images, self._mount_gate, files)
        self._attempts = AttemptFactory(
            engine,
            self._provisions,
            secrets=secrets or SecretValues(),
            room=self._room,
            journal=journal or StopJournal(),
            logs_dir=logs_dir,
            on_output=display_only(on_output, "on_output") if on_output else None,
        )
        self._ahead = AttemptsAhead(self._attempts)
        self._background: set[asyncio.Task[None]] = set()
        self._container_ids: dict[str, str] = {}
        self.removed_ms: dict[tuple[str, str, int], float] = {}

    @classmethod
    async def connect(
        cls,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        shared: Engine | None = None,
        met: Meeting | None = None,
        **settings: Any,
    ) -> Self:
        """Connects to the engine that the environment names, as the docker command would.

        Args:
            call_timeout_s: seconds after which a call counts as not answered.
            shared: an engine that others use, too, to take instead; it stays connected at the end.
            met: what was begun by `meet_in_background`, to go on with.
            settings: the keyword arguments of the class.

        Raises:
            EngineUnavailableError: no engine answers there.
            MountRefusedError: a folder of `allow_mounts` is none.
        """
        if shared is not None:
            return cls(shared, shares_engine=True, **settings)
        engine = await connect(call_timeout_s=call_timeout_s, met=met)
        try:
            return cls(engine, **settings)
        except BaseException:
            engine.close()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def journal(self) -> StopJournal:
        """Told why a sandbox is stopped, before it is."""
        return self._attempts.journal

    @journal.setter
    def journal(self, journal: StopJournal) -> None:
        self._attempts.journal = journal

    @property
    def secrets(self) -> SecretValues:
        """Where the values of secrets are."""
        return self._attempts.secrets

    @secrets.setter
    def secrets(self, secrets: SecretValues) -> None:
        self._attempts.secrets = secrets

    @property
    def capacity(self) -> Capacity:
        """What the engine's host has."""
        return self.engine.features.capacity

    def full_quota(self, quota: QuotaConfig | None) -> QuotaConfig:
        """The quota with this runner's defaults."""
        return self._defaults.fill_quota(quota)

    def find_refusals(self, sandboxes: Iterable[SandboxRunOptions]) -> list[Problem]:
        """What sandboxes ask for that the engine cannot give; `run` would refuse each of them as `rejected`."""
        sandboxes = list(sandboxes)
        problems = find_refusals(sandboxes, self.engine.features, self._defaults)
        for options in sandboxes:
            for position, mount in enumerate(options.mounts):
                try:
                    self._mount_gate.admit(mount)
                except MountRefusedError as refused:
                    path = ("tasks", options.task_id, "mounts", position, "source")
                    problems.append(Problem(f"task {options.task_id!r} {refused}", path))
        return problems

    async def prepare(self, sandboxes: Sequence[SandboxRunOptions]) -> Mapping[str, str]:
        """Resolves all images of the sandboxes, once each and side by side.

        Returns:
            for each task whose image cannot be had, by task id, why.
        """
        return await self._provisions.prepare(map(self._defaults.fill, sandboxes))

    def share_namespaces(self, sandboxes: Iterable[SandboxRunOptions], *, at_once: int, ahead: int = 0) -> None:
        """Lets sandboxes without a network use network namespaces one after another, where that is safe and pays.

        Args:
            sandboxes: of one run, that are to come.
            at_once: how many of them run at the same time at most.
            ahead: how many more may be started ahead.
        """
        sharing = [
            options for options in map(self._defaults.fill, sandboxes) if may_share(options, self.engine.features)
        ]
        if sharing:
            epic_id, run_id = sharing[0].epic_id, sharing[0].run_id
            self._attempts.namespaces[run_id] = Namespaces(
                self.engine,
                epic_id,
                run_id,
                task_ids=[options.task_id for options in sharing],
                at_once=at_once,
                ahead=ahead,
                in_background=self._in_background,
            )

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs one sandbox to its end, as the contract in `dockersched.SandboxRunner` says."""
        clock = PhaseClock(options.phases, self.engine.health.now)
        options = self._defaults.fill(options)
        try:
            try:
                return await self._run(await self._ahead.take(options), clock)
            except batches.NeverReleasedError:
                return await self._run(await self._attempts.make(options), clock)
        except batches.LaunchRefusedError as refused:
            return clock.timed(refusal(known_of(options), refused, self.secrets.patterns()))

    async def _run(self, attempt: Attempt, clock: PhaseClock) -> SandboxResult:
        try:
            return await attempt.run(clock)
        finally:
            self._container_ids.pop(attempt.name, None)  # of one that was removed, and made anew
            if attempt.container_id is not None:
                self._container_ids[attempt.name] = attempt.container_id

    def start_ahead(self, options: SandboxRunOptions) -> None:
        """Starts the sandbox behind a gate, in the background, if there is one for it."""
        options = self._defaults.fill(options)
        if can_be_gated(options, self.engine.features):
            self._ahead.start(options)

    @property
    def creates_ahead(self) -> bool:
        """Whether `create_ahead` does anything."""
        return True

    def create_ahead(self, options: SandboxRunOptions) -> None:
        """Creates the sandbox's container, in the background, once the engine is idle."""
        self._ahead.create(self._defaults.fill(options))

    def holds(self, resumed: Callable[[], None]) -> bool:
        """Whether the engine's disk is full, so that nothing more should be started for now."""
        return self._room.holds(resumed)

    def discard(self, options: SandboxRunOptions) -> None:
        """Removes the sandbox's container, in the background."""
        if not self._ahead.give_up(options):
            self._in_background(self._remove(options))

    async def remove(self, options: SandboxRunOptions) -> None:
        """Kills and removes the container of an attempt, if there is one, and its volumes."""
        name, labels = translate.container_name(options), translate.labels(options)
        batch = partial(
            batches.remove,
            name=name,
            labels=labels,
            held=attached.endings(options),
            container_id=self._container_ids.pop(name, None),
        )
        began = time.monotonic()
        if await self.engine.pool.call(batch):
            self.removed_ms[options.run_id, options.task_id, options.attempt] = to_ms(time.monotonic() - began)

    async def remove_prepared(self, sandboxes: Iterable[SandboxRunOptions]) -> None:
        """Removes what an earlier process had made ahead: nothing of these sandboxes ever ran.

        Args:
            sandboxes: of one run, which that process was not about to run yet.
        """
        names = {translate.container_name(options): options.run_id for options in sandboxes}
        for run_id in set(names.values()):
            found = await leftovers.find(self.engine.pool, f"{translate.LABEL_RUN}={run_id}")
            prepared = found.get(run_id, leftovers.Leftovers()).of_containers(names.keys())
            await leftovers.remove(self.engine.pool, prepared)

    async def sweep(self, run_id: str) -> list[str]:
        """Removes every container and volume of a run; returns in words what could not be removed."""
        if (namespaces := self._attempts.namespaces.pop(run_id, None)) is not None:
            namespaces.end()
        await self._ahead.settle()
        await self._settle_background()
        await self._attempts.gates.forget(run_id)
        found = await leftovers.find(self.engine.pool, f"{translate.LABEL_RUN}={run_id}")
        return await leftovers.remove(self.engine.pool, found.get(run_id, leftovers.Leftovers()))

    async def aclose(self) -> None:
        """Waits for removals in the background, then lets go of threads and connections."""
        for namespaces in self._attempts.namespaces.values():
            namespaces.end()
        await self._ahead.aclose()
        await self._settle_background()
        await self.images.aclose()
        await self._attempts.aclose()
        if not self._shares_engine:
            self.engine.close()

    async def _remove(self, options: SandboxRunOptions) -> None:
        try:
            await self.remove(options)
        except RunnerError as error:
            log.warning("runner.container_not_removed", name=translate.container_name(options), error=str(error))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _settle_background(self) -> None:
        while self._background:
            await asyncio.wait(self._background)
