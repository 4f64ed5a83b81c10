"""A task's output, byte for byte: from its log file when it has ended, from the engine while it runs."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, BinaryIO

from msgspec import Struct

from dockersched import ids
from dockersched.errors import EngineUnavailableError, StateError
from dockersched.inspection.tasks import is_final
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connect import Engine, connect
from dockersched.sandbox.docker.streams import open_stream, payloads
from dockersched.store.decoding import reading
from dockersched.store.lock import owner_of
from dockersched.store.reader import RecordedAttempt, StateReader

_LOOK_S = 0.1
_BLOCK = 65_536


class TaskOfRun(Struct, frozen=True):
    """The task whose output is meant.

    Args:
        epic_id, run_id, task_id: which one.
        attempt: which of its attempts; None for the last one.
    """

    epic_id: str
    run_id: str
    task_id: str
    attempt: int | None = None


class TaskOutput:
    """Hands on the output of one attempt of a task.

    Args:
        reader: of the state directory.
        task: which one.
        write: gets the bytes as they come.
        note: gets a line for people when there is nothing, or not all, to hand on.
    """

    def __init__(
        self,
        reader: StateReader,
        task: TaskOfRun,
        *,
        write: Callable[[bytes], None],
        note: Callable[[str], None],
    ) -> None:
        self._reader = reader
        self._task = task
        self._write = write
        self._note = note
        self._folder = reader.run_dir(task.run_id)
        self._passed = 0
        """Bytes of the output that were handed on, or left out at its beginning."""

    async def show(self, *, follow: bool, tail: int | None) -> None:
        """Hands on what there is.

        Args:
            follow: wait for the attempt if need be, and go on until it has ended.
            tail: hand on only that many of the last lines, and what follows them.

        Raises:
            EngineUnavailableError: the task runs, and no engine answers.
            StateError: the task has other attempts than that, or the log file is gone.
        """
        attempt = await self._attempt(follow=follow)
        if attempt is None:
            self._tell_missing()
        elif not attempt.has_ended and self._reader.has_secrets(self._task.run_id):
            await self._show_redacted(attempt.number, follow=follow, tail=tail)
        elif attempt.has_ended:
            self._show_file(attempt, tail)
        else:
            engine = await connect()
            try:
                await self._show_live(engine, attempt.number, follow=follow, tail=tail)
            finally:
                engine.close()

    def _tell_missing(self) -> None:
        attempts = self._reader.attempts(self._task.run_id, self._task.task_id)
        if attempts:
            numbers = ", ".join(str(attempt.number) for attempt in attempts)
            raise StateError(f"task {self._task.task_id!r} has no attempt {self._task.attempt}, only {numbers}")
        self._note(f"task {self._task.task_id!r} has no attempt, and so no output")

    async def _attempt(self, *, follow: bool) -> RecordedAttempt | None:
        """The attempt, waited for as long as it can still come."""
        seen_size = -1
        while True:
            may_come = follow and owner_of(self._folder) is not None
            size = self._events_size()
            if size != seen_size:
                may_come = may_come and not is_final(self._folder, self._task.task_id)
                seen_size = size
            found = self._recorded()
            if found is not None or not may_come:
                return found
            await asyncio.sleep(_LOOK_S)

    def _events_size(self) -> int:
        with reading("the events of a run"), suppress(FileNotFoundError):
            return (self._folder / "events.jsonl").stat().st_size
        return 0

    def _recorded(self, number: int | None = None) -> RecordedAttempt | None:
        wanted = number or self._task.attempt
        attempts = self._reader.attempts(self._task.run_id, self._task.task_id)
        matching = [found for found in attempts if wanted in (None, found.number)]
        return matching[-1] if matching else None

    async def _show_redacted(self, number: int, *, follow: bool, tail: int | None) -> None:
        """Waits for the log file: only the run's owner knows the secrets, and takes them out."""
        self._note(
            f"task {self._task.task_id!r} has secrets, which are taken out when it has ended: nothing until then"
        )
        while follow:
            is_owned = owner_of(self._folder) is not None
            recorded = self._recorded(number)
            if recorded is not None and recorded.has_ended:
                self._show_file(recorded, tail)
                return
            if not is_owned:
                return
            await asyncio.sleep(_LOOK_S)

    async def _show_live(self, engine: Engine, number: int, *, follow: bool, tail: int | None) -> None:
        name = ids.container_name(self._task.epic_id, self._task.run_id, self._task.task_id, number)
        if tail is not None:
            so_far = await self._output_so_far(engine, name)
            self._passed = tail_start(so_far, tail)
            if not follow:
                self._write(so_far.getvalue()[self._passed :])
                return
        all_was_read = False
        while True:
            is_owned = owner_of(self._folder) is not None
            recorded = self._recorded(number)
            if recorded is not None and recorded.has_ended:  # what the stream did not bring is in the file
                self._show_file(recorded, None)
                return
            found = await engine.pool.call(partial(EngineCalls.inspect_or_none, container=name))
            is_running = found is not None and _is_running(found)
            if found is not None and not all_was_read:
                await self._stream(engine, name, follow=follow)
                all_was_read = not is_running
            if not follow:
                return
            if not is_owned and not is_running:
                self._note(f"run {self._task.run_id} has no owner any more: this is what the engine still had")
                return
            await asyncio.sleep(_LOOK_S)

    async def _output_so_far(self, engine: Engine, name: str) -> io.BytesIO:
        so_far = io.BytesIO()
        with suppress(EngineUnavailableError):  # not made yet: everything is still to come
            async with open_stream(engine.endpoint, _path(engine, name, follow=False)) as reader:
                async for data in payloads(reader):
                    so_far.write(data)
        return so_far

    async def _stream(self, engine: Engine, name: str, *, follow: bool) -> None:
        """Hands on what has not been, from a stream that begins at the beginning; it may break off at any point."""
        position = 0
        with suppress(EngineUnavailableError):  # removed meanwhile, or the engine is gone: the next look tells
            async with open_stream(engine.endpoint, _path(engine, name, follow=follow)) as reader:
                async for data in payloads(reader):
                    fresh = data[max(0, self._passed - position) :]
                    position += len(data)
                    self._hand_on(fresh)

    def _show_file(self, attempt: RecordedAttempt, tail: int | None) -> None:
        if attempt.log is None:
            self._note(f"attempt {attempt.number} of task {self._task.task_id!r} has no output")
            return
        with reading("the output of a task"):
            try:
                file = attempt.log.open("rb")
            except FileNotFoundError:
                raise StateError(f"the log {attempt.log} is gone") from None
        with file:
            file.seek(self._passed if tail is None else tail_start(file, tail))
            while data := file.read(_BLOCK):
                self._hand_on(data)

    def _hand_on(self, data: bytes) -> None:
        if data:
            self._write(data)
            self._passed += len(data)


def tail_start(file: BinaryIO, lines: int) -> int:
    """Where the last lines of a file begin; an unfinished last line is a line."""
    end = file.seek(0, os.SEEK_END)
    if lines == 0 or end == 0:
        return end
    position, wanted = end - 1, lines  # the last byte ends the last line, or belongs to it
    while position > 0:
        size = min(_BLOCK, position)
        file.seek(position - size)
        block = file.read(size)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            wanted -= 1
            if wanted == 0:
                return position - size + at + 1
        position -= size
    return 0


def _path(engine: Engine, name: str, *, follow: bool) -> str:
    return f"/v{engine.api_version}/containers/{name}/logs?follow={int(follow)}&stdout=1&stderr=1"


def _is_running(container: dict[str, Any]) -> bool:
    """Whether more output may come; a container that was only created is about to be started."""
    return container["State"]["Status"] not in ("exited", "dead")
