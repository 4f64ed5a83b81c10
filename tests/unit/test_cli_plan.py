"""What an epic would do, told without an engine."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dockersched.cli import main
from dockersched.inspection.outlook_text import plan_schema
from dockersched.model import ScheduledTask
from dockersched.results import SandboxResult
from tests.support.recorded_runs import AT, EPIC_ID, RecordedRun

EPIC = """
epic: watched
tasks:
  build: {run: make, expected_duration: 10s, quota: {cpus: 2, memory: 1g}}
  lint: {run: ruff, expected_duration: 4s}
  test: {run: pytest, depends_on: [build], quota: {cpus: 1, memory: 3g}}
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    Path("e.yaml").write_text(EPIC)


def planned(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert main(["plan", "e.yaml", "--output", "json", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, plan_schema())
    return document


def test_a_plan_has_order_waves_duration_and_peaks(capsys: pytest.CaptureFixture[str]) -> None:
    document = planned(capsys)
    assert [(task["task"], task["start_s"], task["end_s"], task["basis"]) for task in document["tasks"]] == [
        ("build", 0, 10, "expected_duration"),
        ("lint", 0, 4, "expected_duration"),
        ("test", 10, 17, "assumed"),
    ]
    assert document["waves"] == [["build", "lint"], ["test"]]
    assert (document["makespan_s"], document["critical_path"], document["critical_path_s"]) == (
        17,
        ["build", "test"],
        17,
    )
    assert (document["peak_parallel"], document["peak_cpus"], document["peak_memory"]) == (2, 3, 3 * 2**30)
    assert (document["max_cpus"], document["max_memory"]) == (None, None)


def test_what_runs_at_the_end_is_planned_behind_all_others(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.yaml").write_text(EPIC + "  tidy: {run: rm, finally: true, expected_duration: 1s}\n")
    document = planned(capsys)
    assert document["waves"] == [["build", "lint"], ["test"], ["tidy"]]
    tasks = {task["task"]: task for task in document["tasks"]}
    assert tasks["tidy"]["start_s"] == tasks["test"]["end_s"] == 14


def test_limits_of_the_command_line_make_tasks_wait(capsys: pytest.CaptureFixture[str]) -> None:
    document = planned(capsys, "--max-cpus", "2", "--max-memory", "4g", "--max-parallel", "8")
    assert [(task["task"], task["start_s"]) for task in document["tasks"]] == [("build", 0), ("test", 10), ("lint", 10)]
    assert (document["max_parallel"], document["max_cpus"], document["max_memory"]) == (8, 2, 4 * 2**30)


def test_earlier_runs_tell_what_the_epic_does_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RecordedRun(tmp_path / "state", "earlier", [ScheduledTask("test", [], "true")])
    run.start("test")
    took = SandboxResult(f"{EPIC_ID}.test", 0, started_at=AT, finished_at=AT + timedelta(seconds=30))
    run.come_back("test", took)
    before = run.dump()
    document = planned(capsys, "--state-dir", str(tmp_path / "state"))
    (test,) = [task for task in document["tasks"] if task["task"] == "test"]
    assert (test["basis"], document["makespan_s"]) == ("earlier_runs", pytest.approx(40, abs=0.01))
    assert run.dump() == before


def test_a_plan_in_words_says_what_is_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "e.yaml"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("epic watched: 3 tasks in 2 waves\n")
    assert "takes about 17.0s\ncritical path 17.0s: build -> test\n" in text
    assert "at most 2 at once, with 3 CPUs and 3 GiB of memory\n" in text
    assert "assumed: the median of the others for test: no `expected_duration`, and no earlier run\n" in text
    assert "assumed: an engine that is large enough, without --max-cpus and --max-memory\n" in text
    assert [path.name for path in tmp_path.iterdir()] == ["e.yaml"]


def test_what_could_never_run_is_refused_with_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "e.yaml", "--max-memory", "2g"]) == 2
    assert capsys.readouterr().err.startswith("e.yaml:6:")
