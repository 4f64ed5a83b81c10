"""Builds dockersched's own sandbox images, unless the engine has them as they would be built now.

Blocking functions: call them from a thread. Each takes an SDK client that no other thread uses meanwhile.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
import requests

from dockersched.errors import ImageBuildError
from dockersched.sandbox.docker.image_base import Base, provide_base
from dockersched.sandbox.docker.image_sources import (
    CONTENT_LABEL,
    REPOSITORY,
    bare_name,
    content_digest,
    folder_of,
    is_current,
)
from dockersched.sandbox.docker.translate import LABEL_RUN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from docker.api import APIClient

BUILD_TIMEOUT_S = 600


def ensure(client: APIClient, name: str, progress: Callable[[str], None]) -> str:
    """The id of the image, built first if it is missing or its content has changed.

    Args:
        client: an SDK client.
        name: `python`, or the reference `dockersched/python`.
        progress: called with lines for a person.

    Raises:
        ImageBuildError: there is no such image, or it cannot be built; the message says what to do.
    """
    name = bare_name(name)
    with _engine_errors(name):
        try:
            found = client.inspect_image(f"{REPOSITORY}/{name}")
        except docker.errors.ImageNotFound:
            return build(client, name, progress=progress)
        if is_current(found, name):
            return str(found["Id"])
        built = build(client, name, progress=progress)
        _remove_replaced(client)
        return built


def build(client: APIClient, name: str, *, progress: Callable[[str], None]) -> str:
    """Build an image whether it is there or not; returns its id.

    Raises:
        ImageBuildError: it cannot be built; the message says what to do.
    """
    name = bare_name(name)
    folder, tag = folder_of(name), f"{REPOSITORY}/{name}:latest"
    with _engine_errors(name), _patience(client):
        base = provide_base(client, name, folder, progress)
        progress(f"building {tag} on {base.image}")
        _build(client, folder, tag, base, {CONTENT_LABEL: content_digest(name)})
        return str(client.inspect_image(tag)["Id"])


def _remove_replaced(client: APIClient) -> None:
    """Removes what builds have replaced and left without a name, once no run goes on that may have pinned it."""
    if client.containers(all=True, filters={"label": LABEL_RUN}):
        return
    for image in client.images(filters={"dangling": True, "label": CONTENT_LABEL}):
        with suppress(docker.errors.APIError):  # somebody else's container uses it
            client.remove_image(image["Id"])


def _build(client: APIClient, folder: Path, tag: str, base: Base, labels: dict[str, str]) -> None:
    output: list[str] = []
    stream = client.build(
        path=str(folder),
        tag=tag,
        buildargs={"BASE_IMAGE": base.image},
        labels=labels,
        network_mode=None if base.needs_network else "none",
        rm=True,
        forcerm=True,
        decode=True,
    )
    for message in stream:
        output += str(message.get("stream", "")).splitlines()
        if "error" in message:
            tail = "\n".join(line for line in output[-10:] if line.strip())
            raise ImageBuildError(f"{tag} could not be built: {message['error']}\n{tail}")


@contextmanager
def _patience(client: APIClient) -> Iterator[None]:
    """Let the engine be silent for long, as it is while it unpacks an image or runs a build step."""
    before, client.timeout = client.timeout, BUILD_TIMEOUT_S
    try:
        yield
    finally:
        client.timeout = before


@contextmanager
def _engine_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (docker.errors.DockerException, requests.RequestException, OSError) as error:
        raise ImageBuildError(f"{REPOSITORY}/{name} could not be built: {error}") from error
