"""The client: one connection to the engine and one state directory, for any number of runs side by side."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Self

from dockersched.callbacks import check_callback, display_only
from dockersched.client.handle import RunHandle
from dockersched.epic import Epic
from dockersched.epicfile import load, load_mapping, locate
from dockersched.errors import EpicError
from dockersched.events import Observer
from dockersched.report.commands import Commands
from dockersched.report.digest import DigestSettings
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.connect import connect as connect_engine
from dockersched.sandbox.docker.mounts import mount_roots
from dockersched.session import Session, SessionSettings
from dockersched.store.database import StateStore
from dockersched.store.folder import DEFAULT_STATE_DIR, named_state_dir, open_state_dir

EpicSource = str | os.PathLike[str] | Mapping[str, object] | Epic
"""The path of an epic file, data with the keys of one, or an epic."""

OnOutput = Callable[[str, bytes], None]


class _Connection(NamedTuple):
    state_dir: Path
    engine: Engine


def connect(
    *,
    state_dir: str | os.PathLike[str] | None = None,
    allow_mounts: Iterable[str | os.PathLike[str]] = (),
    on_progress: Callable[[str], None] | None = None,
) -> Client:
    """A client, for `async with`: entering it connects to the engine that the environment names.

    Args:
        state_dir: where runs keep their files; None takes `DOCKERSCHED_STATE_DIR`, or `.dockersched`.
        allow_mounts: folders below which the sources of mounts may lie; without them, none may.
        on_progress: called, from any thread, with a line about each image that is built or pulled.

    Raises:
        TypeError: `allow_mounts` is one folder instead of a list of them, or `on_progress` no function to call.
    """
    return Client(state_dir=state_dir, allow_mounts=allow_mounts, on_progress=on_progress)


class Client:
    """Starts runs, as many at the same time as wanted; made by `connect`, and used on one event loop.

    Entering raises `EngineUnavailableError` if no engine answers, `StateError` if the state directory cannot be used.
    Leaving ends the runs that still go on, as `RunHandle.cancel` does, and waits until none of their sandboxes is left,
    also when the block is left by an exception or by cancellation. Signals are not touched.
    """

    def __init__(
        self,
        *,
        state_dir: str | os.PathLike[str] | None,
        allow_mounts: Iterable[str | os.PathLike[str]],
        on_progress: Callable[[str], None] | None,
    ) -> None:
        self._wanted_dir = named_state_dir() if state_dir is None else state_dir
        check_callback(on_progress, "on_progress")
        self._allow_mounts = mount_roots(allow_mounts)
        self._on_progress = display_only(on_progress, "on_progress") if on_progress else None
        self._opened: _Connection | None = None
        self._going_on: set[RunHandle] = set()

    async def __aenter__(self) -> Self:
        """Connects."""
        if self._opened is not None:
            raise RuntimeError("the client is connected already: make another one with dockersched.connect()")
        state_dir = await asyncio.to_thread(open_state_dir, self._wanted_dir)
        self._opened = _Connection(state_dir, await connect_engine())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Ends what still goes on, and disconnects."""
        engine = self._connection().engine
        self._opened = None
        for handle in self._going_on:
            handle.stop()
        try:
            await _finished([handle.task for handle in self._going_on])
        finally:
            engine.close()

    async def start(
        self,
        epic: EpicSource,
        *,
        new: bool = False,
        on_event: Observer | None = None,
        on_output: OnOutput | None = None,
        handle_signals: bool = False,
    ) -> RunHandle:
        """Starts a run, and returns when this process owns it; images may still have to be made.

        Args:
            epic: the path of an epic file, data with the keys of one, or an epic.
            new: whether to start although the last run of the same epic is unfinished, or still goes on.
            on_event: called on the event loop with each event; it must return at once. Display only, as the next one:
                what it raises is logged, and it is not called again.
            on_output: called on the event loop with a task's id and output while it runs.
            handle_signals: whether SIGINT, SIGTERM and SIGHUP cancel the run, and a second one ends the process at
                once. For one run at a time, in the main thread.

        Raises:
            EpicError: the epic cannot be run, with every problem; nothing was started.
            RunOwnedError: the last run of the same epic still goes on, and `new` is not given.
            UnfinishedRunError: the same, but its process died: `resume` goes on with it.
            MountRefusedError: a folder of `allow_mounts` is none.
            StateError: the state directory cannot be used.
            TypeError: the epic is none; a function is none, or would have to be awaited.
            RuntimeError: signals are to be handled in another than the main thread.
        """
        if handle_signals:
            check_signal_handling()
        check_callback(on_event, "on_event")
        check_callback(on_output, "on_output")
        state_dir = self._connection().state_dir
        read = await asyncio.to_thread(read_epic, epic)
        fresh = replace(read, options=replace(read.options, run_id=None))
        store = await asyncio.to_thread(StateStore, state_dir)
        try:
            return await self._launch(
                lambda settings: Session(fresh, settings, store, beside_others=new),
                on_event=on_event,
                on_output=on_output,
                handle_signals=handle_signals,
            )
        except EpicError as error:  # of secrets or the engine: the problems know the task, not yet the line
            if read.source is None:
                raise
            raise EpicError(await asyncio.to_thread(locate, error.problems, read.source)) from error

    async def resume(self, run_id: str, *, on_output: OnOutput | None = None) -> RunHandle:
        """Goes on with a run whose process died, as `dockersched resume` does; the events begin anew.

        Args:
            run_id: the whole id of the run.
            on_output: as in `start`.

        Raises:
            EpicError: a secret is not there any more, or the engine cannot give what the epic asks for.
            RunOwnedError: the run has an owner, which may be this process.
            StateError: there is no such run, it is finished, or the state directory cannot be used.
            TypeError: as in `start`.
        """
        check_callback(on_output, "on_output")
        store = await asyncio.to_thread(StateStore, self._connection().state_dir)
        await asyncio.to_thread(store.refuse_finished, run_id)
        epic = await asyncio.to_thread(store.epic, run_id)
        return await self._launch(lambda settings: Session(epic, settings, store), on_output=on_output)

    async def _launch(
        self,
        make: Callable[[SessionSettings], Session],
        *,
        on_output: OnOutput | None,
        on_event: Observer | None = None,
        handle_signals: bool = False,
    ) -> RunHandle:
        state_dir, engine = self._connection()
        shown = () if on_event is None else (display_only(on_event, "on_event"),)
        handle = RunHandle(
            lambda observe: make(
                SessionSettings(
                    state_dir=state_dir,
                    observers=(observe, *shown),
                    digest=DigestSettings(commands=self._commands()),
                    on_output=on_output,
                    progress=self._on_progress,
                    allow_mounts=self._allow_mounts,
                    engine=engine,
                    handle_signals=handle_signals,
                )
            )
        )
        self._going_on.add(handle)
        handle.task.add_done_callback(lambda _: self._going_on.discard(handle))
        await handle.launched()
        return handle

    def _commands(self) -> Commands:
        """Those that a reader of the failures is told, wherever the reader is."""
        is_usual = os.fspath(self._wanted_dir) == DEFAULT_STATE_DIR
        mounts = tuple(map(os.path.abspath, self._allow_mounts))
        return Commands(None if is_usual else os.path.abspath(self._wanted_dir), mounts)  # noqa: PTH100

    def _connection(self) -> _Connection:
        if self._opened is None:
            raise RuntimeError("the client is not connected: use it in `async with dockersched.connect() as client`")
        return self._opened


def read_epic(source: EpicSource) -> Epic:
    """The epic that a source stands for; reads the file if it is one.

    Raises:
        EpicError: all that is wrong with it.
        TypeError: it is nothing of the kind.
    """
    if isinstance(source, Epic):
        return source
    if isinstance(source, Mapping):
        return load_mapping(source)
    given: object = source  # whatever its type says
    path: object = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        raise TypeError(
            f"an epic is the path of an epic file, data with the keys of one, or a dockersched.Epic, not {source!r}"
        )
    return load(path)


def check_signal_handling() -> None:
    """Signals can be handled in the main thread only.

    Raises:
        RuntimeError: this is another one.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("signals can be handled in the main thread only: leave handle_signals out")


async def _finished(tasks: Sequence[asyncio.Task[object]]) -> None:
    """Waits until all tasks have ended, whatever comes: their sandboxes must be gone before anything goes on."""
    cancelled: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
