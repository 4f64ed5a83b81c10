"""From a sandbox's options to the engine's create body. Pure.

Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerCreate
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from dockersched import ids
from dockersched.model import WORKSPACE_DIR, Mount, QuotaConfig
from dockersched.model.files import VALUES_DIR, VALUES_FILE, VALUES_VARIABLE
from dockersched.model.opening import SHARED_MEMORY
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import seccomp
from dockersched.sandbox.docker.places import HOME, has_private_places, tmpfs_bytes, tmpfs_options

LABEL_PREFIX = "io.dockersched"
LABEL_RUN = f"{LABEL_PREFIX}.run"
LOG_DRIVER = "local"
LOG_FILES_FULL = 4

EngineMount = Mapping[str, Any]

_JOINED = "container:"
_NO_NAMESPACE_OF_THE_HOST = {"IpcMode": "private", "PidMode": "", "UTSMode": "", "UsernsMode": ""}


def labels(options: SandboxRunOptions) -> dict[str, str]:
    """The identity of an attempt, as labels."""
    return {
        f"{LABEL_PREFIX}.epic": options.epic_id,
        LABEL_RUN: options.run_id,
        f"{LABEL_PREFIX}.task": options.task_id,
        f"{LABEL_PREFIX}.attempt": str(options.attempt),
        f"{LABEL_PREFIX}.sandbox": options.sandbox_id,
    }


def container_name(options: SandboxRunOptions) -> str:
    """The engine's name for an attempt."""
    return ids.container_name(options.epic_id, options.run_id, options.task_id, options.attempt)


def joined(container_id: str) -> str:
    """The network mode of a container that joins the network namespace of another one."""
    return f"{_JOINED}{container_id}"


def is_joined(network_mode: str) -> bool:
    """Whether a network mode is one of `joined`."""
    return network_mode.startswith(_JOINED)


def create_body(
    options: SandboxRunOptions,
    *,
    image_id: str,
    image_volumes: Iterable[str] = (),
    image_is_32_bit: bool = False,
    mounts: Sequence[EngineMount] = (),
    network_mode: str | None = None,
) -> dict[str, Any]:
    """The body of "create container".

    Args:
        options: the sandbox, with the defaults filled in; the sources of its mounts are taken as they are.
        image_id: the image's content id, so that a tag that moves meanwhile changes nothing.
        image_volumes: paths that the image declares as volumes.
        image_is_32_bit: its programs are made for a 32-bit processor.
        mounts: what else is mounted, in the engine's own form.
        network_mode: the namespace of another container to join, in the engine's own form.
    """
    given = {"HOME": HOME} if has_private_places(options) else {}
    if options.values is not None:
        given[VALUES_VARIABLE] = f"{VALUES_DIR}/{VALUES_FILE}"
    body: dict[str, Any] = {
        "Image": image_id,
        # Both are set: an image's own entry point must not come before the command.
        "Entrypoint": [options.command],
        "Cmd": list(options.args),
        "Env": [f"{name}={value}" for name, value in {**given, **options.environment}.items()],
        "User": options.user,
        "Labels": labels(options),
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "OpenStdin": False,
        "Tty": False,
        # An image's own would run beside the task, within its quota, and even before it behind a gate.
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            **_limits(options.quota or QuotaConfig(), options.ulimits),
            **_privileges(options, image_is_32_bit=image_is_32_bit),
            **_files(options, image_volumes, mounts),
            "NetworkMode": network_mode or options.network,
            "Init": True,
            "AutoRemove": False,
            "RestartPolicy": {"Name": "no"},
        },
    }
    if options.working_dir is not None or options.has_workspace:
        body["WorkingDir"] = options.working_dir or WORKSPACE_DIR
    return body


def _limits(quota: QuotaConfig, ulimits: Mapping[str, int]) -> dict[str, Any]:
    return {
        "NanoCpus": quota.nano_cpus,
        "Memory": quota.memory_bytes,
        "MemorySwap": quota.memory_bytes,
        "PidsLimit": quota.pids,
        "Ulimits": [{"Name": name, "Soft": limit, "Hard": limit} for name, limit in sorted(ulimits.items())],
        "LogConfig": {
            "Type": LOG_DRIVER,
            # When a sixth file is due the oldest goes, so that four full ones always stay.
            "Config": {
                "max-size": str((quota.log_bytes or 0) // LOG_FILES_FULL),
                "max-file": str(LOG_FILES_FULL + 1),
                "compress": "false",
            },
        },
    }


def _privileges(options: SandboxRunOptions, *, image_is_32_bit: bool) -> dict[str, Any]:
    """What is closed is said too, so that it is read back like every limit."""
    is_locked = options.profile == "locked"
    runtime = {} if options.runtime is None else {"Runtime": options.runtime}
    return {
        **runtime,
        "Privileged": False,
        "CapDrop": ["ALL"] if is_locked else [],
        "CapAdd": [f"CAP_{name}" for name in options.cap_add],
        # Root needs no set-user-id program, so this stays for trusted tasks too.
        "SecurityOpt": [
            "no-new-privileges",
            seccomp.security_option(programs_of_32_bit=image_is_32_bit or not is_locked),
        ],
        "Devices": [],
        **_NO_NAMESPACE_OF_THE_HOST,
    }


def _files(options: SandboxRunOptions, image_volumes: Iterable[str], mounts: Sequence[EngineMount]) -> dict[str, Any]:
    places = tmpfs_bytes(options, image_volumes)
    shared_memory = places.pop(SHARED_MEMORY, None)
    places.pop(WORKSPACE_DIR, None)  # a volume, since it is filled before the start and read after the end
    disk = options.quota.disk_bytes if options.quota else None
    return {
        "ReadonlyRootfs": options.read_only,
        **({} if options.read_only or disk is None else {"StorageOpt": {"size": str(disk)}}),
        "Tmpfs": {path: tmpfs_options(size) for path, size in places.items()},
        **({} if shared_memory is None else {"ShmSize": shared_memory}),
        "Binds": [],
        "Mounts": [*map(_bind, options.mounts), *mounts],
    }


def _bind(mount: Mount) -> dict[str, Any]:
    return {
        "Type": "bind",
        "Source": mount.source,
        "Target": mount.target,
        "ReadOnly": mount.read_only,
        # What is mounted below the source on the host is not seen; read-only would not hold for it everywhere.
        "BindOptions": {"Propagation": "rprivate", "NonRecursive": True},
    }
