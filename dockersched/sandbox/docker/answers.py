"""What an answer of the engine must have for anything to be made of it.

Format: https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from msgspec import Struct, field


class _Shape(Struct, rename="pascal"):
    """Names as the engine writes them."""


class WithId(_Shape):
    """Of a container that was made, and of an image."""

    id: str


class State(_Shape):
    """Of a container."""

    status: str
    running: bool
    paused: bool
    exit_code: int
    started_at: str


class Labelled(_Shape):
    """A container's configuration."""

    labels: dict[str, str] | None = None


class Container(_Shape):
    """All about one container."""

    id: str
    created: datetime
    state: State
    config: Labelled
    host_config: dict[str, Any]


class Volume(_Shape):
    """That was made or found."""

    name: str
    labels: dict[str, str] | None = None
    options: dict[str, str] | None = None


class Volumes(_Shape):
    """All that were found."""

    volumes: list[Volume] | None = None


class Processes(_Shape):
    """In a container; each is a line of `ps`, word by word."""

    processes: list[list[str]] | None = None


class PathStat(_Shape, rename="camel"):
    """Of a path in a container."""

    mode: int
    link_target: str


class Info(_Shape):
    """Of the engine and its host."""

    system_time: datetime
    mem_total: int
    ncpu: int = field(name="NCPU")


# Let msgspec look at the shapes here, in one thread: two that are the first to do so crash the interpreter.
for _shape in _Shape.__subclasses__():
    with suppress(msgspec.ValidationError):
        msgspec.convert({}, _shape)


def having(shape: Any, answer: Any) -> dict[str, Any]:
    """The answer, which must have what `shape` has, and may have more.

    Raises:
        ValueError: it has not.
    """
    msgspec.convert(answer, shape)
    found: dict[str, Any] = answer
    return found
