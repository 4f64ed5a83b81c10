"""`python -m dockersched.enginesetup [--quiet]`: exit 0 when an engine answers, else 3."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from dockersched.enginesetup import daemon, distro
from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.connection import EngineEndpoint, resolve_endpoint
from dockersched.sandbox.docker.dial import EngineVersion, fetch_version, is_there

ANSWER_TIMEOUT_S = 10.0
EXIT_ENGINE_UNAVAILABLE = 3


def main(arguments: list[str]) -> int:
    """Make sure that an engine answers.

    Args:
        arguments: `--quiet` says nothing when an engine answers at once.
    """
    try:
        endpoint = resolve_endpoint()
        try:
            version = fetch_version(endpoint, ANSWER_TIMEOUT_S)
        except EngineUnavailableError as error:
            version = _set_up(endpoint, error)
    except (EngineUnavailableError, OSError) as error:
        is_ours = isinstance(error, EngineUnavailableError)
        _say(str(error) if is_ours else f"No engine could be set up: {error}")
        return EXIT_ENGINE_UNAVAILABLE
    if "--quiet" not in arguments:
        print(f"Docker engine {version.engine} at {endpoint}", flush=True)
    return 0


def _set_up(endpoint: EngineEndpoint, reason: EngineUnavailableError) -> EngineVersion:
    if is_there(reason):
        raise reason
    if not endpoint.is_default:
        raise EngineUnavailableError(
            f"{reason}\nStart that engine, or choose another ({endpoint.source} named this one); nothing was installed."
        ) from reason
    paths = daemon.DaemonPaths()
    if endpoint.socket is not None and daemon.is_listening(Path(endpoint.socket)):
        _say(f"{reason}\nSomebody listens there: waiting for an answer")
        return daemon.wait_until_ready(paths, endpoint, None)
    host = distro.this_host()
    if os.environ.get("DOCKERSCHED_ENGINE_SETUP") == "0" or not host.can_install:
        raise EngineUnavailableError(f"{reason}\n{distro.advice(host)}") from reason
    _say(str(reason))
    process = None
    if daemon.is_running(paths):
        _say("a daemon runs: waiting for it to answer")
    else:
        if daemon.find_dockerd() is None:
            _say("installing the distribution's docker.io: apt-get update && apt-get install -y docker.io")
            distro.install("docker.io")
        process = daemon.start(paths, _say)
    return daemon.wait_until_ready(paths, endpoint, process)


def _say(message: str) -> None:
    for line in message.splitlines():
        print(f"dockersched: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
