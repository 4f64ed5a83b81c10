"""Which images are named so that the name can only ever stand for one content. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from dockersched.errors import Problem
from dockersched.model import ScheduledTask
from dockersched.sandbox.docker.image_sources import is_ours

_DIGEST = re.compile(r"(?:[^@\s]+@)?sha256:[0-9a-f]{64}")


def find_tags(tasks: Iterable[ScheduledTask]) -> list[Problem]:
    """Every image that is not named by its digest, at `("tasks", id, "image")`.

    Images of dockersched's own are not among them: they are built from what this version of it holds, and built anew
    when that changes.
    """
    return [
        Problem(
            f"task {task.id!r} runs in {task.image!r}, a name that can come to stand for another image: with --locked, "
            f"write it with its digest, like {_name(task.image)}@sha256:… (`docker image inspect` shows it)",
            ("tasks", task.id, "image"),
        )
        for task in tasks
        if task.image is not None and not is_ours(task.image) and not _DIGEST.fullmatch(task.image)
    ]


def _name(image: str) -> str:
    """An image's name without tag and digest."""
    bare = image.partition("@")[0]
    name, colon, tag = bare.rpartition(":")
    return name if colon and "/" not in tag else bare
