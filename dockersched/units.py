"""Text to numbers and back: sizes, durations, CPU counts."""

import math
import re
from functools import lru_cache

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
SIZE_PATTERN = rf"({_NUMBER})\s*(?:([kKmMgGtT])[iI]?)?[bB]?"
"""What a size may look like; a regular expression of both Python and JSON Schema."""
DURATION_PATTERN = (
    rf"({_NUMBER})|(?=.)(?:({_NUMBER})[dD]\s*)?(?:({_NUMBER})[hH]\s*)?(?:({_NUMBER})[mM](?![sS])\s*)?"
    rf"(?:({_NUMBER})[sS]\s*)?(?:({_NUMBER})[mM][sS])?"
)
"""What a duration may look like; a regular expression of both Python and JSON Schema."""

_SIZE = re.compile(SIZE_PATTERN)
_SIZE_FACTORS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
_DURATION = re.compile(DURATION_PATTERN)
_DURATION_FACTORS = (1.0, 86_400.0, 3_600.0, 60.0, 1.0, 0.001)


def to_ms(seconds: float) -> float:
    """Milliseconds with one decimal, as all that is measured is told."""
    return round(seconds * 1000, 1)


def parse_bytes(value: str | int) -> int:
    """Bytes of a size such as `512m`, `2g`, `1.5GiB` or a plain number of bytes; units are powers of 1024.

    Raises:
        ValueError: the text is not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    size = _size(str(value))
    if not math.isfinite(size):
        raise ValueError(f"{value!r} is not a size: write it like 512m, 2g or 1048576")
    return int(size)


def parse_duration(value: str | float) -> float:
    """Seconds of a duration such as `90s`, `1h30m`, `500ms` or a plain number of seconds.

    Raises:
        ValueError: the text is not a duration.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    seconds = _duration(str(value))
    if not math.isfinite(seconds):
        raise ValueError(f"{value!r} is not a duration: write it like 90s, 10m or 1h30m")
    return seconds


@lru_cache(maxsize=1_024)  # a large epic asks for few different ones, a hundred thousand times
def _size(text: str) -> float:
    found = _SIZE.fullmatch(text.strip())
    return float(found[1]) * _SIZE_FACTORS[(found[2] or "").lower()] if found else math.inf


@lru_cache(maxsize=1_024)
def _duration(text: str) -> float:
    found = _DURATION.fullmatch(text.strip())
    parts = zip(found.groups(), _DURATION_FACTORS, strict=True) if found else [("inf", 1.0)]
    return sum(float(number) * factor for number, factor in parts if number)


def format_bytes(size: int) -> str:
    """A size for people: `512 MiB`, `1.5 GiB`, `17 B`."""
    value = float(size)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.4g} {unit}"
        value /= 1024
    return f"{value:.4g} TiB"


def format_duration(seconds: float) -> str:
    """A duration for people: `0.42s`, `12.3s`, `3m05s`, `2h07m`."""
    if seconds < 10:
        return f"{seconds:.2f}s"
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m"
