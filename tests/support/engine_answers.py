"""Answers of an engine, as its API gives them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NEVER = "0001-01-01T00:00:00Z"


def inspected(container_id: str = "c1", *, labels: Mapping[str, str] | None = None, **state: Any) -> dict[str, Any]:
    """All about a container that was created, with what `state` says otherwise."""
    created = {"Status": "created", "Running": False, "Paused": False, "ExitCode": 0}
    return {
        "Id": container_id,
        "Created": datetime.now(UTC).isoformat(),
        "State": {**created, "StartedAt": NEVER, "FinishedAt": NEVER, **state},
        "Config": {"Labels": labels},
        "HostConfig": {},
    }
