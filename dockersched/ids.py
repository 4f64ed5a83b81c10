"""Names built from ids: what must be unique is unique by construction, what people read stays readable."""

import hashlib
import re
import secrets
from datetime import UTC, datetime

TASK_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"
"""What an id in an epic file must look like; ids of Python callers may hold anything."""

_SAFE_ID = re.compile(TASK_ID_PATTERN)
_PLAIN = re.compile(r"[A-Za-z0-9-]+")
_SPECIAL = re.compile(r"[^A-Za-z0-9-]")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]+")


def escape(text: str) -> str:
    """Encodes any text into `[A-Za-z0-9_-]`, injectively: two texts never share an encoding.

    Letters, digits and `-` stay; every other character becomes `_` and its UTF-8 bytes in hexadecimal, then `_`.
    """
    if _PLAIN.fullmatch(text):
        return text
    return _SPECIAL.sub(lambda found: f"_{found[0].encode('utf-8', 'surrogatepass').hex()}_", text)


def sandbox_id(epic_id: str, task_id: str) -> str:
    """The identity of a task's sandbox: `<epic>.<task>`, both escaped, so that the dot can only be the separator.

    No two different pairs give the same id, whatever characters they hold (`a.b`+`c` is not `a`+`b.c`).
    """
    return f"{escape(epic_id)}.{escape(task_id)}"


def container_name(epic_id: str, run_id: str, task_id: str, attempt: int) -> str:
    """The engine's name for one attempt: readable, and ending in a hash of all four so that it cannot collide.

    The same four always give the same name; that is how a lost reply to "create" is made good.
    """
    digest = _digest("\0".join((epic_id, run_id, task_id, str(attempt))))
    readable = _NOT_IN_NAMES.sub("-", f"{epic_id[:24]}-{task_id[:40]}").strip("-.")
    return f"dockersched-{readable}-{attempt}-{digest}"


def new_run_id() -> str:
    """A fresh run id that sorts by time: `20260131-235959-1a2b3c4d`, whose last part begins with the microsecond."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%d-%H%M%S}-{now.microsecond:05x}{secrets.randbelow(0x1000):03x}"


def file_stem(task_id: str) -> str:
    """A file name for a task, without its ending: the id itself if an epic file could hold it, else escaped."""
    return task_id if _SAFE_ID.fullmatch(task_id) else f"_{escape(task_id)[:80]}-{_digest(task_id)}"


def log_name(task_id: str, attempt: int) -> str:
    """The log file of an attempt: `<task>.log`, and from the second one on `<task>@2.log`.

    No stem holds an `@`, so that no attempt's file is another task's.
    """
    return f"{file_stem(task_id)}.log" if attempt == 1 else f"{file_stem(task_id)}@{attempt}.log"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
