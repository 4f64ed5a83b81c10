"""The scheduler: the only place that decides what runs when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial

from dockersched.control import EpicControl
from dockersched.epic_run import EpicRun, Settled
from dockersched.errors import EpicError
from dockersched.events import Observer
from dockersched.graph.capacity import Shares, check_capacity, resumed, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, ScheduledTask
from dockersched.replay import replay
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.base import SandboxBackend, SandboxCancelled, SandboxRunner, SandboxRunOptions
from dockersched.states import Reason
from dockersched.unbroken import ended

_Outcome = SandboxResult | BaseException
_Handle = asyncio.Task[_Outcome]
_Message = Callable[[], Iterable[int]]
"""What the coordinator waits for: something that has happened to the run. Called, it is taken into account, and gives
the indexes of the sandboxes that must be stopped now."""

_CREATED_AHEAD = 1
"""So many sandboxes are created before their tasks may run, where none is started."""


# [1_PRD-REQ-PERF-003]
class ParallelTaskScheduler:
    """Runs epics: each ready task in a sandbox of its own, as many side by side as slots, CPUs and memory allow.

    Args:
        runner: anything with `async def run(options) -> SandboxResult`.
        observers: called on the event loop with every event of a run, in order; they must return at once.

    One scheduler can run several epics at the same time.

    Raises:
        TypeError: the runner is none.
    """

    def __init__(self, runner: SandboxRunner, *, observers: Sequence[Observer] = ()) -> None:
        if not callable(getattr(runner, "run", None)):
            raise TypeError(f"a runner has a method run(options), {runner!r} has none")
        self._backend = runner if isinstance(runner, SandboxBackend) else _OnlyRuns(runner)
        self._observers = tuple(observers)

    @staticmethod
    def get_ready_tasks(tasks: TaskDAG | Iterable[ScheduledTask], completed_ids: Iterable[str]) -> list[ScheduledTask]:
        """The tasks that are not completed and whose every dependency is, in declaration order.

        Tasks with `finally_` come once all others are completed. A pure function of its arguments. It looks at every
        task; `execute_epic` keeps the same set incrementally.
        """
        completed = completed_ids if isinstance(completed_ids, (set, frozenset)) else set(completed_ids)
        ready = [task for task in tasks if task.id not in completed]
        closing = all(task.finally_ for task in ready)
        return [task for task in ready if completed.issuperset(task.depends_on) and (closing or not task.finally_)]

    async def execute_epic(
        self,
        tasks: TaskDAG | Iterable[ScheduledTask],
        options: EpicExecutionOptions | None = None,
        *,
        control: EpicControl | None = None,
        history: Mapping[str, float] | None = None,
        started_at: datetime | None = None,
    ) -> EpicResult:
        """Runs all tasks, never one before its dependencies have succeeded, and waits until all sandboxes settled.

        A failure fails the task's transitive dependents, which never start; independent branches go on (unless
        `options.fail_fast`). One that the task's `allow_failure` allows counts as a success for
        all that follows. Tasks with `finally_` run at the end, also after a failure, the epic's timeout and a
        cancellation by `control`. Cancelling this coroutine stops all sandboxes and waits until they are gone.

        Args:
            tasks: what to run.
            options: how to run it.
            control: to cancel the epic, or tasks of it, meanwhile.
            history: seconds that tasks took in earlier runs, by task id; only the order of starts depends on it.
            started_at: when the run began, where an earlier process began it; only the result tells it.

        Returns:
            the result, when every task succeeded, or was allowed to fail.

        Raises:
            EpicError: the graph is not one that can be run, or a task asks for more than all may have together;
                nothing was started.
            TaskExecutionError: a task failed; its subclasses `EpicTimeoutError` and `EpicCancelledError` say that the
                epic as a whole was ended. All carry the result.
        """
        dag = TaskDAG.of(tasks)
        options = options or EpicExecutionOptions()
        ahead = options.prepare_ahead or (_CREATED_AHEAD if self._backend.creates_ahead else 0)
        shares = self._shares(dag, options)
        run = EpicRun(dag, options, self._observers, shares, history, ahead=ahead, started_at=started_at)
        prepare = self._backend.start_ahead if options.prepare_ahead else self._backend.create_ahead
        loop = asyncio.get_running_loop()
        mailbox: asyncio.Queue[_Message] = asyncio.Queue()
        wake = partial(mailbox.put_nowait, _nothing_to_stop)
        running: dict[int, _Handle] = {}

        def start(index: int, sandbox: SandboxRunOptions) -> None:
            handle = running[index] = loop.create_task(self._run_sandbox(sandbox), name=sandbox.sandbox_id)
            handle.add_done_callback(partial(_deliver, mailbox, partial(settled, index)))

        def settled(index: int) -> Iterable[int]:
            return self._follow(run, mailbox, index, run.settle(index, _outcome(running.pop(index))))

        alarm = None
        if options.timeout_s is not None:
            alarm = loop.call_later(options.timeout_s, mailbox.put_nowait, partial(run.stop, Reason.EPIC_TIMED_OUT))
        try:
            await self._go_on(run, mailbox, start, control.of_tasks if control else ())
            if control is not None:
                control.attach(lambda task_ids: mailbox.put_nowait(partial(run.cancel, task_ids)))
            while run.plan.unfinished:
                # An order to stop that is already there comes before new starts, for which held shares may be given up.
                while mailbox.empty() and run.plan.may_start and not self._backend.holds(wake):
                    start(*run.start_next())
                self._look_ahead(run, mailbox, wake, prepare)
                message = await mailbox.get()
                for index in [*message(), *self._take_in(run, mailbox)]:
                    running[index].cancel()
        finally:
            if alarm is not None:
                alarm.cancel()
            self._discard(run.give_up_prepared())
            if running:  # only after an exception: this coroutine was cancelled, or an observer failed
                await _stop_all(running.values())
        return run.finish()

    async def _go_on(
        self,
        run: EpicRun,
        mailbox: asyncio.Queue[_Message],
        start: Callable[[int, SandboxRunOptions], None],
        requests: Iterable[Iterable[str]],
    ) -> None:
        """Takes in what an earlier process has on record, also behind what was cancelled, and takes up what it left."""
        run.hold_back_failures()
        stopped: list[int] = []
        for task_ids in [(), *requests]:
            stopped += run.cancel(task_ids)
            self._take_in(run, mailbox)
            while (begun := run.start_in_flight()) is not None:
                start(*begun)
        await asyncio.sleep(0)  # they have begun when they are to be stopped
        mailbox.put_nowait(lambda: [*stopped, *run.stop_held_back()])

    def _take_in(self, run: EpicRun, mailbox: asyncio.Queue[_Message]) -> list[int]:
        """Takes in what is on record and has its turn; gives the indexes of the sandboxes that must be stopped now."""
        if not run.plan.admission.recorded:
            return []
        found = replay(run, self._backend.recorded)
        return [stop for index, settled in found for stop in self._follow(run, mailbox, index, settled)]

    def _follow(self, run: EpicRun, mailbox: asyncio.Queue[_Message], index: int, ended: Settled) -> Iterable[int]:
        """Does what follows from a sandbox that came back; gives the indexes of those that must be stopped now."""
        self._backend.discard(ended.options)
        if ended.retry_in_s is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(ended.retry_in_s, mailbox.put_nowait, partial(run.requeue, index))
        return ended.stop

    def _look_ahead(
        self,
        run: EpicRun,
        mailbox: asyncio.Queue[_Message],
        wake: Callable[[], None],
        prepare: Callable[[SandboxRunOptions], None],
    ) -> None:
        """Lets the backend begin with what comes next, and let go of what will not come."""
        if not mailbox.empty():  # in a moment something else may come next
            return
        given_up, coming = run.look_ahead(lambda: not self._backend.holds(wake))
        self._discard(given_up)
        for sandbox in coming:
            prepare(sandbox)

    def _discard(self, sandboxes: Iterable[SandboxRunOptions]) -> None:
        for sandbox in sandboxes:
            self._backend.discard(sandbox)

    def _shares(self, dag: TaskDAG, options: EpicExecutionOptions) -> Shares:
        """What the tasks ask for, and what they may have together."""
        capacity = self._backend.capacity
        shares = share_out(dag, options, capacity, self._backend.full_quota)
        if problems := check_capacity(dag, shares, capacity):
            raise EpicError(problems)
        return resumed(dag, shares, self._backend.standing())

    async def _run_sandbox(self, sandbox: SandboxRunOptions) -> _Outcome:
        """Runs one sandbox; how it came back is a value, so that the cancellation's result gets out of the task."""
        try:
            return await self._backend.run(sandbox)
        except SandboxCancelled as cancelled:
            return cancelled
        except Exception as error:  # noqa: BLE001 - whatever a runner raises is an outcome of the task
            return error


class _OnlyRuns(SandboxBackend):
    """A runner that has no more than `run`, with the defaults for the rest."""

    def __init__(self, runner: SandboxRunner) -> None:
        self._runner = runner

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        """Runs one sandbox to its end."""
        return await self._runner.run(options)


def _nothing_to_stop() -> Iterable[int]:
    """What wakes the coordinator."""
    return ()


def _deliver(mailbox: asyncio.Queue[_Message], message: _Message, _handle: _Handle) -> None:
    mailbox.put_nowait(message)


def _outcome(handle: _Handle) -> _Outcome:
    # A task that is cancelled before its first step ends without a value.
    return asyncio.CancelledError() if handle.cancelled() else handle.result()


async def _stop_all(handles: Collection[_Handle]) -> None:
    for handle in handles:
        handle.cancel()
    for handle in handles:
        await ended(handle)
