"""Values of an epic file: what a scalar means, and what a field makes of it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from dockersched import units
from dockersched.epicfile.placeholders import check_literal
from dockersched.ids import TASK_ID_PATTERN
from dockersched.model import MIN_CPUS
from dockersched.model.arguments import MAX_TEXT_BYTES, byte_size, too_long
from dockersched.model.checks import MAX_ID, check_user
from dockersched.model.image import check_image
from dockersched.model.opening import SHARED_MEMORY, check_target
from dockersched.model.retry import check_exit_code

MAX_COUNT = 2**31 - 1
MAX_SIZE_BYTES = 2**60
"""Far above any engine, safely within its 64 bits and the precision of JSON."""

MAX_CPUS = 1_000_000
"""Far above any engine, far below what overflows its billionths of a CPU."""

MAX_SECONDS = 366 * 86_400.0
"""Timers of the system overflow somewhere above; nobody waits a year for a task."""

MAX_RETRIES = 100
MAX_EXIT_CODE = 255
MIN_OVERCOMMIT = 0.01
MAX_FACTOR = 100
"""Far above any use; to the power of the retries that are allowed it is still a float."""

NO_VALUE = "has no value: give it one, or remove the key"

NUMBER_PATTERN = (
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
"""Numbers of the core schema of YAML 1.2."""

_NUMBER = re.compile(NUMBER_PATTERN)
_NUMBER_STARTS = frozenset("+-.0123456789")
_BOOLEANS = frozenset({"true", "True", "TRUE", "false", "False", "FALSE"})
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_TASK_ID = re.compile(TASK_ID_PATTERN)
_ID_RULE = "use up to 63 letters, digits, '_', '.' and '-', and begin with a letter or digit"


class Number(str):
    """A number of the file, as it is written there: `1.10` stays `1.10` where a text is wanted."""

    __slots__ = ()


class Boolean(str):
    """A boolean of the file, as it is written there."""

    __slots__ = ()


def resolve(plain: str) -> str | None:
    """What an unquoted scalar is under the core schema of YAML 1.2: null, a `Boolean`, a `Number` or a text."""
    if plain in _NULLS:
        return None
    if plain[0] in _NUMBER_STARTS:
        return Number(plain) if _NUMBER.fullmatch(plain) else plain
    return Boolean(plain) if plain in _BOOLEANS else plain


_SHOWN = 64
"""Characters of a value in a message: all of an id."""


def shown(value: object) -> str:
    """A value for a message: short, on one line, without control characters."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    written = str(value)
    written = written if len(written) <= _SHOWN else written[:_SHOWN] + "…"
    return written if isinstance(value, Number | Boolean) else repr(written)


def given(value: object) -> object:
    """Any value but null."""
    if value is None:
        raise ValueError(NO_VALUE)
    return value


def word(value: object) -> str:
    """Any scalar, as it is written in the file."""
    if isinstance(given(value), dict | list):
        raise ValueError(f"is {shown(value)}, not a text")
    written = str(value).lower() if isinstance(value, bool) else str(value)
    if _UNUSABLE.search(written):
        raise ValueError("holds a NUL or half of a surrogate pair, which no program can be given")
    if len(written) > MAX_TEXT_BYTES // 4 and (size := byte_size(written)) > MAX_TEXT_BYTES:
        raise ValueError(too_long(size))
    return written


def script(value: object) -> str:
    """A text that is not empty."""
    written = word(value)
    if type(value) is not str:
        raise ValueError(f"{shown(value)} is not a text: write it in quotes")
    if not written:
        raise ValueError("is empty: give it a value, or remove the key")
    return written


def text(value: object) -> str:
    """A text that is not empty, and no template either."""
    written = script(value)
    if "${{" in written:
        check_literal(written)
    return written


def name(value: object) -> str:
    """A text without white space: an image, say."""
    written = text(value)
    if any(character.isspace() for character in written):
        raise ValueError(f"{shown(value)} holds white space: remove it")
    return written


def image(value: object) -> str:
    """The name of an image."""
    given = name(value)
    check_image(given)
    return given


def program(value: object) -> str:
    """A command: one program, not a line of shell."""
    if isinstance(value, list):
        raise ValueError("is a list: write the program as command, and what follows it as args")
    return text(value)


def user(value: object) -> str:
    """A user's name or number."""
    if isinstance(value, Number):
        return str(whole(0, MAX_ID)(value))
    given = name(value)
    check_user(given)
    return given


def absolute_path(value: object) -> str:
    """A path from the root of the sandbox's file system."""
    path = text(value)
    if not path.startswith("/"):
        raise ValueError(f"{shown(value)} is not an absolute path: begin it with /")
    return path


def target(value: object) -> str:
    """Where something can be put in the sandbox's file system."""
    path = text(value)
    check_target("the path", path)
    return path


