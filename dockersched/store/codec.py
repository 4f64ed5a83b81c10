"""Values of the model as JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from dockersched.epic import Epic
from dockersched.graph.dag import TaskDAG
from dockersched.model import (
    EpicExecutionOptions,
    Input,
    Mount,
    Output,
    QuotaConfig,
    RetryPolicy,
    ScheduledTask,
    SecretSource,
    TaskIs,
    ValueIs,
    Workspace,
)
from dockersched.results import LogSummary, OutputSummary, Phases, SandboxResult, Usage
from dockersched.states import Reason
from dockersched.store.decoding import decoding


def dump_epic(epic: Epic) -> str:
    """An epic as JSON."""
    tasks = [_without_silence(_fields(task)) for task in epic.dag]
    return _encode({"tasks": tasks, "options": epic.options, "source": epic.source})


def load_epic(text: str) -> Epic:
    """The epic of a JSON text."""
    with decoding():
        return epic_of(json.loads(text))


def epic_of(fields: Mapping[str, Any]) -> Epic:
    """The epic of what JSON has of it."""
    with decoding():
        return Epic(TaskDAG(map(_task, fields["tasks"])), EpicExecutionOptions(**fields["options"]), fields["source"])


def load_task(fields: dict[str, Any]) -> ScheduledTask:
    """One task of an epic's JSON."""
    with decoding():
        return _task(fields)


def dump_result(result: SandboxResult) -> str:
    """A sandbox's result as JSON, without the fields that say no more than their defaults."""
    return _encode(result)


def load_result(text: str) -> SandboxResult:
    """The sandbox's result of a JSON text."""
    with decoding():
        fields = json.loads(text)
        for name in ("started_at", "finished_at"):
            fields[name] = datetime.fromisoformat(fields[name]) if fields.get(name) else None
        for name in ("quota_requested", "quota_effective"):
            fields[name] = _quota(fields.get(name))
        fields["reason"] = Reason(fields["reason"]) if fields.get("reason") else None
        fields["openings"] = tuple(fields.get("openings", ()))
        fields["outputs"] = msgspec.convert(fields.get("outputs", {}), dict[str, OutputSummary])
        fields["log"] = msgspec.convert(fields.get("log"), LogSummary | None)
        fields["usage"] = _usage(fields.get("usage"))
        fields["phases"] = msgspec.convert(fields.get("phases"), Phases | None)
        return SandboxResult(**fields)


def load_reason(text: str) -> Reason:
    """A reason from its name."""
    with decoding():
        return Reason(text)


def dump_time(time: datetime) -> str:
    """A time as a text that sorts as the times do."""
    return time.isoformat(timespec="microseconds")


def load_time(text: str) -> datetime:
    """A time from its text."""
    with decoding():
        return datetime.fromisoformat(text)


def _task(fields: dict[str, Any]) -> ScheduledTask:
    when = fields.get("when", "success")
    if isinstance(when, dict):
        when = ValueIs(**when) if "key" in when else TaskIs(**when)
    rebuilt = {
        "when": when,
        "quota": _quota(fields.get("quota")),
        "retry": RetryPolicy(**fields["retry"]),
        "secrets": {name: SecretSource(**source) for name, source in fields.get("secrets", {}).items()},
        "mounts": tuple(Mount(**mount) for mount in fields.get("mounts", ())),
        "workspace": Workspace(**fields["workspace"]) if fields.get("workspace") else None,
        "outputs": {name: Output(**output) for name, output in fields.get("outputs", {}).items()},
        "inputs": tuple(Input(**given) for given in fields.get("inputs", ())),
    }
    return ScheduledTask(**{**fields, **rebuilt})


def _quota(fields: dict[str, Any] | None) -> QuotaConfig | None:
    return QuotaConfig(**fields) if fields else None


def _usage(fields: dict[str, Any] | None) -> Usage | None:
    if not fields:
        return None
    return Usage(**{**fields, "last_read_at": datetime.fromisoformat(fields["last_read_at"])})


def _without_silence(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, (), {})} | {
        "depends_on": fields["depends_on"]
    }


def _encode(value: object) -> str:
    try:
        return msgspec.json.encode(value, enc_hook=dict).decode()  # the hook: for mappings that cannot be changed
    except UnicodeEncodeError:  # half of a surrogate pair, as names that are no UTF-8 have: only ASCII can tell it
        return json.dumps(msgspec.to_builtins(value, enc_hook=dict))


def _fields(task: ScheduledTask) -> dict[str, Any]:
    """The fields of a task; unlike `dataclasses.asdict`, it copies nothing, and takes a fifth."""
    return {name: getattr(task, name) for name in task.__dataclass_fields__}
