"""The limits of a sandbox, those that were in effect against those that were asked for, in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dockersched.model import QuotaConfig
from dockersched.results import TaskResult
from dockersched.units import format_bytes


def quota_words(task: TaskResult) -> str:
    """As `quota, effective/requested: cpus 1/1, memory 512 MiB/512 MiB`; empty where nothing is known.

    Some limits are told only where the engine gave another one than was asked for. Of a sandbox whose limits were never
    read back, only those that were asked for are told: `none` means that there is no limit.
    """
    if task.sandbox is None:
        return ""
    effective, requested = task.sandbox.quota_effective, task.sandbox.quota_requested
    if effective is None:
        asked = _requested(requested)
        return f"quota requested (what was in effect is not known): {asked}" if asked else ""
    told = []
    for name, field, words, always in _LIMITS:
        got, wanted = getattr(effective, field), getattr(requested, field, None)
        if got != wanted or (always and got is not None):
            told.append(f"{name} {_or_none(got, words)}/{_or_none(wanted, words)}")
    return f"quota, effective/requested: {', '.join(told)}" if told else ""


def _requested(quota: QuotaConfig | None) -> str:
    given = ((name, getattr(quota, field, None), words) for name, field, words, _ in _LIMITS)
    return ", ".join(f"{name} {words(limit)}" for name, limit, words in given if limit is not None)


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
