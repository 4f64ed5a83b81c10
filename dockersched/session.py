"""One run of an epic from beginning to end: engine, images, scheduler, signals, state on disk, clean-up."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from dockersched import ids
from dockersched.control import EpicControl
from dockersched.data.run_files import RunFiles, pack_workspaces
from dockersched.epic import Epic
from dockersched.epic_run import EpicRun, sandbox_options
from dockersched.errors import EpicError, Problem, RunnerError, StateError, TaskExecutionError, WorkspaceError
from dockersched.events import Event, Observer, RunDone, RunLaunched
from dockersched.graph.capacity import check_capacity, share_out
from dockersched.log import Logger
from dockersched.report.digest import Digest, DigestSettings, make_digest
from dockersched.report.document import result_document, write_json_atomically
from dockersched.report.event_log import EventLog
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.runner import DockerRunner
from dockersched.sandbox.secret_values import SecretValues
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.states import EpicState, Reason
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal, JournaledRunner
from dockersched.store.lock import own_run
from dockersched.store.requests import CancelRequests

log = Logger("session")

_LEFT = """dockersched: ended at once; sandboxes may be left: `dockersched resume {0}` goes on with the run,
`dockersched cancel {0}` ends it and removes them
"""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_REQUEST_INTERVAL_S = 0.2


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Where a run keeps its files and whom it tells what.

    Args:
        state_dir: folder with the state database and `runs/<run>/`.
        observers: see every event.
        on_output: gets tasks' output while they run; display only.
        allow_mounts: folders below which the sources of mounts may lie.
        progress: gets a line about each image that is built or pulled.
        digest: how the failures are digested.
    """

    state_dir: Path
    observers: Sequence[Observer] = ()
    on_output: Callable[[str, bytes], None] | None = None
    progress: Callable[[str], None] | None = None
    allow_mounts: Sequence[str] = ()
    digest: DigestSettings = field(default_factory=DigestSettings)


