"""What the engine is and can do, for checks that can do without an answer."""

from __future__ import annotations

from dockersched.errors import RunnerError
from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
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
    from docker.errors import DockerException  # noqa: PLC0415 - 0.2 s to import, in vain without an engine
    from requests import RequestException  # noqa: PLC0415

    client = make_client(endpoint, version=version.api, timeout=ANSWER_TIMEOUT_S)
    try:
        return EngineFeatures.of(client.info(), is_local=endpoint.socket is not None)
    except (DockerException, RequestException, OSError, KeyError, TypeError, ValueError):
        return None
    finally:
        client.close()
