"""What all tests share: the engine, and the promise that nothing is left on it."""

import os
import signal
import time
from collections.abc import Iterator

import pytest
from docker.api import APIClient

from dockersched.cli.agents import AGENT_VARIABLES
from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version

_SETTLE_S = 15


@pytest.fixture(scope="session")
def engine() -> Iterator[APIClient]:
    """A client of the real engine. Without one the run fails: a test that was not run shows nothing.

    At the end of the session no container or volume of ours may be left, whatever the tests did.
    """
    try:
        endpoint = resolve_endpoint()
        fetch_version(endpoint, timeout=5)
    except EngineUnavailableError as error:
        pytest.exit(f"these tests need a container engine (make engine): {error}", returncode=3)
    client = make_client(endpoint, version="1.41", timeout=60)
    before = _ours(client)
    yield client
    left = _ours(client) - before
    # Another process may be running epics on the same engine; what it leaves there does not stay.
    deadline = time.monotonic() + _SETTLE_S
    while left and time.monotonic() < deadline:
        time.sleep(0.5)
        left &= _ours(client)
    client.close()
    assert not left, f"containers or volumes were left behind: {sorted(left)}"


def _ours(client: APIClient) -> set[str]:
    ours = {"label": "io.dockersched.sandbox"}
    containers = client.containers(all=True, filters=ours)
    volumes = client.volumes(filters=ours)["Volumes"] or ()
    return {container["Names"][0] for container in containers} | {volume["Name"] for volume in volumes}


def pytest_configure() -> None:
    """Whoever runs the tests, an agent, `nohup` or a CI service, the command is called as by a person."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for name in (*(variable.name for variable in AGENT_VARIABLES), "GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        os.environ.pop(name, None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever uses the engine is marked so, and cannot be forgotten."""
    for item in items:
        if isinstance(item, pytest.Function) and "engine" in item.fixturenames:
            item.add_marker(pytest.mark.engine)
