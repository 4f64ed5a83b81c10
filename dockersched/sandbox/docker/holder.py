"""The container that keeps a network namespace for sandboxes to join: one program that waits, and nothing else. Pure.

It is made as a locked sandbox is, and closed further. What runs in it is a program of 0.2 KB that makes one system
call over and over; its image holds no other file, and is put together here, so that no registry or compiler is needed.
"""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from typing import Any

from dockersched import ids
from dockersched.model import QuotaConfig
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.defaults import SandboxDefaults

ARCHITECTURE = "x86_64"
"""What the program is for, as engines name it."""

# Nothing of a sandbox's connections to itself stays for the next one: neither a port that waits for its time to pass,
# nor what the kernel has learned of a peer.
SYSCTLS = {"net.ipv4.tcp_max_tw_buckets": "0", "net.ipv4.tcp_no_metrics_save": "1"}

_PROGRAM_PATH = "wait"
_QUOTA = QuotaConfig(cpus=1.0, memory="16m", pids=8, log="64k")
"""The runtime that starts the program needs more than the program, which takes a page and one process."""

_LOAD_ADDRESS = 0x400000
_HEADERS_BYTES = 64 + 56
_PAUSE_FOR_EVER = bytes.fromhex(
    "b822000000"  # mov eax, 34: the system call pause(2)
    "0f05"  # syscall
    "ebf7"  # jmp to the beginning: a signal ended it
)


def program() -> bytes:
    """An executable that waits until it is killed; as the first process it ignores every other signal.

    Format: elf(5); one segment, which holds the headers too.
    """
    size = _HEADERS_BYTES + len(_PAUSE_FOR_EVER)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    executable, x86_64, version = 2, 62, 1
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identification, executable, x86_64, version, _LOAD_ADDRESS + _HEADERS_BYTES, 64, 0, 0, 64, 56, 1, 0, 0, 0),
    )
    loaded, read_and_execute, page = 1, 5, 0x1000
    segment = struct.pack("<IIQQQQQQ", loaded, read_and_execute, 0, _LOAD_ADDRESS, _LOAD_ADDRESS, size, size, page)
    return header + segment + _PAUSE_FOR_EVER


def image_archive() -> bytes:
    """The image's file system as a tar archive, always the same."""
    content = program()
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo(_PROGRAM_PATH)
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def image_tag() -> str:
    """The image's tag, which changes with its content."""
    return hashlib.sha256(image_archive()).hexdigest()[:12]


def identity(epic_id: str, run_id: str, number: str) -> SandboxRunOptions:
    """A holder as a sandbox of its run: no task has its id and its attempt, so that no name or label is a task's."""
    task_id = f"@namespace-{number}"
    options = SandboxRunOptions(
        ids.sandbox_id(epic_id, task_id),
        f"/{_PROGRAM_PATH}",
        epic_id=epic_id,
        run_id=run_id,
        task_id=task_id,
        attempt=0,
        quota=_QUOTA,
    )
    return SandboxDefaults().fill(options)


def create_body(options: SandboxRunOptions, image_id: str) -> dict[str, Any]:
    """The body of "create container" for a holder: a locked sandbox that has no place to write to either."""
    body = translate.create_body(options, image_id=image_id)
    host = {**body["HostConfig"], "Init": False, "Tmpfs": {}, "ShmSize": 4_096, "Sysctls": SYSCTLS}
    return {**body, "HostConfig": host}
