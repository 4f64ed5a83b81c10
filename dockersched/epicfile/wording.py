"""The validator's findings in the words of people who write epic files."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from dockersched.epicfile.files_spec import InputSpec, OutputSpec, WorkspaceSpec
from dockersched.epicfile.findings import Finding, Path
from dockersched.epicfile.opening_spec import MountSpec, UlimitsSpec
from dockersched.epicfile.quota_spec import QuotaSpec
from dockersched.epicfile.retry_spec import UNKNOWN_CAUSE, BackoffSpec, ExitCodesSpec, RetrySpec
from dockersched.epicfile.secret_spec import SecretSpec
from dockersched.epicfile.spec import Defaults, EpicFile, TaskSpec
from dockersched.epicfile.values import NO_VALUE, Number, shown
from dockersched.graph.problems import MAX_SUGGESTIONS, suggestion
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

_MODELS: dict[str | int, type[BaseModel]] = {
    "quota": QuotaSpec,
    "ulimits": UlimitsSpec,
    "mounts": MountSpec,
    "retry": RetrySpec,
    "on": ExitCodesSpec,
    "backoff": BackoffSpec,
    "secrets": SecretSpec,
    "workspace": WorkspaceSpec,
    "outputs": OutputSpec,
    "inputs": InputSpec,
}
"""The models of the maps below a task or the defaults, by their keys."""

_NOUNS: dict[type[BaseModel], str] = {
    EpicFile: "epic",
    MountSpec: "mount",
    OutputSpec: "output",
    InputSpec: "input",
}
"""The models with keys that must be there."""


def to_findings(error: ValidationError) -> Iterator[Finding]:
    """Every error of a validation, reworded."""
    unknown = 0
    for details in error.errors(include_url=False):
        path: Path = tuple(details["loc"])
        kind, value = details["type"], details["input"]
        if kind == "extra_forbidden":
            unknown += 1
            yield Finding(_unknown_key(path, suggest=unknown <= MAX_SUGGESTIONS), path, at_key=True)
        elif kind == UNKNOWN_CAUSE:
            unknown += 1
            yield Finding(_unknown_cause(value, suggest=unknown <= MAX_SUGGESTIONS), path)
        elif kind == "missing":
            yield Finding(f"is missing: every {_NOUNS[_model_at(path[:-1])]} needs it", path)
        elif path[-1:] == ("[key]",):
            yield Finding(_reworded(kind, value, details), path[:-1], at_key=True)
        else:
            yield Finding(_reworded(kind, value, details), path, at_key=value is None)


def _unknown_key(path: Path, *, suggest: bool) -> str:
    key = str(path[-1])
    model = _model_at(path[:-1])
    if model is Defaults and key in {field.alias or name for name, field in TaskSpec.model_fields.items()}:
        return "is a key of tasks only: defaults cannot hold it"
    known = [field.alias or name for name, field in model.model_fields.items()]
    if model is ExitCodesSpec and key in RETRY_CAUSES:
        return "is a cause that takes no value: write it alone"
    other = _ELSEWHERE.get(key, "")
    if other.split(".")[0] in known:
        return f"unknown key: it is called {other} here"
    if model in {Defaults, TaskSpec} and key in _NEVER:
        return f"cannot be asked for: {_NEVER[key]}"
    near = suggestion(key, known) if suggest else ""
    return f"unknown key{near or '; known are ' + ', '.join(sorted(known))}"


def _model_at(path: Path) -> type[BaseModel]:
    if not path:
        return EpicFile
    keys = path[1:] if path[0] == "defaults" else path[2:]
    if not keys:
        return Defaults if path[0] == "defaults" else TaskSpec
    # Below `retry` alone there are maps in maps; elsewhere what comes deeper is a name that somebody chose.
    steps = keys if keys[0] == "retry" else keys[:1]
    return next(_MODELS[step] for step in reversed(steps) if step in _MODELS)


def _unknown_cause(value: object, *, suggest: bool) -> str:
    if isinstance(value, Number):
        return f"{shown(value)} is no cause of a retry: write an exit code as exit_code: [{shown(value)}]"
    near = suggestion(value, RETRY_CAUSES) if suggest and isinstance(value, str) else ""
    return f"{shown(value)} is no cause of a retry{near or '; causes are ' + ', '.join(RETRY_CAUSES)}"


def _reworded(kind: str, value: Any, details: Any) -> str:
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if value is None:
        return NO_VALUE
    messages = {
        "list_type": f"is {_kind(value)}, not a list: write it like [one, two]",
        "dict_type": f"is {_kind(value)}, not a map: write it as key: value, one on each line",
        "model_type": f"is {_kind(value)}, not a map: write it as key: value, one on each line",
        "too_short": "holds nothing: an epic needs at least one task",
        "literal_error": f"must be {details.get('ctx', {}).get('expected')}, not {shown(value)}",
    }
    return messages.get(kind, f"{shown(value)} cannot be used here")


def _kind(value: object) -> str:
    return shown(value) if isinstance(value, dict | list) else f"the value {shown(value)}"
