"""What a sandbox image is built on: a registry's official image, or a root file system made here."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import docker.errors
import requests
from msgspec import Struct

from dockersched.errors import ImageBuildError
from dockersched.sandbox.docker.image_sources import base_choice

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker.api import APIClient

ROOTFS_REPOSITORY = "dockersched-rootfs"
# A registry that is not reachable must not cost more than this before the local way is taken.
REGISTRY_TIMEOUT_S = 15

_OFFICIAL = re.compile(r"^ARG BASE_IMAGE=(\S+)$", re.MULTILINE)


class Base(Struct, frozen=True):
    """A base image that is on the engine; `needs_network` tells whether packages must be added to it."""

    image: str
    needs_network: bool


def provide_base(client: APIClient, name: str, folder: Path, progress: Callable[[str], None]) -> Base:
    """See to it that the engine has the base image.

    The explicit choice, else the Dockerfile's official base if the engine has it or its registry answers,
    else a root file system made by the image's `rootfs.sh` and imported, which works on a remote engine too.

    Raises:
        ImageBuildError: no base can be had; the message says what to do.
    """
    if chosen := base_choice(name):
        if not _has(client, chosen):
            _pull(client, chosen, progress)
        return Base(chosen, needs_network=True)
    rootfs = _rootfs_tag(name, folder)
    if _has(client, rootfs):
        return Base(rootfs, needs_network=False)
    match = _OFFICIAL.search((folder / "Dockerfile").read_text("utf-8"))
    official = match[1] if match else ""
    if official and (_has(client, official) or _can_pull(client, official, progress)):
        return Base(official, needs_network=True)
    _import_rootfs(client, folder, rootfs, progress)
    return Base(rootfs, needs_network=False)


def _has(client: APIClient, image: str) -> bool:
    try:
        client.inspect_image(image)
    except docker.errors.ImageNotFound:
        return False
    return True


def _can_pull(client: APIClient, image: str, progress: Callable[[str], None]) -> bool:
    before, client.timeout = client.timeout, REGISTRY_TIMEOUT_S
    try:
        _pull(client, image, progress)
    except (ImageBuildError, requests.RequestException):
        progress(f"no registry has {image} for this engine: making the root file system here")
        return False
    finally:
        client.timeout = before
    return True


def _pull(client: APIClient, image: str, progress: Callable[[str], None]) -> None:
    progress(f"pulling {image}")
    # Without a tag or digest the engine would pull every tag.
    reference = image if re.search(r"[:@][^/]+$", image) else f"{image}:latest"
    try:
        for message in client.pull(reference, stream=True, decode=True):
            if "error" in message:
                raise ImageBuildError(f"{image} cannot be pulled: {message['error']}")
    except docker.errors.APIError as error:
        raise ImageBuildError(f"{image} cannot be pulled: {error.explanation or error}") from error


def _rootfs_tag(name: str, folder: Path) -> str:
    recipe = hashlib.sha256((folder / "rootfs.sh").read_bytes()).hexdigest()
    return f"{ROOTFS_REPOSITORY}/{name}:{recipe[:12]}"


def _import_rootfs(client: APIClient, folder: Path, tag: str, progress: Callable[[str], None]) -> None:
    with tempfile.TemporaryDirectory(prefix="dockersched-") as scratch:
        archive = Path(scratch) / "rootfs.tar"
        progress(f"making the root file system {tag} (once; up to a minute)")
        _run_recipe(folder / "rootfs.sh", archive, progress)
        progress(f"importing {tag}")
        repository, _, version = tag.partition(":")
        client.import_image_from_file(str(archive), repository=repository, tag=version)
    if not _has(client, tag):
        raise ImageBuildError(f"The engine did not take the root file system {tag}. Is its disk full?")


def _run_recipe(recipe: Path, archive: Path, progress: Callable[[str], None]) -> None:
    tail: list[str] = []
    with subprocess.Popen(
        ["sh", str(recipe), str(archive)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stderr or ():
            progress(line.rstrip())
            tail = [*tail[-9:], line.rstrip()]
    if process.returncode != 0:
        raise ImageBuildError(f"{recipe} failed:\n" + "\n".join(tail))
