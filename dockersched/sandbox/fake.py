"""A runner without containers, for tests of schedulers and of programs that embed dockersched.

It enforces the runner's contract: asked for what a scheduler must never ask, it fails the test at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from msgspec import Struct

from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxBackend, SandboxCancelled, SandboxRunOptions
from dockersched.states import Reason


class Script(Struct, frozen=True):
    """What a fake sandbox does.

    Args:
        exit_code: that it ends with.
        duration_s: how long it runs; None runs until it is stopped.
        raises: an exception raised instead of a result.
        stop_s: how long it takes to stop when it is cancelled or timed out.
    """

    exit_code: int = 0
    duration_s: float | None = 0.0
    raises: Exception | None = None
    stop_s: float = 0.0


class _Sandbox(Struct):
    result: asyncio.Future[SandboxResult]
    starts: int = 1


@dataclass
class FakeRunner(SandboxBackend):
    """Runs scripts instead of containers.

    Args:
        scripts: what each task does, by task id; others succeed at once.
        on_start: called with the options of every sandbox that starts.

    Attributes:
        started, finished: task ids in the order in which their sandboxes started and ended.
        discarded: task ids whose results were handed on, or that were started ahead and not run.
        ahead: task ids that were started ahead, as long as they were neither run nor discarded.
        alive: ids of the sandboxes that run.
        peak: the most sandboxes that were alive at the same time.
    """

    scripts: Mapping[str, Script] = field(default_factory=dict)
    on_start: Callable[[SandboxRunOptions], None] | None = None
    started: list[str] = field(default_factory=list)
    finished: list[str] = field(default_factory=list)
    peak: int = 0
    alive: set[str] = field(default_factory=set)
    discarded: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)
    _done: dict[tuple[str, str, int], SandboxResult] = field(default_factory=dict)

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs the task's script; an attempt that already ended gives its result again."""
        identity = (options.sandbox_id, options.run_id, options.attempt)
        if identity in self._done:
            return self._done[identity]
        if options.sandbox_id in self.alive:
            raise AssertionError(f"sandbox {options.sandbox_id} was started twice")
        self._start(options)
        try:
            result = await self._play(options, self.scripts.get(options.task_id, Script()))
        finally:
            self.alive.discard(options.sandbox_id)
            self.finished.append(options.task_id)
        self._done[identity] = result
        return result

    def discard(self, options: SandboxRunOptions) -> None:
        """Notes it; what is discarded must have ended."""
        if options.sandbox_id in self.alive:
            raise AssertionError(f"sandbox {options.sandbox_id} was discarded while it ran")
        self.discarded.append(options.task_id)
        if options.task_id in self.ahead:
            self.ahead.remove(options.task_id)

    def start_ahead(self, options: SandboxRunOptions) -> None:
        """Notes it; what is started ahead must not have run."""
        if options.task_id in self.ahead or options.task_id in self.started:
            raise AssertionError(f"sandbox {options.sandbox_id} was started ahead after it was started")
        self.ahead.append(options.task_id)

    def _start(self, options: SandboxRunOptions) -> None:
        self.alive.add(options.sandbox_id)
        self.peak = max(self.peak, len(self.alive))
        self.started.append(options.task_id)
        if options.task_id in self.ahead:
            self.ahead.remove(options.task_id)
        if self.on_start:
            self.on_start(options)

    async def _play(self, options: SandboxRunOptions, script: Script) -> SandboxResult:
        started_at = datetime.now(UTC)

        def ended(exit_code: int | None, reason: Reason | None = None) -> SandboxResult:
            return SandboxResult(
                options.sandbox_id,
                exit_code,
                reason,
                started_at=started_at,
                finished_at=datetime.now(UTC),
                phases=options.phases,
            )

        try:
            if script.raises is not None:
                raise script.raises
            if script.duration_s != 0:
                async with asyncio.timeout(options.timeout_s):
                    await (asyncio.sleep(script.duration_s) if script.duration_s else asyncio.Event().wait())
            return ended(script.exit_code)
        except TimeoutError:
            await asyncio.sleep(script.stop_s)
            return ended(137, Reason.TIMED_OUT)
        except asyncio.CancelledError:
            await asyncio.sleep(script.stop_s)
            raise SandboxCancelled(ended(137, Reason.CANCELLED)) from None
