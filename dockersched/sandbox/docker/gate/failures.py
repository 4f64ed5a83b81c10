"""What the gate says and how it exits where a program cannot be executed: as the engine's own init does. Pure.

Source: tini's `spawn_process` in src/tini.c, which tells the error in the words of strerror(3).
"""

from __future__ import annotations

from enum import IntEnum

BEFORE_COMMAND = b"[FATAL tini (7)] exec "
AFTER_COMMAND = b" failed: "


class Error(IntEnum):
    """Linux's numbers, which are not those of the machine that dockersched is on."""

    EPERM = 1
    ENOENT = 2
    EINTR = 4
    EIO = 5
    E2BIG = 7
    ENOEXEC = 8
    EAGAIN = 11
    ENOMEM = 12
    EACCES = 13
    ENODEV = 19
    ENOTDIR = 20
    EISDIR = 21
    EINVAL = 22
    ENFILE = 23
    EMFILE = 24
    ETXTBSY = 26
    ENAMETOOLONG = 36
    ELOOP = 40
    ELIBBAD = 80
    ETIMEDOUT = 110
    ESTALE = 116


NOT_HERE = (Error.ENOENT, Error.ENOTDIR, Error.ENODEV, Error.ESTALE, Error.ETIMEDOUT)
"""After these execvp(3) tries the next folder."""

_EXIT_CODES = {Error.ENOENT: 127, Error.EACCES: 126}
_ANY_OTHER_EXIT = 1
_WORDS = {
    Error.ENOENT: "No such file or directory",
    Error.EACCES: "Permission denied",
    Error.ENOEXEC: "Exec format error",
    Error.E2BIG: "Argument list too long",
    Error.ELOOP: "Too many levels of symbolic links",
    Error.ENOMEM: "Cannot allocate memory",
    Error.ENOTDIR: "Not a directory",
    Error.EPERM: "Operation not permitted",
    Error.EAGAIN: "Resource temporarily unavailable",
    Error.EINVAL: "Invalid argument",
    Error.EIO: "Input/output error",
    Error.EISDIR: "Is a directory",
    Error.EMFILE: "Too many open files",
    Error.ENFILE: "Too many open files in system",
    Error.ENAMETOOLONG: "File name too long",
    Error.ETXTBSY: "Text file busy",
    Error.ELIBBAD: "Accessing a corrupted shared library",
    Error.ENODEV: "No such device",
    Error.ESTALE: "Stale file handle",
    Error.ETIMEDOUT: "Connection timed out",
}


def table() -> bytes:
    """An entry for each error: its number, the exit code, the length of its text (a byte each), the text.

    The last one has the number 0 and is for any other error.
    """
    known = (_entry(number, _EXIT_CODES.get(number, _ANY_OTHER_EXIT), words) for number, words in _WORDS.items())
    return b"".join(known) + _entry(0, _ANY_OTHER_EXIT, "error")


def _entry(number: int, exit_code: int, words: str) -> bytes:
    text = f"{words}\n".encode()
    return bytes([number, exit_code, len(text)]) + text
