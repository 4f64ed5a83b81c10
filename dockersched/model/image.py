"""What an image can be called, by the grammar of https://github.com/distribution/reference."""

from __future__ import annotations

import re
from functools import lru_cache

from dockersched.model.checks import text

_STEP = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = rf"(?:localhost|{_LABEL}(?:\.{_LABEL})+|{_LABEL}(?=:)|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_TAG = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"

IMAGE_PATTERN = rf"(?:{_HOST}/)?{_STEP}(?:/{_STEP})*(?::{_TAG})?(?:@{_DIGEST})?"
"""What comes before the first slash is a registry if it has a dot or a port, or is localhost. Ids of images, whole or
short, are names or names with a tag by these rules."""

MAX_IMAGE_LENGTH = 600
"""More than the longest name, tag and digest that engines take."""

_IMAGE = re.compile(IMAGE_PATTERN)


def check_image(value: object) -> None:
    """Refuses what can be the name of no image."""
    text("image", value)
    name = str(value)
    if not _is_name(name):
        raise ValueError(
            f"image {name[:60]!r} cannot be the name of one: write it like alpine:3.20 or "
            "registry.example:5000/team/app, the name in lower case"
        )


@lru_cache(maxsize=256)  # many tasks run in few images
def _is_name(name: str) -> bool:
    return len(name) <= MAX_IMAGE_LENGTH and _IMAGE.fullmatch(name) is not None
