"""Events on their way to a program that reads along."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from datetime import UTC, datetime
from typing import TextIO

import pytest
from jsonschema import Draft202012Validator

from dockersched import FakeRunner, ParallelTaskScheduler, ScheduledTask
from dockersched.events import TaskStarted
from dockersched.report.event_document import event_schema
from dockersched.report.jsonl import EventStream
from dockersched.sandbox.fake import Script

_TASKS = 300
_LIMIT_S = 0.020


def event(number: int) -> TaskStarted:
    return TaskStarted(datetime.now(UTC), f"t{number}", f"e.t{number}", 1)


def pipe() -> tuple[TextIO, TextIO]:
    reading, writing = os.pipe()
    return os.fdopen(reading), os.fdopen(writing, "w")


def delays_of_a_run() -> list[float]:
    """Seconds from each event of a run until its reader had it, by the clock that stamped it."""
    reader, writer = pipe()
    delays = []

    def read() -> None:
        for line in reader:
            now = datetime.now(UTC)
            delays.append((now - datetime.fromisoformat(json.loads(line)["at"])).total_seconds())

    reading = threading.Thread(target=read)
    reading.start()
    with reader, writer:
        stream = EventStream(writer)
        tasks = [ScheduledTask(id=f"t{number}", depends_on=[], command="true") for number in range(_TASKS)]
        runner = FakeRunner(scripts={task.id: Script(duration_s=0.005) for task in tasks})
        asyncio.run(ParallelTaskScheduler(runner, observers=[stream.observe]).execute_epic(tasks))
        stream.close()
        writer.close()
        reading.join()
    return sorted(delays)


def test_an_event_reaches_its_reader_within_20_ms() -> None:
    # The machine may be busy with something else: one quiet run of three shows what the program can do.
    found = []
    for _ in range(3):
        delays = delays_of_a_run()
        assert len(delays) == 2 * _TASKS + 2
        found.append(delays[int(len(delays) * 0.99)])
        if found[-1] <= _LIMIT_S:
            return
    raise AssertionError(f"p99 in seconds: {found}")


def test_a_slow_reader_holds_up_nothing_and_misses_nothing() -> None:
    reader, writer = pipe()
    with reader, writer:
        stream = EventStream(writer)
        for number in range(5_000):  # far more than a pipe holds, and nobody reads
            stream.observe(event(number))
        closing = threading.Thread(target=stream.close)
        closing.start()
        tasks = [json.loads(next(reader))["task"] for _ in range(5_000)]
        closing.join()
    assert tasks == [f"t{number}" for number in range(5_000)]


def test_a_reader_that_hangs_up_is_noticed() -> None:
    reader, writer = pipe()
    with writer:
        reader.close()
        stream = EventStream(writer)
        stream.observe(event(0))
        stream.close()
        with pytest.raises(BrokenPipeError):
            stream.check()


def test_the_schema_is_one_and_tells_types_apart() -> None:
    schema = event_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    assert not validator.is_valid({"at": "2026-01-01T00:00:00.000000Z", "type": "unknown"})
    assert not validator.is_valid({"type": "task_started", "task": "t", "sandbox": "e.t", "attempt": 1})
