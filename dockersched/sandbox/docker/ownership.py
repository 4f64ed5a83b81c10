"""Which of the engine's containers dockersched made: labels alone do not tell, since anybody can write them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dockersched import ids
from dockersched.sandbox.docker.translate import LABEL_PREFIX, LABEL_RUN


def ours_by_run(containers: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The names of the containers whose name is the one that their labels call for, by run."""
    names: dict[str, list[str]] = {}
    for container in containers:
        labels = container.get("Labels") or {}
        name = _name(labels)
        if name and f"/{name}" in (container.get("Names") or ()):
            names.setdefault(labels.get(LABEL_RUN, ""), []).append(name)
    return names


def _name(labels: Mapping[str, str]) -> str:
    epic_id, run_id, task_id, attempt = (
        labels.get(f"{LABEL_PREFIX}.{key}", "") for key in ("epic", "run", "task", "attempt")
    )
    return ids.container_name(epic_id, run_id, task_id, int(attempt)) if attempt.isdecimal() else ""
