"""What readers of epic files say, in the words of people who write them."""

from __future__ import annotations

from collections.abc import Sequence

from dockersched.epicfile.values import Number, shown
from dockersched.graph.problems import suggestion
from dockersched.model import RETRY_CAUSES

_ELSEWHERE = {
    "continue-on-error": "allow_failure",
    "cpus": "quota.cpus",
    "if": "when",
    "delay": "backoff.initial",
    "env": "environment",
    "environment": "env",
    "factor": "backoff.factor",
    "initial": "backoff.initial",
    "jitter": "backoff.jitter",
    "max": "backoff.max",
    "max_retries": "retry.limit",
    "disk": "quota.disk",
    "fsize": "quota.fsize",
    "mem_limit": "quota.memory",
    "memory": "quota.memory",
    "multiplier": "factor",
    "name": "epic",
    "needs": "depends_on",
    "network_mode": "network",
    "nofile": "quota.nofile",
    "pids": "quota.pids",
    "pids_limit": "quota.pids",
    "retries": "retry.limit",
    "script": "run",
    "strategy": "matrix",
    "volumes": "mounts",
    "when": "on",
    "workdir": "working_dir",
}
"""Names that people bring from Compose, Actions and GitLab."""

_NEVER = {
    "cap_drop": "a sandbox has no capabilities but those that cap_add gives",
    "cgroup_parent": "a sandbox is never put into a cgroup of the host's",
    "device_cgroup_rules": "no sandbox is given devices",
    "devices": "no sandbox is given devices",
    "ipc": "no sandbox is given a namespace of the host",
    "pid": "no sandbox is given a namespace of the host",
    "privileged": "no sandbox is; single capabilities are given by cap_add",
    "security_opt": "dockersched's seccomp profile and no-new-privileges always hold",
    "userns_mode": "no sandbox is given a namespace of the host",
    "uts": "no sandbox is given a namespace of the host",
}
"""What engines can do and no epic can ask for."""


def missing(noun: str) -> str:
    """What to say of a key that cannot be left out, but is."""
    return f"is missing: every {noun} needs it"


def unknown_key(name: str, known: Sequence[str], *, suggest: bool) -> str:
    """What to say of a key that is none of the known ones.

    Args:
        name: the key.
        known: all that could stand there.
        suggest: whether to look for a known one that is near.
    """
    other = _ELSEWHERE.get(name, "")
    if other.split(".")[0] in known:
        return f"unknown key: it is called {other} here"
    near = suggestion(name, known) if suggest else ""
    return f"unknown key{near or '; known are ' + ', '.join(sorted(known))}"


def never(name: str) -> str:
    """What to say of a task's key that engines know and no epic can have; nothing of others."""
    return f"cannot be asked for: {_NEVER[name]}" if name in _NEVER else ""


def unknown_cause(value: object, *, suggest: bool) -> str:
    """What to say of what is no cause of a retry."""
    if isinstance(value, Number):
        return f"{shown(value)} is no cause of a retry: write an exit code as exit_code: [{shown(value)}]"
    near = suggestion(value, RETRY_CAUSES) if suggest and isinstance(value, str) else ""
    return f"{shown(value)} is no cause of a retry{near or '; causes are ' + ', '.join(RETRY_CAUSES)}"


def no_list(value: object) -> str:
    """What to say where a list belongs."""
    return f"is {_kind(value)}, not a list: write it like [one, two]"


def no_map(value: object) -> str:
    """What to say where a map belongs."""
    return f"is {_kind(value)}, not a map: write it as key: value, one on each line"


def no_choice(value: object, choices: Sequence[str]) -> str:
    """What to say of what is none of some texts."""
    *others, last = map(repr, choices)
    return f"must be {', '.join(others)} or {last}, not {shown(value)}"


def _kind(value: object) -> str:
    return shown(value) if isinstance(value, dict | list) else f"the value {shown(value)}"
