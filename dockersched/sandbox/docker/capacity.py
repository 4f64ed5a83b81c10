"""What the engine is and can do, for checks that can do without an answer."""

from __future__ import annotations

from contextlib import closing

from dockersched.errors import RunnerError
from dockersched.sandbox.docker.connection import resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.features import EngineFeatures

ANSWER_TIMEOUT_S = 0.5
"""For each of two calls: a check that should wait for nothing."""


def engine_features() -> EngineFeatures | None:
    """Of the engine that the environment names; None when it does not answer at once.

    Blocks for a second at most on a local engine: not for an event loop's thread.
    """
    try:
        endpoint = resolve_endpoint()
        version = fetch_version(endpoint, ANSWER_TIMEOUT_S)
    except RunnerError:
        return None
    try:
        with closing(EngineHttp(endpoint, version.api, ANSWER_TIMEOUT_S)) as http:
            return EngineFeatures.of(http.get("/info"), is_local=endpoint.socket is not None)
    except (RunnerError, OSError, KeyError, TypeError, ValueError):
        return None
