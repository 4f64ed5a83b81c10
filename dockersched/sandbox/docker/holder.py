"""The container that keeps a network namespace for sandboxes to join: one program that waits, and nothing else. Pure.

It is made as a locked sandbox is, and closed further. What runs in it is the gate (`gate.source`) without a command,
which makes one system call over and over; its image holds no other file, and is put together here, so that no registry
or compiler is needed.
"""

from __future__ import annotations

import hashlib
from typing import Any

from dockersched import ids
from dockersched.model import QuotaConfig
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.gate.program import PROGRAM, archive

# Nothing of a sandbox's connections to itself stays for the next one: neither a port that waits for its time to pass,
# nor what the kernel has learned of a peer, which for Fast Open it keeps in spite of the second.
SYSCTLS = {"net.ipv4.tcp_max_tw_buckets": "0", "net.ipv4.tcp_no_metrics_save": "1", "net.ipv4.tcp_fastopen": "0"}

_QUOTA = QuotaConfig(cpus=1.0, memory="16m", pids=8, log="64k")
"""The runtime that starts the program needs more than the program, which takes a page and one process."""


def image_tag(architecture: str) -> str:
    """The image's tag, which changes with its content."""
    return hashlib.sha256(archive(architecture)).hexdigest()[:12]


def identity(epic_id: str, run_id: str, name: str) -> SandboxRunOptions:
    """A holder as a sandbox of its run: no task has its id and its attempt, so that no name or label is a task's."""
    task_id = f"@{name}"
    options = SandboxRunOptions(
        ids.sandbox_id(epic_id, task_id),
        PROGRAM,
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
    return {**body, "HostConfig": host, "StopSignal": "SIGKILL"}  # as process 1 the program hears no other
