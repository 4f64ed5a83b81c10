"""What dockersched's own sandbox images (`dockersched/<name>`) are made of: folders of `sandbox-images/`."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dockersched.errors import ImageBuildError

CONTENT_LABEL = "io.dockersched.content"
REPOSITORY = "dockersched"
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
    folder = folder_of(name)
    digest = hashlib.sha256(f"{_BUILDER_VERSION}\0{base_choice(name)}\0".encode())
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def is_current(inspected: Mapping[str, Any], name: str) -> bool:
    """Whether an image of the engine is what would be built now."""
    return bool((inspected["Config"].get("Labels") or {}).get(CONTENT_LABEL) == content_digest(name))


def base_choice(name: str) -> str:
    """The base that `DOCKERSCHED_BASE_IMAGE_<NAME>` asks for; empty to let dockersched choose."""
    return os.environ.get(f"DOCKERSCHED_BASE_IMAGE_{name.upper().replace('-', '_')}", "")


def folder_of(name: str) -> Path:
    """The folder that an image is built from.

    Raises:
        ImageBuildError: there is no such image.
    """
    if name not in known_images():
        raise ImageBuildError(f"There is no sandbox image {REPOSITORY}/{name}. There are: {', '.join(known_images())}.")
    return _images_folder() / name


def bare_name(image: str) -> str:
    """`python` of `dockersched/python`, and of itself.

    Raises:
        ImageBuildError: the reference has a tag that is never built.
    """
    match = _OURS.fullmatch(image)
    if match is None:
        return image
    name, tag = match.groups()
    if tag not in (None, "latest"):
        raise ImageBuildError(f"{image} cannot be built: {REPOSITORY}/{name} has no tag but latest.")
    return str(name)


def _images_folder() -> Path:
    for folder in _FOLDERS:
        if folder.is_dir():
            return folder
    raise ImageBuildError(f"The sources of the sandbox images are missing ({_FOLDERS[0]}). Install dockersched anew.")
