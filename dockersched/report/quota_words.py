"""The limits of a sandbox, those that were in effect against those that were asked for, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockersched.results import TaskResult
from dockersched.units import format_bytes


def quota_words(task: TaskResult) -> str:
    """As `cpus 1/1, memory 512 MiB/512 MiB`; empty where nothing is known.

    Some limits are told only where the engine gave another one than was asked for.
    """
    if task.sandbox is None:
        return ""
    effective, requested = task.sandbox.quota_effective, task.sandbox.quota_requested
    told = []
    for name, field, words, always in _LIMITS:
        got, asked = getattr(effective, field, None), getattr(requested, field, None)
        differ = effective is not None and got != asked
        if (always and (got, asked) != (None, None)) or differ:
            told.append(f"{name} {_or_none(got, words)}/{_or_none(asked, words)}")
    return ", ".join(told)


def _or_none(value: Any, words: Callable[[Any], str]) -> str:
    return "none" if value is None else words(value)


def _number(value: float) -> str:
    return f"{value:g}"


_LIMITS: tuple[tuple[str, str, Callable[[Any], str], bool], ...] = (
    ("cpus", "cpus", _number, True),
    ("memory", "memory_bytes", format_bytes, True),
    ("pids", "pids", _number, True),
    ("disk", "disk_bytes", format_bytes, True),
    ("nofile", "nofile", _number, False),
    ("fsize", "fsize_bytes", format_bytes, False),
    ("log", "log_bytes", format_bytes, False),
)
