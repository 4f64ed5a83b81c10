"""Network namespaces that sandboxes use one after another.

A namespace takes the kernel longer to make and to destroy than everything else of a container's start. A sandbox
without a network needs one only to be closed in, so it can join one in which nothing else is any more: that of a
holder, a small container that waits (`holder`). Never two sandboxes at once, and none in whose namespace something
could have been changed: see `may_share`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from msgspec import Struct

from dockersched.errors import EngineRefusedError, RunnerError
from dockersched.log import Logger
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import batches, holder, translate
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.gate.program import ARCHITECTURES
from dockersched.sandbox.docker.holder_image import image_id
from dockersched.sandbox.docker.refusals import may_be_root
from dockersched.sandbox.docker.turns import Turns

_EARNS_AFTER = 4
"""So many sandboxes must be to come for each holder: it costs a start itself, and saves half of each one's."""

_EARNS_AHEAD_AFTER = 2
"""The same of holders that only let more sandboxes wait behind gates: they are made while the engine is idle."""

_ROUNDS = 2
"""Where fewer rounds of sandboxes are to come, all of them start before a holder is of use."""

log = Logger("namespaces")


class Slot(Struct, frozen=True):
    """A namespace with nothing in it but its holder."""

    options: SandboxRunOptions
    container_id: str
    made_at: datetime

    @property
    def network_mode(self) -> str:
        """What joins a container to the namespace."""
        return translate.joined(self.container_id)


def may_share(options: SandboxRunOptions, features: EngineFeatures) -> bool:
    """Whether a sandbox can leave nothing behind in a namespace: it has no network, and no means to change its own.

    Args:
        options: the sandbox, with the defaults filled in.
        features: of the engine.
    """
    return (
        options.network_namespace != "own"
        and options.network == "none"
        and options.profile == "locked"
        and bool(options.read_only)  # the holder's /etc/hosts and its like are seen by all
        and not options.cap_add
        and not may_be_root(options.user)
        and features.runs_by_runc(options.runtime)
        and features.architecture in ARCHITECTURES
    )


