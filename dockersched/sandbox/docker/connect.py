"""Connects to an engine: finds it, agrees on an API version once, and learns how large it is."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

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


async def connect(environ: Mapping[str, str] = os.environ, *, call_timeout_s: float = CALL_TIMEOUT_S) -> Engine:
    """The engine that the docker command would use in this environment.

    Args:
        environ: the environment.
        call_timeout_s: seconds after which a call counts as not answered.

    Raises:
        EngineUnavailableError: none answers there, or it is too old.
    """
    endpoint, version, api_version = await asyncio.to_thread(reach, environ)
    closing = threading.Event()

    def http() -> EngineHttp:
        return EngineHttp(endpoint, api_version, call_timeout_s)

    info = await asyncio.to_thread(_info, http())
    clock = _Clock(datetime.fromisoformat(str(info["SystemTime"])), time.monotonic())
    health = EngineHealth(clock.now)
    features = EngineFeatures.of(info, is_local=endpoint.socket is not None)
    pool = EnginePool(
        lambda: EngineCalls(http(), closing, health),
        # Measured on two cores: two to four starts at a time are fastest, more only make each one longer.
        starts=min(2 * features.cpus, _MOST_STARTS),
        starts_ahead=min(features.cpus, _MOST_STARTS),
        closing=closing,
    )
    return Engine(endpoint, version.engine, api_version, features, clock.start, health, pool)


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


def _info(http: EngineHttp) -> dict[str, Any]:
    calls = EngineCalls(http, threading.Event(), EngineHealth(lambda: datetime.now(UTC)))
    try:
        return calls.info()
    finally:
        calls.close()


def _parse(version: str) -> tuple[int, int]:
    major, _, minor = version.partition(".")
    return int(major), int(minor)