def tmpfs_target(value: object) -> str:
    """Where there can be a place in memory."""
    return SHARED_MEMORY if value == SHARED_MEMORY else target(value)


def variable(value: object) -> str:
    """The name of an environment variable."""
    written = word(value)
    if not written or "=" in written:
        raise ValueError(f"{shown(value)} cannot be the name of a variable: it must not be empty or hold '='")
    return written


def task_id(value: object) -> str:
    """The id of a task; `1` is one as well as `'1'`."""
    written = str(value) if isinstance(value, Number) else text(value)
    if not _TASK_ID.fullmatch(written):
        raise ValueError(f"{shown(value)} is not an id: {_ID_RULE}")
    return written


def epic_id(value: object) -> str:
    """The name of an epic: a task's id, but always a text."""
    return task_id(text(value))


def boolean(value: object) -> bool:
    """True or false."""
    if not isinstance(given(value), bool | Boolean):
        raise ValueError(f"{shown(value)} is not a boolean: write true or false")
    return str(value).lower() == "true"


def whole(minimum: int, maximum: int = MAX_COUNT) -> Callable[[object], int]:
    """A reader of whole numbers within bounds."""

    def read(value: object) -> int:
        number = number_of(value) if isinstance(given(value), Number) else math.nan
        if not number.is_integer():
            raise ValueError(f"{shown(value)} is not a whole number: write it in digits, without quotes")
        _check_range(value, number, (minimum, str(minimum)), (maximum, str(maximum)))
        return int(number)

    return read


def exit_code(value: object) -> int:
    """A code that a process can fail with, and that is told as such."""
    code = whole(1, MAX_EXIT_CODE)(value)
    check_exit_code(code)
    return code


def factor(minimum: float) -> Callable[[object], float]:
    """A reader of factors from a minimum on, fractions allowed."""

    def read(value: object) -> float:
        if not isinstance(given(value), Number):
            raise ValueError(f"{shown(value)} is not a number: write it like 2 or 1.5, without quotes")
        number = number_of(value)
        _check_range(value, number, (minimum, f"{minimum:g}"), (MAX_FACTOR, str(MAX_FACTOR)))
        return number

    return read


def cpus(value: object) -> float:
    """A number of CPUs, fractions allowed."""
    if type(given(value)) not in {str, Number} or not _NUMBER.fullmatch(str(value)):
        raise ValueError(f"{shown(value)} is not a number of CPUs: write it like 2 or 0.5")
    number = number_of(str(value))
    _check_range(value, number, (MIN_CPUS, f"{MIN_CPUS}"), (MAX_CPUS, f"{MAX_CPUS:,}"))
    return number


def size(minimum: int, words: str) -> Callable[[object], int]:
    """A reader of numbers of bytes, from a minimum that messages call `words`."""

    def read(value: object) -> int:
        number = _quantity(value, units.parse_bytes, "size: write it like 512m, 2g or 1048576")
        if not number.is_integer():
            raise ValueError(f"{shown(value)} is not a whole number of bytes: write it like 512m, 2g or 1048576")
        _check_range(value, number, (minimum, words), (MAX_SIZE_BYTES, "1048576t"))
        return int(number)

    return read


def duration(value: object) -> float:
    """A number of seconds above zero."""
    seconds = _quantity(value, units.parse_duration, "duration: write it like 90s, 10m or 1h30m")
    if seconds <= 0:
        raise ValueError(f"{shown(value)} is not above zero: write it like 90s, 10m or 1h30m")
    _check_range(value, seconds, (0, "0"), (MAX_SECONDS, "366d"))
    return seconds


def _quantity(value: object, parse: Callable[[str], float], what: str) -> float:
    if type(given(value)) not in {str, Number}:
        raise ValueError(f"{shown(value)} is not a {what}")
    written = str(value)
    try:
        number = number_of(written) if isinstance(value, Number) else float(parse(written))
    except (ValueError, OverflowError):
        raise ValueError(f"{shown(value)} is not a {what}") from None
    if not math.isfinite(number):
        raise ValueError(f"{shown(value)} is not a {what}")
    return number


def number_of(written: object) -> float:
    """What a `Number`, or the text of one, is."""
    digits = str(written).lower()
    if digits.startswith(("0x", "0o")):
        return float(int(digits, 0)) if len(digits) < 64 else math.inf
    return float(digits.replace(".inf", "inf").replace(".nan", "nan"))


def _check_range(value: object, number: float, minimum: tuple[float, str], maximum: tuple[float, str]) -> None:
    if not number >= minimum[0]:
        raise ValueError(f"must be at least {minimum[1]}, not {shown(value)}")
    if number > maximum[0]:
        raise ValueError(f"must be at most {maximum[1]}, not {shown(value)}")
