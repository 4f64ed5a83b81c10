"""Every example runs on a real engine with the result that it promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from docker.api import APIClient
from jsonschema import Draft202012Validator

from dockersched.report.event_document import event_schema

ROOT = Path(__file__).parents[2]

EVENT = Draft202012Validator(event_schema())
SUCCEEDED = ("succeeded", None)

EXPECTED = {
    "quickstart": (0, dict.fromkeys(("hello", "primes", "limits", "network", "report", "goodbye"), SUCCEEDED)),
    "python": (0, dict.fromkeys(("versions", "pi-leibniz", "pi-machin", "summary"), SUCCEEDED)),
    "files": (0, dict.fromkeys(("count", "show"), SUCCEEDED)),
    "policies": (
        0,
        {
            **dict.fromkeys(("test.ash.1", "test.sh.1", "publish", "mend", "clean"), SUCCEEDED),
            **dict.fromkeys(("test.sh.2", "broken"), ("failed", "exit_code")),
            "gone": ("skipped", "condition"),
        },
    ),
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
    command = [sys.executable, "-m", "dockersched", "run", f"examples/{name}.yaml", "--quiet", "--output", "jsonl"]

    ended = subprocess.run(
        [*command, "--state-dir", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )

    assert ended.returncode == exit_code, ended.stderr
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    for event in events:
        EVENT.validate(event)
    launch, done = events[0], events[-1]
    assert (launch["type"], done["type"]) == ("launch", "done")
    assert launch["state_dir"] == str(tmp_path)
    folder = tmp_path / "runs" / launch["run"]
    assert (folder / "events.jsonl").read_text() == ended.stdout
    result = json.loads((folder / "result.json").read_text())
    assert {key: done[key] for key in ("run", "state", "exit_code", "root_causes")} == {
        key: result[key] for key in ("run", "state", "exit_code", "root_causes")
    }
    finished = [event for event in events if event["type"] == "task_finished"]
    assert {event["task"]: (event["state"], event["reason"]) for event in finished} == outcomes
    tasks = result["tasks"]
    assert {task_id: (task["state"], task["reason"]) for task_id, task in tasks.items()} == outcomes


def test_the_orchestrator_repairs_what_failed_and_runs_it_again(engine: APIClient, tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "examples/agent_orchestrator.py", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    first, second = (line for line in ended.stdout.splitlines() if line.startswith("round "))
    assert first == "round 1: failed; sum gets 64 MiB of memory"
    assert second == "round 2: the sum is 5000050000"
    assert "  report: upstream_failed" in ended.stdout
