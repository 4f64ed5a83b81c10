"""What runs side by side on a real engine, and the memory of retries."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "dockersched"]

pytestmark = pytest.mark.usefixtures("engine")


def run(folder: Path, epic: dict[str, Any], *args: str) -> dict[str, Any]:
    """The result of an epic with small quotas."""
    shared = {"quota": {"cpus": 0.5, "memory": "32m", "pids": 16}}
    (folder / "epic.json").write_text(json.dumps({"epic": "admission", "defaults": shared, **epic}))
    done = subprocess.run(
        [*COMMAND, "run", "epic.json", "--quiet", "--output", "json", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_quotas_of_sandboxes_side_by_side_stay_within_the_limit(tmp_path: Path) -> None:
    """In slots there is room for four; of the memory the largest leaves room for none."""
    tasks: dict[str, Any] = {name: {"run": "sleep 0.4"} for name in ("a", "b", "c", "d")}
    tasks["large"] = {"run": "sleep 0.2", "quota": {"memory": "64m"}}
    found = run(tmp_path, {"max_memory": "64m", "tasks": tasks})["tasks"]
    spans = {
        name: (task["started_at"], task["finished_at"], task["quota"]["effective"]["memory"])
        for name, task in found.items()
    }
    together = [
        sum(memory for began, ended, memory in spans.values() if began <= moment < ended)
        for moment, _, _ in spans.values()
    ]
    assert max(together) == 64 * 2**20


def test_a_task_that_is_killed_for_lack_of_memory_gets_more(tmp_path: Path) -> None:
    # The pause is for the engine: it can miss an out-of-memory kill when the container is gone a moment later.
    hungry = "sh -c 'x=$(head -c 40000000 /dev/zero | tr \"\\0\" x)'; code=$?; sleep 0.3; exit $code"
    policy = {"limit": 3, "on": ["oom_killed"], "backoff": {"initial": "10ms"}, "memory": {"factor": 8}}
    found = run(tmp_path, {"tasks": {"hungry": {"run": hungry, "retry": policy}}})["tasks"]["hungry"]
    assert (found["state"], found["quota"]["requested"]["memory"]) == ("succeeded", 256 * 2**20)
    assert found["quota"]["effective"]["memory"] == 256 * 2**20
    assert found["attempts"] == 2
