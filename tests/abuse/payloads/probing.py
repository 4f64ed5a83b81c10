"""What payloads share: they try things and print, a line each, `what was tried: how it went`."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from collections.abc import Callable

_LIBC = ctypes.CDLL(None, use_errno=True)
_COLUMN = {"x86_64": 0, "aarch64": 1}[platform.machine()]
_NUMBERS = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsopen": (430, 430),
    "io_uring_setup": (425, 425),
    "kcmp": (312, 272),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "mount": (165, 40),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "pidfd_open": (434, 434),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "sched_setscheduler": (144, 119),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}


def tell(what: str, attempt: Callable[[], object]) -> None:
    """Tries something; prints the name of the error, or `done` or what the attempt gave."""
    try:
        answer = attempt()
    except OSError as error:
        answer = errno.errorcode[error.errno] if error.errno else str(error)
    print(f"{what}: {'done' if answer is None else answer}", flush=True)


def call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None) -> int:
    """Makes a system call; numbers go as longs, bytes as pointers.

    Raises:
        OSError: the kernel, or seccomp in its place, refused.
    """
    ctypes.set_errno(0)
    given = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    result: int = _LIBC.syscall(ctypes.c_long(_NUMBERS[name][_COLUMN]), *given)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def tell_call(name: str, *arguments: int | bytes | ctypes.Array[ctypes.c_char] | None, what: str = "") -> None:
    """Tries a system call and tells how it went."""

    def attempt() -> None:
        call(name, *arguments)

    tell(what or name, attempt)


def opened(path: str, flags: int) -> Callable[[], None]:
    """An attempt to open a file."""

    def attempt() -> None:
        os.close(os.open(path, flags))

    return attempt


def write(path: str, text: str) -> Callable[[], None]:
    """An attempt to write into a file that is there."""

    def attempt() -> None:
        descriptor = os.open(path, os.O_WRONLY)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    return attempt


def read(path: str) -> Callable[[], str]:
    """An attempt to read the first bytes of a file; tells whether there were any."""

    def attempt() -> str:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return "read" if os.read(descriptor, 64) else "empty"
        finally:
            os.close(descriptor)

    return attempt
