"""Every example runs on a real engine with the result that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from docker.api import APIClient

ROOT = Path(__file__).parents[2]

SUCCEEDED = ("succeeded", None)

EXPECTED = {
    "quickstart": (0, dict.fromkeys(("hello", "primes", "limits", "network", "report", "goodbye"), SUCCEEDED)),
    "python": (0, dict.fromkeys(("versions", "pi-leibniz", "pi-machin", "summary"), SUCCEEDED)),
    "failing": (
        1,
        {
            "build": SUCCEEDED,
            "test": ("failed", "exit_code"),
            "package": ("upstream_failed", "upstream_failed"),
            "publish": ("upstream_failed", "upstream_failed"),
            "docs": SUCCEEDED,
        },
    ),
    "quota": (
        1,
        {
            "over-memory": ("failed", "oom_killed"),
            "fork-too-much": ("failed", "exit_code"),
            "never-ends": ("failed", "timed_out"),
            "modest": SUCCEEDED,
        },
    ),
}


def test_every_example_has_an_expected_result() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.yaml")} == EXPECTED.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_example_ends_as_it_promises(name: str, engine: APIClient, tmp_path: Path) -> None:
    exit_code, outcomes = EXPECTED[name]
    command = [sys.executable, "-m", "dockersched", "run", f"examples/{name}.yaml", "--quiet", "--output", "json"]

    ended = subprocess.run(
        [*command, "--state-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert ended.returncode == exit_code, ended.stderr
    tasks = json.loads(ended.stdout)["tasks"]
    assert {task_id: (task["state"], task["reason"]) for task_id, task in tasks.items()} == outcomes
