"""What trials of faults share: a runner on any engine, an epic run to its end, and what is left of it."""

from __future__ import annotations

import asyncio
import os
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.api import APIClient

from dockersched import (
    DockerRunner,
    EpicExecutionOptions,
    EpicResult,
    ParallelTaskScheduler,
    ScheduledTask,
    TaskExecutionError,
)
from dockersched.events import Observer
from dockersched.sandbox.docker.connect import connect
from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from dockersched.sandbox.docker.volumes import LABEL_VOLUME


async def runner_on(url: str | None, logs_dir: Path, *, call_timeout_s: float = 60, **settings: Any) -> DockerRunner:
    """A runner on the engine at a URL; without one, on the engine that the environment names."""
    engine = await connect({"DOCKER_HOST": url} if url else os.environ, call_timeout_s=call_timeout_s)
    return DockerRunner(engine, logs_dir=logs_dir, **settings)


async def run_epic(
    runner: DockerRunner,
    tasks: Sequence[ScheduledTask],
    *,
    epic_id: str,
    max_parallel: int = 8,
    observers: Sequence[Observer] = (),
    run_id: str | None = None,
    prepare_ahead: int = 0,
) -> EpicResult:
    """The result of an epic, whether or not all of it succeeded."""
    scheduler = ParallelTaskScheduler(runner, observers=observers)
    options = EpicExecutionOptions(
        epic_id=epic_id,
        max_parallel=max_parallel,
        run_id=run_id,
        max_cpus=float(max_parallel),
        prepare_ahead=prepare_ahead,
    )
    try:
        return await scheduler.execute_epic(tasks, options)
    except TaskExecutionError as error:
        return error.result


async def until(true: Callable[[], bool]) -> None:
    """Waits until a condition holds, for 20 s at most."""
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)


def client() -> APIClient:
    """A client of the engine that the environment names."""
    return make_client(resolve_endpoint(), version="1.41", timeout=60)


def left_of(engine: APIClient, run_id: str) -> int:
    """How many containers are left of a run."""
    return len(engine.containers(all=True, filters={"label": f"io.dockersched.run={run_id}"}))


def engine_time(engine: APIClient) -> int:
    """Seconds since the epoch, by the engine's clock, rounded up."""
    return int(datetime.fromisoformat(engine.info()["SystemTime"]).timestamp()) + 1


def starts_by_container(engine: APIClient, run_id: str) -> Mapping[str, int]:
    """How often each container of a run was started, by the engine's record, which goes 256 events back."""
    filters = {"label": f"io.dockersched.run={run_id}", "event": "start"}
    found = engine.events(since=0, until=engine_time(engine), filters=filters, decode=True)
    names = (event["Actor"]["Attributes"] for event in found)
    return Counter(each["name"] for each in names if each["io.dockersched.attempt"] != "0")


@dataclass(frozen=True)
class Seen:
    """Something that happened to a container, as the engine tells it."""

    what: str
    name: str
    at_s: float
    attributes: Mapping[str, str]

    @property
    def is_of_an_attempt(self) -> bool:
        """What holds a network namespace or a volume may be started as often as it is needed."""
        return self.attributes.get("io.dockersched.attempt") != "0" and LABEL_VOLUME not in self.attributes


@contextmanager
def watching(engine: APIClient, label: str) -> Iterator[list[Seen]]:
    """Notes, while the block runs, what happens to the containers with a label; the engine itself forgets it soon."""
    seen: list[Seen] = []
    with make_client(resolve_endpoint(), version="1.41", timeout=60) as listening:
        begun = f"dockersched-end-{secrets.token_hex(4)}"
        stream = listening.events(filters={"label": [label], "type": "container"}, decode=True)

        def listen() -> None:
            for event in stream:
                attributes = event["Actor"]["Attributes"]
                name = attributes["name"]
                if name == begun:
                    return
                seen.append(Seen(event["Action"], name, event["timeNano"] / 1e9, attributes))

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        yield seen
        # Events come in order: once this one has come, so have all before it.
        key, _, value = label.partition("=")
        host = engine.create_host_config(network_mode="none")
        engine.create_container("dockersched/base", ["true"], name=begun, labels={key: value}, host_config=host)
        engine.remove_container(begun)
        thread.join(30)
        assert not thread.is_alive(), "the engine tells no events"


def attempt_starts(seen: Iterable[Seen]) -> Counter[str]:
    """How often the container of each attempt was started, by its name."""
    return Counter(event.name for event in seen if event.what == "start" and event.is_of_an_attempt)


def double_starts(seen: Iterable[Seen]) -> int:
    """How many containers were started more than once."""
    return sum(count > 1 for count in attempt_starts(seen).values())
