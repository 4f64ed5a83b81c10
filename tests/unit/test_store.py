"""State on disk: written before it counts, once, and never half understood."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from pytest_mock import MockerFixture

from dockersched.cli import main
from dockersched.epic import Epic
from dockersched.errors import EngineUnavailableError, FinishedRunError, RunOwnedError, StateError
from dockersched.events import EpicStarted
from dockersched.graph.dag import TaskDAG
from dockersched.graph.standing import Standing
from dockersched.model import (
    CAPABILITIES,
    RETRY_CAUSES,
    EpicExecutionOptions,
    Mount,
    Output,
    QuotaConfig,
    RetryPolicy,
    ScheduledTask,
    Workspace,
)
from dockersched.report.event_log import EventLog
from dockersched.results import LogSummary, OutputSummary, Phases, SandboxResult, Usage
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.base import SandboxCancelled, SandboxRunOptions
from dockersched.sandbox.fake import FakeRunner, Script
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.states import Reason
from dockersched.store import codec, schema
from dockersched.store.database import FILE_NAME, StateStore
from dockersched.store.journal import Journal, JournaledRunner
from dockersched.store.lock import own_run, owner_of
from dockersched.store.requests import CancelRequests
from dockersched.store.writer import BatchWriter
from tests.support.truncation import cut_everywhere

RUN = "20260131-000000-abcdef"
TASK = ScheduledTask("a", [], "true")
EPIC = Epic(TaskDAG([TASK, ScheduledTask("b", ["a"], "true")]), EpicExecutionOptions(epic_id="e", run_id=RUN), "epic")
GOOD = SandboxResult("e.a", 0)
CANCELLED = SandboxResult("e.a", 137, Reason.CANCELLED)
IMAGES = {"dockersched/base": ("sha256:1", "sha256:2")}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    made = StateStore(tmp_path)
    made.create_run(RUN, EPIC, IMAGES, {})
    yield made
    made.close()


def options(attempt: int = 1) -> SandboxRunOptions:
    return sandbox_options(TASK, "e", RUN, attempt)


# The database


def test_what_is_written_is_read(store: StateStore) -> None:
    (run,) = store.runs()
    assert (run.run_id, run.epic_id, run.state, run.exit_code) == (RUN, "e", None, None)
    assert store.epic(RUN).dag.tasks == EPIC.dag.tasks
    assert store.images(RUN) == IMAGES
    assert store.last_unfinished() == store.run(RUN)
    store.finish_run(RUN, "succeeded", 0)
    assert store.run(RUN).state == "succeeded"
    with pytest.raises(StateError, match="unfinished"):
        store.last_unfinished()
    with pytest.raises(FinishedRunError, match=f"run {RUN} is finished: succeeded"):
        store.refuse_finished(RUN)


@pytest.mark.parametrize("read", [StateStore.run, StateStore.epic])
def test_a_run_that_is_not_there_is_named(store: StateStore, read: Callable[[StateStore, str], object]) -> None:
    with pytest.raises(StateError, match="no run 'other'"):
        read(store, "other")


async def test_a_record_is_written_exactly_once(store: StateStore) -> None:
    await store.intend(RUN, "a", 1)
    await store.intend(RUN, "a", 1)  # going on intends again
    await store.record(RUN, "a", 1, GOOD)
    with pytest.raises(StateError, match="second record"):
        await store.record(RUN, "a", 1, CANCELLED)
    with pytest.raises(StateError):
        await store.record(RUN, "a", 2, GOOD)  # never intended
    assert [row.result for row in store.attempts(RUN).values()] == [GOOD]


async def test_one_that_cannot_be_written_leaves_alone_what_is_written_with_it(
    store: StateStore, tmp_path: Path
) -> None:
    results = [GOOD, GOOD, CANCELLED, GOOD]
    for task_id in "abc":
        await store.intend(RUN, task_id, 1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")  # the writer waits for its turn, and whatever comes is one transaction or two
        writes = [store.record(RUN, task_id, 1, result) for task_id, result in zip("abbc", results, strict=True)]
        waiting = asyncio.gather(*writes, store.intend(RUN, "d", 1), return_exceptions=True)
        await asyncio.sleep(0)
        other.execute("ROLLBACK")
    nothing = type(None)
    assert [type(found) for found in await waiting] == [nothing, nothing, StateError, nothing, nothing]
    found = {task_id: row.result for (task_id, _), row in store.attempts(RUN).items()}
    assert found == {"a": GOOD, "b": GOOD, "c": GOOD, "d": None}


async def test_the_first_reason_to_stop_stands(store: StateStore) -> None:
    await store.intend(RUN, "a", 1)
    await store.intend_stop(RUN, "a", 1, Reason.TIMED_OUT)
    await store.intend_stop(RUN, "a", 1, Reason.CANCELLED)
    assert store.attempts(RUN)["a", 1].stop_intent is Reason.TIMED_OUT


async def test_forgetting_a_run_forgets_all_of_it(store: StateStore, tmp_path: Path) -> None:
    await store.intend(RUN, "a", 1)
    store.forget_run(RUN)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in ("runs", "images", "attempts")
        ]
    assert counts == [0, 0, 0]


def test_a_newer_schema_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    StateStore(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    with pytest.raises(StateError, match="newer dockersched"):
        StateStore(tmp_path)
    assert main(["resume", "--state-dir", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"schema version {schema.VERSION + 1}" in line


# The layout of version 1, with a run in it.
_VERSION_1 = """
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY, epic_id TEXT NOT NULL, epic TEXT NOT NULL, created_at TEXT NOT NULL, state TEXT,
    exit_code INTEGER, finished_at TEXT
);
CREATE TABLE images (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, image TEXT NOT NULL, image_id TEXT NOT NULL,
    digest TEXT NOT NULL, PRIMARY KEY (run_id, image)
) WITHOUT ROWID;
CREATE TABLE attempts (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE, task_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    intended_at TEXT NOT NULL, stop_intent TEXT, result TEXT, PRIMARY KEY (run_id, task_id, attempt)
) WITHOUT ROWID;
INSERT INTO runs VALUES ('r', 'e', '{}', '2026-01-31T12:00:00+00:00', NULL, NULL, NULL);
INSERT INTO attempts VALUES ('r', 'a', 1, '2026-01-31T12:00:01+00:00', 'cancelled', NULL);
PRAGMA user_version = 1;
"""


async def test_an_older_schema_is_brought_up_to_date_and_keeps_what_it_had(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript(_VERSION_1)
    store = StateStore(tmp_path)
    (row,) = store.attempts("r").values()
    assert (row.task_id, row.stop_intent, row.is_disregarded) == ("a", Reason.CANCELLED, False)
    await store.disregard("r", "a", 1)
    store.close()
    assert StateStore(tmp_path).attempts("r")["a", 1].is_disregarded


_OPEN = "import sys; from pathlib import Path; from dockersched.store.database import StateStore as S; S(Path('.'))"


def test_many_processes_may_be_the_first(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    assert [process.communicate(timeout=60)[1] for process in processes] == [""] * 6


def test_a_database_that_somebody_holds_is_no_reason_to_move_it_away(
    store: StateStore, tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch("dockersched.store.connection.BUSY_TIMEOUT_S", 0)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StateError, match=r"\(database is locked\): another process holds it, try again"):
            store.finish_run(RUN, "succeeded", 0)


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_what_is_not_our_database_is_to_be_moved_away(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / FILE_NAME
    if content is not None:
        path.write_bytes(content)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(f"PRAGMA user_version = {schema.VERSION}")
    with pytest.raises(StateError, match="move it away to start anew"):
        StateStore(tmp_path).runs()


def test_who_opens_a_new_database_waits_for_whoever_makes_it(tmp_path: Path, mocker: MockerFixture) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        waited = mocker.patch.object(time, "sleep", side_effect=lambda _pause_s: other.execute("ROLLBACK"))

        assert StateStore(tmp_path).runs() == []
    assert waited.call_count == 1


def test_each_truncation_loads_or_is_one_named_error(tmp_path: Path) -> None:
    assert set(cut_everywhere(tmp_path, step=1499)) == {"loaded", "refused"}


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"tasks": []}', '{"reason": "unheard of"}'])
def test_a_record_that_is_not_one_is_a_named_error(text: str) -> None:
    for load in (codec.load_epic, codec.load_result, codec.load_reason):
        with pytest.raises(StateError):
            load(text)


def took(seconds: float, exit_code: int = 0, reason: Reason | None = None) -> SandboxResult:
    began = datetime(2026, 1, 31, 12, tzinfo=UTC)
    return SandboxResult("e.a", exit_code, reason, started_at=began, finished_at=began + timedelta(seconds=seconds))


async def test_durations_are_those_of_the_last_successes(store: StateStore) -> None:
    for number, results in enumerate(
        [[took(1000)], [took(1), took(99, 1)], [took(2), took(98, 137, Reason.TIMED_OUT)], [took(90)], [], [took(3.5)]]
    ):
        run_id = f"{RUN}-{number}"
        store.create_run(run_id, EPIC, {}, {})
        for attempt, result in enumerate(results, 1):
            await store.intend(run_id, "a", attempt)
            await store.record(run_id, "a", attempt, result)
        await store.intend(run_id, "b", 1)
    await store.intend(RUN, "b", 2)
    await store.record(RUN, "b", 2, SandboxResult("e.b", 0))  # it is not known how long that took
    assert store.durations("e") == {"a": pytest.approx(2.75, abs=0.001)}
    assert store.durations("other") == {}


async def test_a_damaged_record_only_lacks_its_duration(store: StateStore, tmp_path: Path) -> None:
    for task_id in ("a", "b"):
        await store.intend(RUN, task_id, 1)
        await store.record(RUN, task_id, 1, took(5))
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("UPDATE attempts SET result = '{' WHERE task_id = 'b'")
        connection.commit()
    assert store.durations("e") == {"a": pytest.approx(5, abs=0.001)}


# The writer


async def test_what_waits_for_the_disk_shares_a_transaction(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    class Slow(sqlite3.Connection):
        def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
            if sql.startswith("BEGIN"):
                begun.append(sql)
                time.sleep(0.1)
            return super().execute(sql, *args)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **named: connect(*args, **named, factory=Slow))
    async with asyncio.timeout(10):
        await asyncio.gather(*(store.intend(RUN, "a", number) for number in range(1, 101)))
    assert len(store.attempts(RUN)) == 100
    assert len(begun) <= 4


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond a size, as on a disk without room."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_told_to_all_who_wait_and_passes(store: StateStore, tmp_path: Path) -> None:
    await store.intend(RUN, "a", 1)
    with full_disk((tmp_path / f"{FILE_NAME}-wal").stat().st_size):
        async with asyncio.timeout(10):
            writes = [store.record(RUN, "a", 1, GOOD), store.intend(RUN, "a", 2), store.intend(RUN, "b", 1)]
            found = await asyncio.gather(*writes, return_exceptions=True)
        assert [type(error) for error in found] == [StateError] * 3, found
        with pytest.raises(StateError, match="make room, or see to the disk, and try again"):
            store.finish_run(RUN, "succeeded", 0)
    assert list(store.attempts(RUN)) == [("a", 1)]
    await store.record(RUN, "a", 1, GOOD)
    assert store.attempts(RUN)["a", 1].result == GOOD


async def test_a_database_that_cannot_be_opened_hangs_nobody(tmp_path: Path) -> None:
    writer = BatchWriter(tmp_path / "missing" / FILE_NAME)
    async with asyncio.timeout(5):
        for _ in range(2):
            with pytest.raises(StateError, match="cannot be written"):
                await writer.write("SELECT 1", ())
    writer.close()


async def test_a_value_that_cannot_be_stored_hangs_nobody(store: StateStore) -> None:
    async with asyncio.timeout(5):
        with pytest.raises(StateError):
            await store.intend(RUN, "\udc80", 1)
        await store.intend(RUN, "a", 1)


def test_an_event_loop_that_is_gone_does_not_stop_the_writer(store: StateStore) -> None:
    async def leave() -> None:
        writing = asyncio.ensure_future(store.intend(RUN, "a", 1))
        await asyncio.sleep(0)
        writing.cancel()

    asyncio.run(leave())
    asyncio.run(store.intend(RUN, "a", 2))
    assert ("a", 2) in store.attempts(RUN)


# The journal


async def test_the_intent_is_on_disk_before_the_sandbox_starts(store: StateStore) -> None:
    seen = []
    fake = FakeRunner(on_start=lambda _: seen.append(dict(store.attempts(RUN))))
    result = await JournaledRunner(fake, Journal(store, RUN)).run(options())
    (before,) = seen
    assert before["a", 1].result is None
    assert store.attempts(RUN)["a", 1].result == result


async def test_a_recorded_attempt_is_answered_and_not_run(store: StateStore) -> None:
    await store.intend(RUN, "a", 1)
    await store.record(RUN, "a", 1, GOOD)
    fake = FakeRunner()
    assert await JournaledRunner(fake, Journal(store, RUN)).run(options()) == GOOD
    assert fake.started == []


async def test_an_attempt_without_a_record_is_run_under_its_number(store: StateStore) -> None:
    await store.intend(RUN, "a", 1)
    fake = FakeRunner()
    journal = Journal(store, RUN)
    assert journal.unfinished() == store.unfinished(RUN) == [("a", 1)]
    await JournaledRunner(fake, journal).run(replace(options(), queued_s=1.0))
    ((key, row),) = store.attempts(RUN).items()
    assert key == ("a", 1)
    assert row.result is not None
    assert store.unfinished(RUN) == []
    assert row.result.phases == Phases(1)  # only the process that started it knows how long it had waited


async def test_a_record_tells_how_long_the_attempt_waited_however_it_ended(store: StateStore) -> None:
    runner = JournaledRunner(FakeRunner({"b": Script(raises=OSError("no engine"))}), Journal(store, RUN))
    await runner.run(replace(options(), queued_s=1.00004))
    with pytest.raises(OSError, match="no engine"):
        await runner.run(replace(options(), task_id="b", sandbox_id="e.b", queued_s=2.0))
    found = {task_id: row.result.phases for (task_id, _), row in store.attempts(RUN).items() if row.result}
    assert found == {"a": Phases(1, queued_ms=1000.0), "b": Phases(1, queued_ms=2000.0)}


async def test_a_cancelled_attempt_does_not_count_when_the_run_goes_on(store: StateStore) -> None:
    failed = SandboxResult("e.a", 75)
    for number, result in ((1, failed), (2, CANCELLED), (3, failed)):
        await store.intend(RUN, "a", number)
        await store.record(RUN, "a", number, result)
    await store.intend(RUN, "a", 4)
    await store.intend_stop(RUN, "a", 4, Reason.CANCELLED)
    journal = Journal(store, RUN)
    assert journal.was_cancelled("a", 4)
    assert [journal.on_engine(options(number)).attempt for number in (1, 2, 3, 4)] == [1, 3, 5, 6]


async def test_an_attempt_that_ended_before_its_stop_counts(store: StateStore) -> None:
    await store.intend(RUN, "a", 1)
    await store.intend_stop(RUN, "a", 1, Reason.CANCELLED)
    await store.record(RUN, "a", 1, GOOD)
    assert Journal(store, RUN).on_engine(options()).attempt == 1


async def test_what_an_earlier_process_left_is_known_by_task(store: StateStore) -> None:
    lost = SandboxResult("e.a", reason=Reason.INTERRUPTED)
    killed = SandboxResult("e.a", 137, Reason.OOM_KILLED)
    left: dict[str, list[SandboxResult | None]] = {
        "a": [lost, CANCELLED, GOOD],
        "b": [killed, CANCELLED, None],
        "c": [None],
    }
    for task_id, attempts in left.items():
        for attempt, result in enumerate(attempts, 1):
            await store.intend(RUN, task_id, attempt)
            if result is not None:
                await store.record(RUN, task_id, attempt, result)
    assert JournaledRunner(FakeRunner(), Journal(store, RUN)).standing() == {
        "a": Standing(2),
        "b": Standing(1, in_flight=True, oom_kills=1),
        "c": Standing(0, in_flight=True),
    }


async def test_a_resumed_run_holds_what_is_on_the_engine(store: StateStore) -> None:
    """Each wants the whole. `b` is on the engine, behind a task on record: what comes first in order waits for it."""
    whole = QuotaConfig(cpus=2)
    tasks = [ScheduledTask("b", ["a"], "true", quota=whole), ScheduledTask("c", [], "true", quota=whole, priority=9)]
    dag = TaskDAG([ScheduledTask("a", [], "true", quota=whole), *tasks])
    await store.intend(RUN, "a", 1)
    await store.record(RUN, "a", 1, GOOD)
    await store.intend(RUN, "b", 1)
    fake = FakeRunner({"b": Script(duration_s=0.02)})
    scheduler = ParallelTaskScheduler(JournaledRunner(fake, Journal(store, RUN)))
    chosen = EpicExecutionOptions(max_cpus=2, epic_id="e", run_id=RUN)
    result = await scheduler.execute_epic(dag, chosen)
    assert result.succeeded
    assert (fake.started, fake.peak) == (["b", "c"], 1)


async def test_a_cancelled_sandbox_is_recorded(store: StateStore) -> None:
    runner = JournaledRunner(FakeRunner({"a": Script(duration_s=None)}), Journal(store, RUN))
    running = asyncio.create_task(runner.run(options()))
    await asyncio.sleep(0.1)
    running.cancel()
    with pytest.raises(SandboxCancelled):
        await running
    recorded = store.attempts(RUN)["a", 1].result
    assert recorded
    assert recorded.reason is Reason.CANCELLED


async def test_a_failure_of_the_machinery_is_recorded(store: StateStore) -> None:
    runner = JournaledRunner(FakeRunner({"a": Script(raises=EngineUnavailableError("gone"))}), Journal(store, RUN))
    with pytest.raises(EngineUnavailableError):
        await runner.run(options())
    recorded = store.attempts(RUN)["a", 1].result
    assert recorded
    assert (recorded.reason, "gone" in recorded.detail) == (Reason.ENGINE_ERROR, True)


async def test_once_nothing_can_be_written_nothing_starts_stops_or_goes(store: StateStore, tmp_path: Path) -> None:
    failures = []
    journal = Journal(store, RUN, on_failure=lambda: failures.append("once"))
    fake = FakeRunner({"a": Script(duration_s=0.2)})
    runner = JournaledRunner(fake, journal)
    running = asyncio.create_task(runner.run(options()))
    await asyncio.sleep(0.1)
    with full_disk((tmp_path / f"{FILE_NAME}-wal").stat().st_size), pytest.raises(StateError):
        await running
    with pytest.raises(StateError):  # though the disk has room again
        await runner.run(options(2))
    with pytest.raises(StateError):
        await journal.stopping(options(), Reason.TIMED_OUT)
    runner.discard(options())
    assert (fake.started, fake.discarded, failures) == (["a"], [], ["once"])
    assert isinstance(journal.failure, StateError)


# The codec

_texts = st.text(min_size=1, max_size=20).filter(lambda text: "\0" not in text)
_plain = st.text(max_size=20).filter(lambda text: "\0" not in text)
_some_seconds = st.floats(0.001, 1e6)
_quotas = st.builds(
    QuotaConfig,
    cpus=st.none() | st.floats(0.01, 64),
    memory=st.none() | st.integers(6 * 2**20, 2**40),
    pids=st.none() | st.integers(1, 2**20),
    disk=st.none() | st.integers(4096, 2**40),
    nofile=st.none() | st.integers(16, 2**20),
    fsize=st.none() | st.integers(1, 2**40),
    log=st.none() | st.integers(2**16, 2**40),
)
_policies = st.builds(
    RetryPolicy,
    limit=st.integers(0, 9),
    on=st.lists(st.sampled_from(RETRY_CAUSES), unique=True),
    exit_codes=st.lists(st.integers(1, 136), unique=True),
    initial_s=_some_seconds.filter(lambda value: value <= 1),
    factor=st.floats(1, 10),
    max_s=st.floats(1, 1e6),
    jitter=st.booleans(),
)
_networks: st.SearchStrategy[Literal["none", "bridge"]] = st.sampled_from(["none", "bridge"])
_names = st.text(st.characters(blacklist_characters="=\0", blacklist_categories=["Cs"]), min_size=1, max_size=9)


_paths = st.sampled_from(["/a", "/b", "/dev/shm"])
_mounts = st.builds(Mount, _texts, st.sampled_from(["/c", "/d/e"]), st.booleans())
_openings: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "runtime": _texts,
        "profile": st.sampled_from(["locked", "trusted"]),
        "network_namespace": st.sampled_from(["auto", "own"]),
        "read_only": st.booleans(),
        "cap_add": st.lists(st.sampled_from(CAPABILITIES), unique=True),
        "workspace": st.builds(Workspace, _texts, st.lists(_texts), git=st.booleans(), digest=st.none() | _texts),
        "outputs": st.dictionaries(
            st.sampled_from(["a", "b-1"]),
            st.builds(Output, st.sampled_from(["x", "x/y"]), st.booleans(), st.sampled_from(["success", "always"])),
        ),
        "values": st.none() | st.lists(st.sampled_from(["k", "v"]), unique=True),
        "tmpfs": st.dictionaries(_paths, st.integers(4096, 2**40)),
        "ulimits": st.dictionaries(st.sampled_from(["core", "stack"]), st.integers(0, 2**40)),
        "mounts": st.lists(_mounts, max_size=2, unique_by=lambda mount: mount.target).map(tuple),
    },
)


_images = st.from_regex(r"[a-z0-9]{1,9}(?:/[a-z0-9]{1,9})?(?::[A-Za-z0-9_.-]{1,9})?", fullmatch=True).filter(
    lambda image: ":." not in image and ":-" not in image
)
_users = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*(?::[0-9]{1,9})?", fullmatch=True)


@st.composite
def _tasks(draw: st.DrawFn) -> list[ScheduledTask]:
    made: list[ScheduledTask] = []
    for task_id in draw(st.lists(_texts, min_size=1, max_size=4, unique=True)):
        earlier = [task.id for task in made]
        made.append(
            ScheduledTask(
                task_id,
                draw(st.lists(st.sampled_from(earlier), unique=True)) if earlier else [],
                draw(_texts),
                draw(st.lists(_plain, max_size=3)),
                draw(st.none() | _quotas),
                draw(st.none() | _images),
                draw(st.dictionaries(_names, _plain, max_size=2)),
                draw(st.none() | _plain.map("/{}".format)),
                draw(st.none() | _users),
                draw(st.none() | _networks),
                draw(st.none() | _some_seconds),
                draw(st.none() | _some_seconds),
                draw(st.none() | st.sampled_from(["missing", "always", "never"])),
                draw(_policies),
                **draw(_openings),
            )
        )
    return made


_options = st.builds(
    EpicExecutionOptions,
    max_parallel=st.integers(1, 99),
    timeout_s=st.none() | _some_seconds,
    fail_fast=st.booleans(),
    epic_id=_texts,
    run_id=st.none() | _texts,
    max_cpus=st.none() | st.floats(0.01, 99),
    max_memory=st.none() | st.integers(2**23, 2**40),
    overcommit_cpus=st.floats(0.01, 9),
    overcommit_memory=st.floats(0.01, 9),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(_tasks(), _options, st.none() | _plain)
def test_an_epic_survives_its_json(tasks: list[ScheduledTask], chosen: EpicExecutionOptions, source: Any) -> None:
    epic = Epic(TaskDAG(tasks), chosen, source)
    found = codec.load_epic(codec.dump_epic(epic))
    assert (list(found.dag), found.options, found.source) == (list(epic.dag), epic.options, epic.source)


_moments = st.none() | st.datetimes(timezones=st.just(UTC))
_results = st.builds(
    SandboxResult,
    sandbox_id=_plain,
    exit_code=st.none() | st.integers(0, 255),
    reason=st.none() | st.sampled_from(Reason),
    detail=st.text(max_size=50),
    started_at=_moments,
    finished_at=_moments,
    image=st.none() | _plain,
    image_digest=st.none() | _plain,
    quota_requested=st.none() | _quotas,
    quota_effective=st.none() | _quotas,
    log=st.none() | st.builds(LogSummary, _plain, st.integers(0), st.booleans(), st.booleans()),
    oom_event=st.booleans(),
    openings=st.lists(_plain, max_size=2).map(tuple),
    usage=st.none()
    | st.builds(
        Usage,
        st.none() | st.integers(0),
        st.none() | st.floats(0, 1e9),
        st.none() | st.integers(0),
        st.none() | st.integers(0),
        st.integers(1),
        st.datetimes(timezones=st.just(UTC)),
    ),
    outputs=st.dictionaries(_plain, st.builds(OutputSummary, _plain, _plain, st.integers(0), st.integers(0))),
    values=st.dictionaries(_plain, _plain),
    phases=st.none() | st.builds(Phases, st.integers(1), *[st.none() | st.floats(0, 1e9)] * 7),
)


@settings(max_examples=100, deadline=None)
@given(_results)
def test_a_result_survives_its_json(result: SandboxResult) -> None:
    assert codec.load_result(codec.dump_result(result)) == result


def test_names_that_are_no_utf8_survive_their_json() -> None:
    odd = os.fsdecode(b"\xff")
    result = SandboxResult(f"e.{odd}", 3, detail=odd, started_at=datetime.now(UTC), values={"key": odd})
    assert codec.load_result(codec.dump_result(result)) == result
    epic = Epic(TaskDAG([ScheduledTask("a", [], odd, [odd], environment={"NAME": odd})]), EpicExecutionOptions(), odd)
    found = codec.load_epic(codec.dump_epic(epic))
    assert (list(found.dag), found.source) == (list(epic.dag), odd)


def test_a_result_is_recorded_without_what_it_does_not_have() -> None:
    assert json.loads(codec.dump_result(SandboxResult("e.t", exit_code=0))) == {"sandbox_id": "e.t", "exit_code": 0}


def test_a_result_may_be_recorded_with_all_that_it_does_not_have() -> None:
    names = ("reason", "started_at", "finished_at", "quota_requested", "quota_effective", "log", "usage", "phases")
    fields: dict[str, object] = {"sandbox_id": "e.t", "exit_code": 0} | dict.fromkeys(names)
    assert codec.load_result(json.dumps(fields)) == SandboxResult("e.t", exit_code=0)


# Ownership


def _own_and_wait(folder: str, ready: Any, go: Any) -> None:
    with own_run(Path(folder)):
        ready.set()
        go.wait(30)


def test_a_run_has_one_owner_until_its_process_ends(tmp_path: Path) -> None:
    assert owner_of(tmp_path / "none") is None
    context = multiprocessing.get_context("spawn")
    ready, go = context.Event(), context.Event()
    process = context.Process(target=_own_and_wait, args=(str(tmp_path), ready, go))
    process.start()
    assert ready.wait(30)
    assert owner_of(tmp_path) == process.pid
    began = time.monotonic()
    with pytest.raises(RunOwnedError, match=f"process {process.pid}") as refused, own_run(tmp_path):
        pass
    assert (refused.value.pid, time.monotonic() - began < 0.5) == (process.pid, True)
    process.kill()  # a lock of the kernel: nothing that a dead process leaves keeps others out
    process.join(30)
    assert owner_of(tmp_path) is None
    with own_run(tmp_path):
        assert owner_of(tmp_path) == os.getpid()
    assert owner_of(tmp_path) is None


def test_looking_for_the_owner_does_not_look_like_one(tmp_path: Path) -> None:
    """Whoever looks holds the lock for a moment."""
    with own_run(tmp_path):
        pass
    looking = "from pathlib import Path; from dockersched.store.lock import owner_of\nwhile True: owner_of(Path())"
    process = subprocess.Popen([sys.executable, "-c", looking], cwd=tmp_path)
    try:
        until = time.monotonic() + 1
        while time.monotonic() < until:
            with own_run(tmp_path):
                pass
    finally:
        process.kill()
        process.wait()


def test_requests_come_once_and_in_words(tmp_path: Path) -> None:
    requests = CancelRequests(tmp_path)
    assert requests.take() == []
    requests.put(["a", "b"])
    requests.put([])
    assert sorted(requests.take(), key=str) == [None, ["a", "b"]]
    assert requests.take() == []


def test_a_request_for_tasks_holds_until_the_run_ends(tmp_path: Path) -> None:
    first, resumed = CancelRequests(tmp_path), CancelRequests(tmp_path)
    first.put(["a"])
    first.put([])
    first.take()
    assert resumed.take() == [["a"]]
    resumed.clear()
    assert CancelRequests(tmp_path).take() == []


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b'"a"', b"null", b"\xff", b"[" * 10_000])
def test_a_request_that_cannot_be_read_is_passed_over_and_told_once(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = CancelRequests(tmp_path)
    requests.put(["a"])
    (tmp_path / "requests" / "0.cancel").write_bytes(content)
    (tmp_path / "requests" / "1.cancel").mkdir()
    for _ in range(2):
        assert requests.of_tasks() == [["a"]]
    assert requests.take() == [["a"]]
    assert requests.take() == []
    assert capsys.readouterr().err.count("requests.unreadable") == 2


def test_a_request_is_safe_on_disk_before_it_has_its_name(tmp_path: Path, mocker: MockerFixture) -> None:
    synced: list[Path] = []
    mocker.patch("os.fsync", side_effect=lambda number: synced.append(Path(f"/proc/self/fd/{number}").resolve()))
    CancelRequests(tmp_path).put(["a"])
    folder = tmp_path / "requests"
    assert synced[0] not in list(folder.iterdir())
    assert [synced[0].parent, *synced[1:]] == [folder, folder, tmp_path]


# The event log


def test_a_torn_line_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    failed: list[StateError] = []
    for _ in range(2):
        log = EventLog(path, failed.append)
        log.observe(EpicStarted(datetime.now(UTC), "e", RUN, ("a",)))
        log.close()
    whole = path.read_bytes()
    (first, second) = whole.splitlines(keepends=True)
    for cut in range(len(second)):
        path.write_bytes(first + second[:cut])
        EventLog(path, failed.append).close()
        assert path.read_bytes() == first
    path.write_bytes(whole)
    EventLog(path, failed.append).close()
    assert path.read_bytes() == whole
    assert failed == []


def test_a_full_disk_under_the_event_log_is_told_once(tmp_path: Path) -> None:
    failed: list[StateError] = []
    log = EventLog(tmp_path / "events.jsonl", failed.append)
    with Path("/dev/full").open("wb") as full:
        os.dup2(full.fileno(), log._file.fileno())
    for _ in range(3):
        log.observe(EpicStarted(datetime.now(UTC), "e", RUN, ("a",)))
    log.close()
    (error,) = failed
    assert "events.jsonl cannot be written: No space left on device" in str(error)
