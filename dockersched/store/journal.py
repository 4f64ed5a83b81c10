"""A runner that writes everything down: an intent before each effect, a record after each end.

Because every runner adopts what is there, and this one answers from its records what has ended, going on after a crash
is running the same epic again under the same run id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from msgspec.structs import replace

from dockersched.errors import StateError, TransientRunnerError
from dockersched.graph.capacity import Capacity
from dockersched.graph.standing import Standing
from dockersched.model import QuotaConfig
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxBackend, SandboxCancelled, SandboxRunOptions, StopJournal
from dockersched.states import Reason
from dockersched.store.database import StateStore
from dockersched.unbroken import whole

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_NEXT = datetime.resolution


class Journal(StopJournal):
    """What is on record of one run's attempts.

    An attempt that was cancelled or disregarded is not one that the scheduler counts: when the run goes on, the task
    gets another. So the scheduler's n-th attempt is the n-th of the others on record.

    The times of its intents tell their order, also where the clock was set back in between.

    Once something could not be written nothing is any more: then nothing starts and nothing is stopped or removed, as
    it would be without a record, and the run can go on from what is on disk.

    Args:
        store: the state database.
        run_id: the run.
        on_failure: called at the first failure to write.

    Attributes:
        failure: why nothing is written any more.
    """

    def __init__(self, store: StateStore, run_id: str, on_failure: Callable[[], None] = lambda: None) -> None:
        self.failure: StateError | None = None
        self._on_failure = on_failure
        self._store = store
        self._run_id = run_id
        self._rows = store.attempts(run_id)
        self._last_intended_at = max((row.intended_at for row in self._rows.values()), default=_LONG_AGO)
        self._counted: dict[str, list[int]] = {}
        self._highest: dict[str, int] = {}
        self._disregarded: dict[str, list[int]] = {}
        for (task_id, attempt), row in sorted(self._rows.items()):
            self._highest[task_id] = attempt
            is_cancelled = (row.result.reason if row.result else row.stop_intent) is Reason.CANCELLED
            if not (is_cancelled or row.is_disregarded):
                self._counted.setdefault(task_id, []).append(attempt)

    def on_engine(self, options: SandboxRunOptions) -> SandboxRunOptions:
        """The options with the attempt's number on record and on the engine."""
        counted = self._counted.get(options.task_id, [])
        if options.attempt <= len(counted):  # how long it waited is not known to this process
            return replace(options, attempt=counted[options.attempt - 1], queued_s=None)
        attempt = self._highest.get(options.task_id, 0) + options.attempt - len(counted)
        return options if attempt == options.attempt else replace(options, attempt=attempt)

    def result(self, options: SandboxRunOptions) -> SandboxResult | None:
        """The terminal record of an attempt; None when it has none."""
        row = self._rows.get((options.task_id, options.attempt))
        return row.result if row else None

    def recorded(self, options: SandboxRunOptions) -> SandboxResult | None:
        """The terminal record of the scheduler's attempt of this number."""
        return self.result(self.on_engine(options))

    def unfinished(self) -> list[tuple[str, int]]:
        """Attempts that were intended and have no record: task and number."""
        return [key for key, row in self._rows.items() if row.result is None]

    def standing(self) -> dict[str, Standing]:
        """What is on record of each task that was started: results, and whether an attempt has none."""
        found = {}
        for task_id, attempts in self._counted.items():
            results = [result for attempt in attempts if (result := self._rows[task_id, attempt].result) is not None]
            oom_kills = sum(result.reason is Reason.OOM_KILLED for result in results)
            found[task_id] = Standing(len(results), in_flight=len(results) < len(attempts), oom_kills=oom_kills)
        return found

    def begun(self, task_id: str) -> list[tuple[int, datetime]]:
        """The attempts of a task that count, and when each was about to be made; not those of another run."""
        counted = [(attempt, self._rows[task_id, attempt]) for attempt in self._counted.get(task_id, ())]
        return [(attempt, row.intended_at) for attempt, row in counted if not row.is_taken_over]

    def last_begun(self, task_ids: Collection[str]) -> datetime | None:
        """When the last attempt of these tasks was about to be made, whether it counts or not."""
        ours = set(task_ids)
        begun = (row.intended_at for (task_id, _), row in self._rows.items() if task_id in ours)
        return max(begun, default=None)

    def disregard(self, task_id: str, attempt: int) -> None:
        """An attempt is none that the scheduler counts: its task gets another.

        That is on record when the other one is about to be made. Before, nothing has come that the task comes after.
        """
        self._disregarded.setdefault(task_id, []).append(attempt)
        self._counted[task_id].remove(attempt)
        if not self._counted[task_id]:
            del self._counted[task_id]

    def was_cancelled(self, task_id: str, attempt: int) -> bool:
        """Whether an attempt was being cancelled when the run broke off."""
        return self._rows[task_id, attempt].stop_intent is Reason.CANCELLED

    def stopped_for(self, options: SandboxRunOptions) -> Reason | None:
        """Why an earlier process was about to stop this attempt."""
        row = self._rows.get((options.task_id, options.attempt))
        return row.stop_intent if row else None

    def begun_at(self, options: SandboxRunOptions) -> datetime | None:
        """When an earlier process was about to begin this attempt."""
        row = self._rows.get((options.task_id, options.attempt))
        return row.intended_at if row else None

    def knows(self, options: SandboxRunOptions) -> bool:
        """Whether an earlier process was about to begin this attempt."""
        return (options.task_id, options.attempt) in self._rows

    async def intend(self, options: SandboxRunOptions) -> None:
        """The attempt is about to be made."""
        if not self.knows(options):
            for attempt in self._disregarded.pop(options.task_id, ()):
                await whole(self._write(partial(self._store.disregard, self._run_id, options.task_id, attempt)))
            at = self._last_intended_at = max(datetime.now(UTC), self._last_intended_at + _NEXT)
            await whole(self._write(lambda: self._store.intend(self._run_id, options.task_id, options.attempt, at)))

    async def stopping(self, options: SandboxRunOptions, reason: Reason) -> None:
        """The attempt is about to be stopped."""
        await self._write(lambda: self._store.intend_stop(self._run_id, options.task_id, options.attempt, reason))

    async def record(self, task_id: str, attempt: int, result: SandboxResult) -> None:
        """The attempt has ended."""
        await self._write(lambda: self._store.record(self._run_id, task_id, attempt, result))

    async def _write(self, write: Callable[[], Awaitable[None]]) -> None:
        if self.failure is not None:
            raise self.failure
        try:
            await write()
        except StateError as error:
            self.fail(error)
            raise

    def fail(self, error: StateError) -> None:
        """Something of the run could not be written: from now on nothing is, and the run breaks off."""
        if self.failure is None:
            self.failure = error
            self._on_failure()