class Namespaces:
    """The namespaces of one run, made as they are needed, as long as each earns its cost back.

    Args:
        engine: to make them on.
        epic_id, run_id: of the run.
        task_ids: of those that can share and are to come.
        at_once: how many of these run at the same time at most.
        ahead: how many more may wait behind gates.
        in_background: runs a coroutine to its end; asked for what nobody waits for.
    """

    def __init__(
        self,
        engine: Engine,
        epic_id: str,
        run_id: str,
        *,
        task_ids: Collection[str],
        at_once: int,
        ahead: int = 0,
        in_background: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._engine = engine
        self._epic_id = epic_id
        self._run_id = run_id
        self._to_come = set(task_ids) if len(task_ids) >= _ROUNDS * at_once else set()
        self._most = at_once
        self._ahead = ahead
        self._in_background = in_background
        self._idle: list[Slot] = []
        self._taken: list[Slot] = []
        self._count = 0
        self._coming = 0
        self._wants_more = False
        self._ended = asyncio.Event()
        self._turns = Turns()

    @property
    def is_next_known(self) -> bool:
        """Whether there is no choice of which namespace the next sandbox gets, once it is free."""
        return not self._coming and len(self._idle) + len(self._taken) <= 1

    @property
    def probably_next(self) -> Slot | None:
        """The one that there is, whether or not a sandbox is in it; None where the next one has its own."""
        return next(iter([*self._idle, *self._taken]), None)

    async def take(self, task_id: str, wanted: asyncio.Event | None = None) -> Slot | None:
        """A namespace for one sandbox, which `give_back` must follow; None when it should have its own.

        Where one is made for it, only the first sandbox of a run does not wait for that: two that each make their own
        keep the engine longer than one that is made, and joined.

        Args:
            task_id: of its task, which can have one after another.
            wanted: given for a sandbox that nobody waits for yet, and set when somebody does; it waits for any
                namespace, unless this run shares none.
        """
        self._to_come.discard(task_id)
        self._drop_lost()
        is_patient = not self._idle and self._make_if_it_pays(wanted)
        if wanted is not None:
            while not self._idle and self._count and not wanted.is_set():
                await self._turns.wait(wanted)
                try:  # where the engine has enough to do, whoever is wanted next may have it
                    await self._engine.pool.core_to_spare(wanted)
                except asyncio.CancelledError:
                    self._turns.give()
                    raise
            is_patient = True
        while is_patient and not self._idle and self._coming:
            await self._turns.wait(asyncio.Event())
        slot = self._idle.pop() if self._idle else None
        if slot is not None:
            self._taken.append(slot)
        self._drop_unneeded()
        return slot

    def end(self) -> None:
        """Nothing more of the run is to come."""
        self._ended.set()

    def give_back(self, slot: Slot, *, is_empty: bool) -> None:
        """Takes the namespace of a sandbox back, for the next one if nothing of this one can be left in it.

        Args:
            slot: from `take`.
            is_empty: whether the sandbox is known to have ended, if it ever began.
        """
        self._taken.remove(slot)
        self._idle.append(slot)
        if is_empty:
            self._drop_unneeded()
            self._turns.give()
        else:  # whatever happened may have happened to all of them
            self._drop(self._idle)

    def _make_if_it_pays(self, wanted: asyncio.Event | None) -> bool:
        """Begins to make one where that pays; returns whether the sandbox should wait for it."""
        if self._count >= self._most:
            if wanted is not None and not self._wants_more and self._earns_ahead():
                self._wants_more = True
                self._in_background(self._make_when_idle())
            return False
        if (wanted is not None and self._coming) or len(self._to_come) < _EARNS_AFTER * (self._count + 1):
            return False
        self._count += 1
        self._coming += 1
        self._in_background(self._make())
        return self._count > 1

    def _earns_ahead(self) -> bool:
        is_room = self._count < self._most + self._ahead
        return is_room and len(self._to_come) >= _EARNS_AHEAD_AFTER * (self._count + 1)

    async def _make_when_idle(self) -> None:
        """Makes more for those that wait behind gates, as long as the engine has nothing better to do."""
        await self._engine.pool.idle(self._ended)
        while self._turns.are_wanted and self._earns_ahead() and not self._ended.is_set():
            self._count += 1
            self._coming += 1
            await self._make()
            await self._engine.pool.idle(self._ended)
        self._wants_more = False

    def _drop_unneeded(self) -> None:
        """What nobody will need goes while the last ones run."""
        if not self._to_come and not self._turns.are_wanted:
            self._drop(self._idle)

    def _drop_lost(self) -> None:
        """A daemon that went down may have taken holders with it."""
        self._drop([slot for slot in self._idle if self._engine.health.was_lost_since(slot.made_at)])

    def _drop(self, slots: Sequence[Slot]) -> None:
        self._idle = [slot for slot in self._idle if slot not in slots]
        self._count -= len(slots)
        for slot in slots:
            self._in_background(self._remove(slot.options))
            self._turns.give()

    async def _make(self) -> None:
        options = holder.identity(self._epic_id, self._run_id, f"namespace-{secrets.token_hex(4)}")
        made_at = self._engine.health.now()
        launch = partial(_launch, options=options, architecture=self._engine.features.architecture)
        slot: Slot | None = None
        try:
            slot = Slot(options, await self._engine.pool.start(launch), made_at)
            self._idle.append(slot)
        except (RunnerError, batches.LaunchRefusedError) as error:
            log.warning("namespaces.holder_not_made", error=str(error))
        finally:
            self._coming -= 1
            if slot is None:
                self._most = self._ahead = 0  # sandboxes go on in namespaces of their own
                self._count -= 1
            if self._coming:
                self._turns.give()
            else:  # whoever waits for one that is being made waits in vain by now
                self._turns.give_all()
        if slot is None:
            await self._remove(options)
        else:
            self._drop_unneeded()

    async def _remove(self, options: SandboxRunOptions) -> None:
        remove = partial(
            EngineCalls.remove_ours, name=translate.container_name(options), labels=translate.labels(options)
        )
        try:
            await self._engine.pool.call(remove)
        except RunnerError as error:  # the sweep at the end of the run finds it
            log.warning("namespaces.holder_not_removed", name=translate.container_name(options), error=str(error))


def _launch(calls: EngineCalls, options: SandboxRunOptions, architecture: str) -> str:
    body = holder.create_body(options, image_id(calls, architecture))
    launched = batches.launch(calls, translate.container_name(options), body)
    if launched.has_ended:
        raise EngineRefusedError(0, f"{translate.container_name(options)} ended at once")
    return launched.container_id