@dataclass(frozen=True, slots=True)
class SessionResult:
    """How a run ended.

    Args:
        result: of the epic.
        exit_code: for the program that ran it; 128 + number after a signal.
        digest: of its failures.
        document: what `result.json` says.
        path: of `result.json`.
        leaked: what could not be removed from the engine, in words.
    """

    result: EpicResult
    exit_code: int
    digest: Digest
    document: dict[str, object]
    path: Path
    leaked: Sequence[str]


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
        self._signal: signal.Signals | None = None
        self._requests = CancelRequests(self.run_dir)
        self._journal: Journal | None = None
        self._history: Mapping[str, float] = {}
        self._files = RunFiles.of_run(self.run_dir)

    @property
    def run_dir(self) -> Path:
        """The folder of this run."""
        return self._settings.state_dir / "runs" / self._run_id

    async def run(self) -> SessionResult:
        """Runs the epic; when it returns, no container of the run is left, and the state database says so.

        Raises:
            EpicError: the epic asks for secrets that are not there, or for what the engine does not have; nothing was
                started.
            RunOwnedError: another process runs it.
            RunnerError: no engine, or it failed before the epic could run.
            StateError: something of the run could not be written; `resume` goes on with it.
        """
        secrets = SecretValues()
        if problems := secrets.problems(self._epic.dag):
            raise EpicError(problems)
        async with await DockerRunner.connect(
            logs_dir=self.run_dir / "logs",
            on_output=self._settings.on_output,
            progress=self._settings.progress,
            secrets=secrets,
            allow_mounts=self._settings.allow_mounts,
            private_dirs=[self._settings.state_dir],
            files=self._files,
        ) as runner:
            shares = share_out(self._epic.dag, self._options, runner.capacity, runner.full_quota)
            problems = check_capacity(self._epic.dag, shares, runner.capacity)
            if problems := problems + runner.find_refusals(self._sandboxes()):
                raise EpicError(problems)
            self._history = self._store.durations(self._options.epic_id)
            if self._is_new:
                await self._pack()
            with _writing(self.run_dir), own_run(self.run_dir), self._signals():
                return await self._run_owned(runner)

    async def _run_owned(self, runner: DockerRunner) -> SessionResult:
        events = EventLog(self.run_dir / "events.jsonl", self._break_off)
        observers = (events.observe, *self._settings.observers)  # what somebody was told of is in the file
        epic_id, state_dir = self._options.epic_id, self._settings.state_dir
        try:
            _tell(observers, RunLaunched(datetime.now(UTC), epic_id, self._run_id, os.getpid(), state_dir))
            try:
                result = await self._execute(runner, observers)
                leaked = await self._sweep(runner)
                await self._record_the_rest()
            finally:
                self._store.close()
            self._check_written()
            ended = self._save(result, leaked)
            causes = tuple(result.root_cause_ids)
            done = RunDone(datetime.now(UTC), self._run_id, result.state, ended.exit_code, causes)
            # In the file first: a run that the database calls finished is not gone on with, so its end must be told.
            events.observe(done)
            self._check_written()
            self._store.finish_run(self._run_id, str(result.state), ended.exit_code)
            self._requests.clear()
            _tell(self._settings.observers, done)
            return ended
        finally:
            events.close()

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
            journal = self._journal = Journal(self._store, self._run_id, on_failure=self._control.cancel)
            runner.journal = journal
            await self._end_cancelled_attempts(runner, journal)
            runner.share_namespaces(self._sandboxes(), at_once=self._options.max_parallel)
            scheduler = ParallelTaskScheduler(JournaledRunner(runner, journal), observers=observers)
            async with self._taking_requests():
                try:
                    return await scheduler.execute_epic(
                        self._epic.dag, self._options, control=self._control, history=self._history
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
            unavailable = await self._prepare(runner)
            epic = replace(self._epic, options=self._options)
            succeeded = {task_id: self._taken_over(task_id, result) for task_id, result in self._succeeded.items()}
            try:
                self._store.create_run(
                    self._run_id, epic, runner.images.resolved(), succeeded, beside_others=self._beside_others
                )
            except StateError:
                shutil.rmtree(self.run_dir)
                raise
        else:
            runner.images.pin(self._store.images(self._run_id))
            self._store.reopen_run(self._run_id)
        if not unavailable and self._signal is None:
            return None
        run = EpicRun(self._epic.dag, self._options, observers)
        if self._signal is None:
            run.reject(unavailable)
        else:
            run.stop(Reason.CANCELLED)
        return run.finish()

    async def _pack(self) -> None:
        """Packs the workspaces; their digests are part of what is on record."""
        say = self._settings.progress or (lambda _line: None)
        try:
            dag = await asyncio.to_thread(pack_workspaces, self._epic.dag, self._files, say)
        except WorkspaceError as error:
            raise EpicError([Problem(problem) for problem in str(error).splitlines()]) from error
        self._epic = replace(self._epic, dag=dag)

    def _taken_over(self, task_id: str, result: SandboxResult) -> SandboxResult:
        """A result of an earlier run, with log and outputs in this run's folder: the earlier one may be removed."""
        result = replace(
            result,
            outputs={
                name: replace(output, path=str(self._files.link_output(output.digest, task_id, name)))
                for name, output in result.outputs.items()
            },
        )
        if result.log is None or not Path(result.log.path).is_file():
            return result
        path = self.run_dir / "logs" / ids.log_name(task_id, 1)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(result.log.path, path)
        except OSError:  # not every file system has links
            shutil.copyfile(result.log.path, path)
        return replace(result, log=replace(result.log, path=str(path)))

    def _sandboxes(self) -> list[SandboxRunOptions]:
        return [sandbox_options(task, self._options.epic_id, self._run_id) for task in self._epic.dag]

    async def _prepare(self, runner: DockerRunner) -> Mapping[str, str]:
        self._preparing = asyncio.ensure_future(runner.prepare(self._sandboxes()))
        try:
            return await self._preparing
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            return {}
        finally:
            self._preparing = None

    async def _end_cancelled_attempts(self, runner: DockerRunner, journal: Journal) -> None:
        """Ends what an earlier process was about to cancel; its tasks get another attempt."""
        for task_id, attempt in journal.unfinished():
            if journal.was_cancelled(task_id, attempt):
                options = sandbox_options(self._epic.dag[task_id], self._options.epic_id, self._run_id, attempt)
                await runner.remove(options)
                await journal.record(task_id, attempt, SandboxResult(options.sandbox_id, reason=Reason.CANCELLED))

    @asynccontextmanager
    async def _taking_requests(self) -> AsyncIterator[None]:
        """Lets other processes cancel the run, or tasks of it; what was asked before comes before any start."""

        def take() -> None:
            for task_ids in self._requests.take():
                self._control.cancel(task_ids)

        async def look() -> None:
            while True:
                await asyncio.sleep(_REQUEST_INTERVAL_S)
                take()

        take()
        looking = asyncio.create_task(look())
        try:
            yield
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._signal is not None:  # the second one ends at once, as if we did not handle it
            os.write(2, _LEFT.format(self._run_id).encode())
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._signal = number
        log.info("session.signal_received", signal=number.name)
        if self._preparing is not None:
            self._preparing.cancel()
        self._control.cancel()

    async def _record_the_rest(self) -> None:
        """Ends, on record too, the attempts of an earlier process for which the run did not go on long enough."""
        journal = Journal(self._store, self._run_id)
        for task_id, attempt in journal.unfinished():
            sandbox_id = ids.sandbox_id(self._options.epic_id, task_id)
            await journal.record(task_id, attempt, SandboxResult(sandbox_id, reason=Reason.CANCELLED))

    async def _sweep(self, runner: DockerRunner) -> list[str]:
        try:
            return await runner.sweep(self._run_id)
        except RunnerError as error:
            log.warning("session.sweep_failed", error=str(error), run=self._run_id)
            return []

    def _save(self, result: EpicResult, leaked: Sequence[str]) -> SessionResult:
        exit_code = result.exit_code
        if self._signal is not None and result.state is EpicState.CANCELLED:
            exit_code = 128 + self._signal
        digest = make_digest(result, self._settings.digest)
        document = result_document(result, digest=digest, exit_code=exit_code)
        path = self.run_dir / "result.json"
        write_json_atomically(path, document)
        return SessionResult(result, exit_code, digest, document, path, leaked)


def _tell(observers: Sequence[Observer], event: Event) -> None:
    for observer in observers:
        observer(event)


@contextmanager
def _writing(run_dir: Path) -> Iterator[None]:
    """What is wrong with the run's folder is told as such; the engine's troubles have types of their own."""
    try:
        yield
    except BrokenPipeError:  # nobody reads what is shown
        raise
    except OSError as error:
        raise StateError(f"{error.filename or run_dir} cannot be written: {error.strerror or error}") from error