class JournaledRunner(SandboxBackend):
    """Runs sandboxes in another runner, and keeps the journal."""

    def __init__(self, inner: SandboxBackend, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs one sandbox, or answers from the record; the result is safe on disk when this returns."""
        options = self._journal.on_engine(options)
        if (known := self._journal.result(options)) is not None:
            return known
        try:
            await self._journal.intend(options)
            result = await self._inner.run(options)
        except SandboxCancelled as cancelled:
            await self._record(options, cancelled.result)
            raise
        except asyncio.CancelledError:
            await self._record(
                options, SandboxResult(options.sandbox_id, reason=Reason.CANCELLED, phases=options.phases)
            )
            raise
        except StateError as error:  # its log cannot be written: the container keeps it for whoever goes on
            self._journal.fail(error)
            raise
        except Exception as error:
            failure = f"{type(error).__name__}: {error}"
            failed = SandboxResult(
                options.sandbox_id,
                reason=Reason.ENGINE_ERROR,
                detail=failure,
                phases=options.phases,
                is_final=not isinstance(error, TransientRunnerError),
            )
            await self._record(options, failed)
            raise
        try:
            await self._record(options, result)
        except asyncio.CancelledError:
            raise SandboxCancelled(result) from None
        return result

    @property
    def capacity(self) -> Capacity | None:
        """What there is for all sandboxes together."""
        return self._inner.capacity

    def full_quota(self, quota: QuotaConfig | None) -> QuotaConfig:
        """The limits that a sandbox with this quota gets."""
        return self._inner.full_quota(quota)

    def standing(self) -> Mapping[str, Standing]:
        """What is on record of an earlier process of the run."""
        return self._journal.standing()

    def recorded(self, options: SandboxRunOptions) -> SandboxResult | None:
        """The result of an attempt that an earlier process of the run has on record."""
        return self._journal.recorded(options)

    async def prepare(self, sandboxes: Sequence[SandboxRunOptions]) -> Mapping[str, str]:
        """Gets the images of the run."""
        return await self._inner.prepare(sandboxes)

    def holds(self, resumed: Callable[[], None]) -> bool:
        """Whether nothing more should be started for now."""
        return self._inner.holds(resumed)

    def start_ahead(self, options: SandboxRunOptions) -> None:
        """Lets the sandbox be started behind a gate, unless an earlier process may have run it."""
        options = self._journal.on_engine(options)
        if not self._journal.knows(options):
            self._inner.start_ahead(options)

    @property
    def creates_ahead(self) -> bool:
        """Whether `create_ahead` does anything."""
        return self._inner.creates_ahead

    def create_ahead(self, options: SandboxRunOptions) -> None:
        """Lets the sandbox be created, unless an earlier process may have run it."""
        options = self._journal.on_engine(options)
        if not self._journal.knows(options):
            self._inner.create_ahead(options)

    def discard(self, options: SandboxRunOptions) -> None:
        """Removes what is left of a sandbox."""
        if self._journal.failure is None:
            self._inner.discard(self._journal.on_engine(options))

    async def sweep(self, run_id: str) -> list[str]:
        """Removes whatever of a run is left."""
        return await self._inner.sweep(run_id)

    async def aclose(self) -> None:
        """Lets go of the runner."""
        await self._inner.aclose()

    async def _record(self, options: SandboxRunOptions, result: SandboxResult) -> None:
        await whole(self._journal.record(options.task_id, options.attempt, result))
