"""Cuts off the state database and its write-ahead log, and looks whether what is left loads or is refused."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from dockersched.epic import Epic
from dockersched.errors import StateError
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions, ScheduledTask
from dockersched.results import SandboxResult
from dockersched.store.database import FILE_NAME, StateStore

_WAL = f"{FILE_NAME}-wal"
_RUN = "20260131-000000-abcdef"


def cut_everywhere(folder: Path, *, step: int) -> Counter[str]:
    """Cuts at every `step` bytes, and at each of the first hundred; counts what loaded and what was refused."""
    whole, with_log = _files(folder / "origin")
    outcomes: Counter[str] = Counter()
    for files, name in ((whole, FILE_NAME), (with_log, FILE_NAME), (with_log, _WAL)):
        for offset in _offsets(len(files[name]), step):
            outcomes[_load(folder / "cut", {**files, name: files[name][:offset]})] += 1
    return outcomes


def _files(folder: Path) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A small database without and with a write-ahead log."""
    folder.mkdir()
    store = StateStore(folder)
    epic = Epic(TaskDAG([ScheduledTask("a", [], "true")]), EpicExecutionOptions(epic_id="e", run_id=_RUN), "epic")
    store.create_run(_RUN, epic, {"dockersched/base": ("sha256:1", "sha256:2")}, {})
    asyncio.run(_attempts(store))
    path = folder / FILE_NAME
    with closing(sqlite3.connect(path)) as reader:  # while there is a reader, the log is not taken away
        reader.execute("SELECT * FROM runs").fetchall()
        store.close()
        with_log = {FILE_NAME: path.read_bytes(), _WAL: (folder / _WAL).read_bytes()}
    return {FILE_NAME: path.read_bytes()}, with_log


async def _attempts(store: StateStore) -> None:
    for number in range(1, 30):
        await store.intend(_RUN, "a", number)
        await store.record(_RUN, "a", number, SandboxResult("e.a", 0, detail="x" * 500))


def _offsets(size: int, step: int) -> Iterable[int]:
    return sorted({*range(min(size, 100)), *range(0, size, step), size - 1})


def _load(folder: Path, files: dict[str, bytes]) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        store = StateStore(folder)
        for run in store.runs():
            store.epic(run.run_id)
            store.images(run.run_id)
            store.attempts(run.run_id)
            store.finish_run(run.run_id, "failed", 1)
    except StateError:
        return "refused"
    except Exception as error:  # noqa: BLE001 - that is what is looked for
        return repr(error)
    return "loaded"
