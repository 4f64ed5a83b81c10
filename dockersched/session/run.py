"""One run of an epic from beginning to end: engine, images, scheduler, state on disk, clean-up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from dockersched import ids
from dockersched.control import EpicControl
from dockersched.data.run_files import RunFiles
from dockersched.epic import Epic
from dockersched.epic_run import EpicRun
from dockersched.errors import EpicError, Problem, RunnerError, StateError, TaskExecutionError
from dockersched.events import Event, Observer, RunDone, RunLaunched
from dockersched.graph.capacity import check_capacity, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.log import Logger
from dockersched.report.event_log import EventLog
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.runner import DockerRunner
from dockersched.sandbox.secret_values import SecretValues
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.session.asked import taking_requests
from dockersched.session.earlier import record_the_rest, take_up
from dockersched.session.removals import with_removals
from dockersched.session.saving import save_result
from dockersched.session.signals import stopping_on_signals
from dockersched.session.takeover import take_over
from dockersched.session.terms import SessionResult, SessionSettings
from dockersched.session.trouble import naming_owner, writing
from dockersched.session.workspaces import pack
from dockersched.states import Reason
from dockersched.store.codec import load_time
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal, JournaledRunner
from dockersched.store.lock import claim_epic, own_run
from dockersched.store.requests import CancelRequests

log = Logger("session")


class Session:
    """Runs one epic on the engine that the environment names, or goes on with a run that broke off.

    Args:
        epic: what to run; with a run id in its options that the store knows, the run goes on.
        settings: of this process.
        store: the state database.
        succeeded: results of an earlier run that this one takes over, by task id.
        beside_others: whether it may begin while another run of the same epic is unfinished.
    """

    def __init__(
        self,
        epic: Epic,
        settings: SessionSettings,
        store: StateStore,
        *,
        succeeded: Mapping[str, SandboxResult] | None = None,
        beside_others: bool = True,
    ) -> None:
        self._epic = epic
        self._settings = settings
        self._store = store
        self._succeeded = succeeded or {}
        self._beside_others = beside_others
        self._is_new = epic.options.run_id is None
        self._options = replace(epic.options, run_id=epic.options.run_id or ids.new_run_id())
        self._run_id = str(self._options.run_id)
        self._control = EpicControl()
        self._preparing: asyncio.Task[Mapping[str, str]] | None = None
        self._exit_code: int | None = None
        self._sandboxes: Sequence[SandboxRunOptions] = ()
        self._requests = CancelRequests(self.run_dir)
        self._claim = ExitStack()
        self._journal: Journal | None = None
        self._history: Mapping[str, float] = {}
        self._files = RunFiles.of_run(self.run_dir)

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self._settings.state_dir / "runs" / self._run_id

    @property
    def run_id(self) -> str:
        """The id of this run."""
        return self._run_id

    @property
    def dag(self) -> TaskDAG:
        """The tasks of this run."""
        return self._epic.dag

    def cancel(self, task_ids: Iterable[str] | None = None, *, exit_code: int | None = None) -> None:
        """Ends the run, or only tasks of it and all that depends on them; `run` then ends by itself.

        Use it on the event loop's thread only.

        Args:
            task_ids: the tasks; None ends the run.
            exit_code: that the run is to end with when it was cancelled for this; None leaves it at 130.
        """
        self._exit_code = self._exit_code or exit_code
        self._control.cancel(task_ids)
        if task_ids is None and self._preparing is not None:
            self._preparing.cancel()

    def _stop_with(self, exit_code: int) -> None:
        self.cancel(exit_code=exit_code)

    async def cancel_tasks(self, task_ids: Sequence[str]) -> None:
        """Ends tasks of the run and all that depends on them, also where another process goes on with it.

        Raises:
            StateError: that could not be written; nothing was cancelled.
        """
        with writing(self.run_dir):
            await asyncio.to_thread(self._requests.put, task_ids)
        self.cancel(task_ids)

    async def run(self) -> SessionResult:
        """Runs the epic; when it returns, no container of the run is left, and the state database says so.

        Whatever blocks is done in threads. When this coroutine is cancelled it removes the containers, too, but the run
        stays unfinished; `cancel` is the way to end it.

        Raises:
            EpicError: the epic asks for secrets that are not there, or for what the engine does not have; nothing was
                started.
            UnfinishedRunError: it may not begin while the last run of the same epic is unfinished.
            FinishedRunError: it was to go on, and has ended.
            RunOwnedError: another process runs it, or that last run.
            RunnerError: no engine, or it failed before the epic could run.
            StateError: something of the run could not be written; `resume` goes on with it.
        """
        with naming_owner(self._store), self._claim:
            if self._is_new and not self._beside_others:
                claim = claim_epic(self._settings.state_dir, self._options.epic_id, self._run_id)
                with writing(self._settings.state_dir):
                    await asyncio.to_thread(self._claim.enter_context, claim)
                await asyncio.to_thread(self._store.refuse_to_forget, self._options.epic_id)
            secrets = SecretValues()
            if problems := await asyncio.to_thread(secrets.problems, self._epic.dag):
                raise EpicError(problems)
            async with await self._connect(secrets) as runner:
                if problems := await asyncio.to_thread(self._refusals, runner):
                    raise EpicError(problems)
                self._history = await asyncio.to_thread(self._store.durations, self._options.epic_id)
                if self._is_new:
                    dag = await asyncio.to_thread(pack, self.dag, self._files, self._settings.progress, self._succeeded)
                    self._epic = replace(self._epic, dag=dag)
                with writing(self.run_dir), ExitStack() as owned:
                    await asyncio.to_thread(owned.enter_context, own_run(self.run_dir))
                    if not self._is_new:  # its last owner may have ended it in the meantime
                        await asyncio.to_thread(self._store.refuse_finished, self._run_id)
                    if self._settings.handle_signals:
                        stop, commands = self._stop_with, self._settings.digest.commands
                        owned.enter_context(stopping_on_signals(stop, self._run_id, commands))
                    return await self._run_owned(runner)

    async def _run_owned(self, runner: DockerRunner) -> SessionResult:
        events = await asyncio.to_thread(EventLog, self.run_dir / "events.jsonl", self._break_off)
        observers = (events.observe, *self._settings.observers)  # what somebody was told of is in the file
        epic_id, state_dir = self._options.epic_id, self._settings.state_dir
        try:
            _tell(observers, RunLaunched(datetime.now(UTC), epic_id, self._run_id, os.getpid(), state_dir))
            try:
                result = await self._execute(runner, observers)
                leaked = await self._sweep(runner)
                await record_the_rest(self._store, self._options)
            except (StateError, RunnerError):  # whoever goes on with the run finds it as it is on record
                raise
            except BaseException:
                if left := await self._sweep(runner):
                    log.warning("session.left_behind", run=self._run_id, things=left)
                raise
            finally:
                await asyncio.to_thread(self._store.close)
            self._check_written()
            await asyncio.to_thread(self._files.remove_unfinished)
            result = with_removals(result, runner.removed_ms)
            save = partial(save_result, digest=self._settings.digest, cancelled_for=self._exit_code)
            ended = await asyncio.to_thread(save, self.run_dir / "result.json", result, leaked)
            done = RunDone(datetime.now(UTC), self._run_id, result.state, ended.exit_code, tuple(result.root_cause_ids))
            # On disk first: a run that the database calls finished is not gone on with, so its end must be told.
            events.observe(done)
            await asyncio.to_thread(events.sync)
            self._check_written()
            await asyncio.to_thread(self._store.finish_run, self._run_id, str(result.state), ended.exit_code)
            self._requests.clear()
            _tell(self._settings.observers, done)
            return ended
        finally:
            await asyncio.to_thread(events.close)

    def _break_off(self, error: StateError) -> None:
        """Something of the run cannot be written: it stands still, as it is on record, until it is resumed."""
        if self._journal is None:
            raise error
        self._journal.fail(error)

    def _check_written(self) -> None:
        if self._journal is not None and self._journal.failure is not None:
            raise self._journal.failure

    async def _execute(self, runner: DockerRunner, observers: Sequence[Observer]) -> EpicResult:
        try:
            refused = await self._begin(runner, observers)
            if refused is not None:
                return refused
            open_journal = partial(Journal, self._store, self._run_id, on_failure=self._control.cancel)
            journal = self._journal = await asyncio.to_thread(open_journal)
            runner.journal = journal
            began = None
            if not self._is_new:
                began = load_time((await asyncio.to_thread(self._store.run, self._run_id)).created_at)
                requests = await asyncio.to_thread(self._requests.of_tasks)
                goes_on = not self._control.cancelled
                await take_up(runner, journal, self._epic, self._sandboxes, requests, goes_on=goes_on)
            runner.share_namespaces(
                self._sandboxes, at_once=self._options.max_parallel, ahead=self._options.prepare_ahead
            )
            self._sandboxes = ()  # nobody needs them any more
            scheduler = ParallelTaskScheduler(JournaledRunner(runner, journal), observers=observers)
            async with taking_requests(self._requests, self._control):
                try:
                    return await scheduler.execute_epic(
                        self._epic.dag,
                        self._options,
                        control=self._control,
                        history=self._history,
                        started_at=began,
                    )
                finally:
                    if journal.failure is not None:
                        raise journal.failure
        except TaskExecutionError as error:
            return error.result

    async def _begin(self, runner: DockerRunner, observers: Sequence[Observer]) -> EpicResult | None:
        """Gets the images and puts the run on record; the result of a run that ends before it starts, else None."""
        unavailable: Mapping[str, str] = {}
        if self._is_new:
            if not self._control.cancelled:
                unavailable = await self._prepare(runner)
            await asyncio.to_thread(self._create_run, runner)
        else:
            runner.images.pin(await asyncio.to_thread(self._store.images, self._run_id))
        if not self._is_new or not (unavailable or self._control.cancelled):
            return None  # what a run that goes on has on record stays, whatever is asked of it by now
        run = EpicRun(self._epic.dag, self._options, observers)
        if self._control.cancelled:
            run.stop(Reason.CANCELLED, spare_final=False)
        else:
            run.reject(unavailable)
        return run.finish()

    def _create_run(self, runner: DockerRunner) -> None:
        epic = replace(self._epic, options=self._options)
        succeeded = take_over(self._succeeded, self.run_dir, self._files)
        self._store.create_run(self._run_id, epic, runner.images.resolved(), succeeded)
        self._claim.close()  # from now on the database tells of it

    async def _prepare(self, runner: DockerRunner) -> Mapping[str, str]:
        self._preparing = asyncio.ensure_future(runner.prepare(self._sandboxes))
        try:
            return await self._preparing
        except asyncio.CancelledError:
            if not self._control.cancelled:
                raise
            return {}
        finally:
            self._preparing = None

    async def _connect(self, secrets: SecretValues) -> DockerRunner:
        return await DockerRunner.connect(
            shared=self._settings.engine,
            met=self._settings.met,
            logs_dir=self.run_dir / "logs",
            on_output=self._settings.on_output,
            progress=self._settings.progress,
            secrets=secrets,
            allow_mounts=self._settings.allow_mounts,
            private_dirs=[self._settings.state_dir],
            files=self._files,
        )

    def _refusals(self, runner: DockerRunner) -> list[Problem]:
        """All that the engine cannot give to the epic."""
        self._sandboxes = [sandbox_options(task, self._options.epic_id, self._run_id) for task in self._epic.dag]
        shares = share_out(self._epic.dag, self._options, runner.capacity, runner.full_quota)
        problems = check_capacity(self._epic.dag, shares, runner.capacity)
        return problems + runner.find_refusals(self._sandboxes)

    async def _sweep(self, runner: DockerRunner) -> list[str]:
        try:
            return await runner.sweep(self._run_id)
        except RunnerError as error:
            log.warning("session.sweep_failed", error=str(error), run=self._run_id)
            return []


def _tell(observers: Sequence[Observer], event: Event) -> None:
    for observer in observers:
        observer(event)
