"""dockersched's own sandbox images (`dockersched/<name>`): built from `sandbox-images/`, cached by content.

Blocking functions: call them from a thread. Each takes an SDK client that no other thread uses meanwhile.
"""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker.errors
import requests

from dockersched.errors import ImageBuildError
from dockersched.sandbox.docker.image_base import Base, base_choice, provide_base

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from docker.api import APIClient

CONTENT_LABEL = "io.dockersched.content"
REPOSITORY = "dockersched"
BUILD_TIMEOUT_S = 600

# Raise it when the way of building changes, so that all images are built anew.
_BUILDER_VERSION = 1
_OURS = re.compile(rf"{REPOSITORY}/([a-z0-9._-]+)(?::([\w.-]+))?")
_FOLDERS = (
    Path(__file__).parents[2] / "_sandbox_images",  # an installed package
    Path(__file__).parents[3] / "sandbox-images",  # a checkout
)


def known_images() -> tuple[str, ...]:
    """Names of the images that can be built, as `base` of `dockersched/base`."""
    return tuple(sorted(path.parent.name for path in _images_folder().glob("*/Dockerfile")))


def is_ours(image: str) -> bool:
    """Whether an image reference is `dockersched/<name>[:tag]`: such an image is built, never pulled."""
    return _OURS.fullmatch(image) is not None


def content_digest(name: str) -> str:
    """SHA-256 of everything that decides what the image holds: its folder, the chosen base, the builder."""
    folder = _folder(name)
    digest = hashlib.sha256(f"{_BUILDER_VERSION}\0{base_choice(name)}\0".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def is_current(inspected: Mapping[str, Any], name: str) -> bool:
    """Whether an image of the engine is what would be built now."""
    return bool((inspected["Config"].get("Labels") or {}).get(CONTENT_LABEL) == content_digest(name))


def ensure(client: APIClient, name: str, progress: Callable[[str], None]) -> str:
    """The id of the image, built first if it is missing or its content has changed.

    Args:
        client: an SDK client.
        name: `python`, or the reference `dockersched/python`.
        progress: called with lines for a person.

    Raises:
        ImageBuildError: there is no such image, or it cannot be built; the message says what to do.
    """
    name = _bare_name(name)
    with _engine_errors(name):
        try:
            found = client.inspect_image(f"{REPOSITORY}/{name}")
        except docker.errors.ImageNotFound:
            return build(client, name, progress=progress)
        if is_current(found, name):
            return str(found["Id"])
        built = build(client, name, progress=progress)
        # What it replaced would stay for ever without a name; a running container may still use it.
        with suppress(docker.errors.APIError):
            client.remove_image(found["Id"])
        return built


def build(client: APIClient, name: str, *, progress: Callable[[str], None]) -> str:
    """Build an image whether it is there or not; returns its id.

    Raises:
        ImageBuildError: it cannot be built; the message says what to do.
    """
    name = _bare_name(name)
    folder, tag = _folder(name), f"{REPOSITORY}/{name}:latest"
    with _engine_errors(name), _patience(client):
        base = provide_base(client, name, folder, progress)
        progress(f"building {tag} on {base.image}")
        _build(client, folder, tag, base, {CONTENT_LABEL: content_digest(name)})
        return str(client.inspect_image(tag)["Id"])


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


def _images_folder() -> Path:
    for folder in _FOLDERS:
        if folder.is_dir():
            return folder
    raise ImageBuildError(f"The sources of the sandbox images are missing ({_FOLDERS[0]}). Install dockersched anew.")


def _folder(name: str) -> Path:
    if name not in known_images():
        raise ImageBuildError(f"There is no sandbox image {REPOSITORY}/{name}. There are: {', '.join(known_images())}.")
    return _images_folder() / name


def _bare_name(image: str) -> str:
    match = _OURS.fullmatch(image)
    if match is None:
        return image
    name, tag = match.groups()
    if tag not in (None, "latest"):
        raise ImageBuildError(f"{image} cannot be built: {REPOSITORY}/{name} has no tag but latest.")
    return str(name)


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
