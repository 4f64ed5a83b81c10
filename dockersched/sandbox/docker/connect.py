"""Connects to an engine: finds it, agrees on an API version once, and learns how large it is."""

from __future__ import annotations

import asyncio
import os
import re
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connection import EngineEndpoint, resolve_endpoint
from dockersched.sandbox.docker.dial import EngineVersion, fetch_version
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.pool import EnginePool

_CONNECT_TIMEOUT_S = 5.0
CALL_TIMEOUT_S = 60.0
_NEWEST_API = (1, 45)
"""That the tests run with. Docker Engine 29 speaks none older than 1.44."""
_OLDEST_API = (1, 41)
_MOST_STARTS = 8


@dataclass(frozen=True, slots=True)
class Engine:
    """A Docker engine that answers.

    Args:
        endpoint: where it is.
        version: its own version.
        api_version: that all calls use.
        features: what it can do.
        connected_at: by its own clock.
        health: what is known of its outages.
        pool: runs calls to it.
    """

    endpoint: EngineEndpoint
    version: str
    api_version: str
    features: EngineFeatures
    connected_at: datetime
    health: EngineHealth = field(repr=False)
    pool: EnginePool = field(repr=False)

    def close(self) -> None:
        """Lets the threads go."""
        self.pool.close()


async def connect(
    environ: Mapping[str, str] = os.environ, *, call_timeout_s: float = CALL_TIMEOUT_S, met: Meeting | None = None
) -> Engine:
    """The engine that the docker command would use in this environment.

    Args:
        environ: the environment.
        call_timeout_s: seconds after which a call counts as not answered.
        met: what `meet_in_background` began; None begins now.

    Raises:
        EngineUnavailableError: none answers there, or it is too old.
    """
    answer = await (asyncio.wrap_future(met) if met else asyncio.to_thread(_meet, environ, call_timeout_s))
    is_closing = threading.Event()
    health = EngineHealth(answer.clock.now)
    features = answer.features
    pool = EnginePool(
        lambda: EngineCalls(EngineHttp(answer.endpoint, answer.api_version, call_timeout_s), is_closing, health),
        # Measured on two cores: two to four starts at a time are fastest, more only make each one longer.
        starts=min(2 * features.cpus, _MOST_STARTS),
        starts_ahead=min(features.cpus, _MOST_STARTS),
        closing=is_closing,
    )
    return Engine(answer.endpoint, answer.version, answer.api_version, features, answer.clock.start, health, pool)


def meet_in_background() -> Meeting:
    """Begins to ask the engine what it is, while the program is busy with something else, as with its imports."""
    meeting: Meeting = Future()
    meeting.set_running_or_notify_cancel()  # from now on, who gives up waiting for it leaves it alone

    def meet() -> None:
        try:
            meeting.set_result(_meet(os.environ, CALL_TIMEOUT_S))
        except Exception as error:  # noqa: BLE001 - whoever waits for it is told
            meeting.set_exception(error)

    # A daemon: where the epic cannot be run, an engine that does not answer must not keep the program from ending.
    threading.Thread(target=meet, name="dockersched-meeting", daemon=True).start()
    return meeting


def reach(environ: Mapping[str, str] = os.environ) -> tuple[EngineEndpoint, EngineVersion, str]:
    """Where the engine is, its versions, and the API version to speak with it. Blocks.

    Raises:
        EngineUnavailableError: none answers there, or it is too old.
    """
    endpoint = resolve_endpoint(environ)
    version = fetch_version(endpoint, _CONNECT_TIMEOUT_S)
    # An engine that speaks only newer ones may do all that we need all the same; a refusal would help nobody.
    api = max(min(_parse(version.api), _NEWEST_API), _parse(version.oldest_api))
    if api < _OLDEST_API:
        raise EngineUnavailableError(
            f"the engine at {endpoint} is too old ({version.engine}, API {version.api}): use 20.10 or newer"
        )
    return endpoint, version, f"{api[0]}.{api[1]}"


class _Clock(Struct, frozen=True):
    """The engine's time: what it said once, carried on by our monotonic clock, which nobody sets."""

    start: datetime
    monotonic_start: float

    def now(self) -> datetime:
        return self.start + timedelta(seconds=time.monotonic() - self.monotonic_start)


class _Answer(Struct, frozen=True):
    """What an engine said of itself."""

    endpoint: EngineEndpoint
    version: str
    api_version: str
    features: EngineFeatures
    clock: _Clock


Meeting = Future[_Answer]
"""An engine that is being asked what it is."""


def _meet(environ: Mapping[str, str], call_timeout_s: float) -> _Answer:
    endpoint, version, api_version = reach(environ)
    http = EngineHttp(endpoint, api_version, call_timeout_s)
    with closing(EngineCalls(http, threading.Event(), EngineHealth(lambda: datetime.now(UTC)))) as calls:
        info = calls.info()
    clock = _Clock(datetime.fromisoformat(info["SystemTime"]), time.monotonic())
    features = EngineFeatures.of(info, is_local=endpoint.socket is not None)
    return _Answer(endpoint, version.engine, api_version, features, clock)


def _parse(version: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
