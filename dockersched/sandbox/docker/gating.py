"""A sandbox behind a gate: its container runs, but its first process waits until it is released. Pure.

Only then it executes the task's command, in its own place. The gate is a program of our own (`gate`), in a volume that
sandboxes mount read-only. It waits for one byte on its standard input. Who is to release it holds the other end from
before the start: should that process die, the input ends, and so does the gate, without a trace of the task. A
container is started once, so a release can never run it twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.gate.program import ARCHITECTURES, GATE_DIR, PROGRAM
from dockersched.sandbox.docker.gate.source import NEVER_RELEASED, NEVER_RELEASED_EXIT
from dockersched.sandbox.redaction import SecretPatterns

RELEASE = b"\n"
"""What releases a gate: any byte."""

_PATH_MAX = 4_096
"""Of the kernel; C libraries pass over a longer entry of PATH."""

_ENGINES_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def can_be_gated(options: SandboxRunOptions, features: EngineFeatures) -> bool:
    """Whether there is a gate for a sandbox.

    Args:
        options: the sandbox, with the defaults filled in.
        features: of the engine.
    """
    return features.architecture in ARCHITECTURES and features.runs_by_runc(options.runtime)


def gated(body: Mapping[str, Any], *, volume: str, search_path: str | None) -> dict[str, Any]:
    """The body of "create container" with a gate before the command.

    The paths at which the command may be come before it, as execvp(3) would try them, so that the gate need not search.

    Args:
        body: of the sandbox without a gate.
        volume: the one with the program.
        search_path: the image's PATH; None is the engine's own.
    """
    (command,) = body["Entrypoint"]
    given = [variable.partition("=")[2] for variable in body["Env"] if variable.startswith("PATH=")]
    paths = _candidates(command, given[-1] if given else _ENGINES_PATH if search_path is None else search_path)
    host = {**body["HostConfig"], "Mounts": [*body["HostConfig"]["Mounts"], mount(volume, read_only=True)]}
    return {
        **body,
        "Entrypoint": [PROGRAM, *paths, "", command],
        "OpenStdin": True,
        "StdinOnce": True,
        "HostConfig": host,
    }


def mount(volume: str, *, read_only: bool) -> dict[str, Any]:
    """The volume as an entry of a create body's `Mounts`.

    The engine puts what the image has at that place into a volume that is empty, if it may be written to.
    """
    where = {"Type": "volume", "Source": volume, "Target": GATE_DIR, "ReadOnly": read_only}
    return {**where, "VolumeOptions": {"NoCopy": read_only}}


def is_gated(inspected: Mapping[str, Any]) -> bool:
    """Whether a container, as the engine tells of it, was made with a gate before its command."""
    program, *command = inspected["Config"].get("Entrypoint") or [""]
    return bool(program == PROGRAM and command)


def has_gate(body: Mapping[str, Any]) -> bool:
    """Whether a create body asks for a gate."""
    return any(each["Target"] == GATE_DIR for each in body["HostConfig"]["Mounts"])


def is_gate(command_line: str) -> bool:
    """Whether a process in a container is a gate that waits; the init has it among its arguments ever after."""
    return command_line.startswith(f"{PROGRAM} ")


def as_made(body: Mapping[str, Any], inspected: Mapping[str, Any]) -> Mapping[str, Any]:
    """The create body as it was with the gate, where an earlier process made the container with one."""
    wanted = body["HostConfig"]["Mounts"]
    if not is_gated(inspected) or has_gate(body):
        return body
    found = inspected["HostConfig"].get("Mounts") or ()
    gates = [mount(each["Source"], read_only=True) for each in found if each["Target"] == GATE_DIR]
    return {**body, "HostConfig": {**body["HostConfig"], "Mounts": [*wanted, *gates]}}


def was_never_released(inspected: Mapping[str, Any], log_head: bytes, patterns: SecretPatterns) -> bool:
    """Whether a container that has ended never executed its command, as its gate says.

    Args:
        inspected: what the engine tells of it.
        log_head: the first bytes of its output, from which secrets were taken out.
        patterns: by which they were.

    A task that says the same, word for word, is taken at its word, and started once more, without a gate.
    """
    words = patterns.redact(NEVER_RELEASED.decode())
    exit_code = int(inspected["State"]["ExitCode"])
    return is_gated(inspected) and exit_code == NEVER_RELEASED_EXIT and log_head == words.encode()


def _candidates(command: str, search_path: str) -> Iterable[str]:
    if "/" in command:
        return [command]
    folders = [folder for folder in search_path.split(":") if len(os.fsencode(folder)) < _PATH_MAX]
    return [f"{folder}/{command}" if folder else command for folder in folders]
