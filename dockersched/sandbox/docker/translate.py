"""From a sandbox's options to the engine's create body, and from the engine's words back to a quota. Pure.

Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dockersched.model import QuotaConfig
from dockersched.sandbox.base import SandboxRunOptions

LABEL_PREFIX = "io.dockersched"
LABEL_RUN = f"{LABEL_PREFIX}.run"
HOME = "/home/sandbox"

_MAX_INODES = 65_536


def labels(options: SandboxRunOptions) -> dict[str, str]:
    """The identity of an attempt, as labels."""
    return {
        f"{LABEL_PREFIX}.epic": options.epic_id,
        LABEL_RUN: options.run_id,
        f"{LABEL_PREFIX}.task": options.task_id,
        f"{LABEL_PREFIX}.attempt": str(options.attempt),
        f"{LABEL_PREFIX}.sandbox": options.sandbox_id,
    }


def create_body(
    options: SandboxRunOptions, *, image_id: str, log_bytes: int, mounts: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The body of "create container" for options in which the defaults are filled in.

    Args:
        options: the sandbox.
        image_id: the image's content id, so that a tag that moves meanwhile changes nothing.
        log_bytes: how much of the sandbox's output the engine keeps, at the least.
        mounts: the sandbox's volumes.
    """
    environment = {"HOME": HOME, **options.environment}
    body: dict[str, Any] = {
        "Image": image_id,
        # Both are set: an image's own entry point must not come before the command.
        "Entrypoint": [options.command],
        "Cmd": list(options.args),
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "User": options.user,
        "Labels": labels(options),
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        "HostConfig": _host_config(options, log_bytes),
    }
    if options.working_dir is not None:
        body["WorkingDir"] = options.working_dir
    if mounts:
        body["HostConfig"]["Mounts"] = list(mounts)
    return body


def _host_config(options: SandboxRunOptions, log_bytes: int) -> dict[str, Any]:
    quota = options.quota or QuotaConfig()
    memory = quota.memory_bytes or 0
    # A tmpfs is charged to the sandbox's memory; half of it leaves room for the process that fills it.
    tmpfs = f"rw,exec,nosuid,nodev,mode=1777,size={memory // 2},nr_inodes={_MAX_INODES}"
    return {
        "NanoCpus": quota.nano_cpus,
        "Memory": memory,
        "MemorySwap": memory,
        "PidsLimit": quota.pids,
        "Init": True,
        "NetworkMode": options.network,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": tmpfs, HOME: tmpfs},  # noqa: S108 - a path in the sandbox
        "LogConfig": {
            "Type": "local",
            # When a sixth file is due the oldest goes, so that four full ones always stay.
            "Config": {"max-size": str(log_bytes // 4), "max-file": "5", "compress": "false"},
        },
        "AutoRemove": False,
        "RestartPolicy": {"Name": "no"},
    }


def effective_quota(inspected: Mapping[str, Any]) -> QuotaConfig:
    """The limits that the engine says a container has; a limit that it does not enforce is None."""
    host = inspected["HostConfig"]
    memory = host.get("Memory") or None
    swap_is_bounded = host.get("MemorySwap") == memory
    pids = host.get("PidsLimit") or 0
    return QuotaConfig(
        cpus=(host.get("NanoCpus") or 0) / 1e9 or None,
        memory=memory if swap_is_bounded else None,
        pids=pids if pids > 0 else None,
    )


def quota_difference(requested: QuotaConfig, effective: QuotaConfig) -> str:
    """What the engine did not apply, in one line; empty when all limits are as requested."""
    return "; ".join(
        f"{name}: {wanted} requested, {got if got is not None else 'no limit'} in effect"
        for name, wanted, got in (
            ("nano_cpus", requested.nano_cpus, effective.nano_cpus),
            ("memory", requested.memory_bytes, effective.memory_bytes),
            ("pids", requested.pids, effective.pids),
        )
        if wanted != got
    )
