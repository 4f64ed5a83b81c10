"""What agents and CI services get of a run on the real engine, and that the commands they are told work."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

COMMAND = [sys.executable, "-m", "dockersched"]
# What the task needs comes from outside, so that it can be mended between two runs.
EPIC = """
epic: reported
defaults: {{quota: {{cpus: 0.5, memory: 32m, pids: 16}}}}
tasks:
  build: {{command: "true"}}
  check:
    depends_on: [build]
    secrets: {{flag: {{file: {flag}}}}}
    run: |
      echo '::error::from the task'
      echo '##[debug]from the task'
      grep -q yes /run/secrets/flag || exit 3
  publish: {{command: "true", depends_on: [check]}}
"""

pytestmark = pytest.mark.usefixtures("engine")


def run(tmp_path: Path, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "epic.yaml").write_text(EPIC.format(flag=tmp_path / "flag"))
    (tmp_path / "flag").write_text("not-at-all")
    return call([*COMMAND, "run", "epic.yaml", *args], tmp_path, **environ)


def call(command: list[str], cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environ}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=120, check=False)


def results(tmp_path: Path) -> list[dict[str, Any]]:
    """What is written of all runs, the oldest first."""
    return [json.loads(path.read_text()) for path in sorted(tmp_path.glob(".dockersched/runs/*/result.json"))]


def test_an_agent_runs_again_what_failed_by_the_command_that_it_is_told(tmp_path: Path) -> None:
    done = run(tmp_path, "--junit", "report.xml", AI_AGENT="tested")

    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("epic reported failed (exit code 1)")
    assert "check: ended with exit code 3 (exit_code)" in lines
    assert "  | ::error::from the task" in lines
    assert "not run because of check: publish" in lines
    (document,) = results(tmp_path)
    (cause,) = document["digest"]["causes"]
    assert f"  run only this task again: {cause['rerun']}" in lines
    assert cause["quota"]["effective"]["memory"] == 32 * 2**20
    suite = ET.fromstring((tmp_path / "report.xml").read_text())[0]  # noqa: S314 - our own document
    assert [suite.attrib[key] for key in ("tests", "failures", "errors", "skipped")] == ["3", "1", "0", "1"]

    (tmp_path / "flag").write_text("yes-indeed")
    again = call(shlex.split(cause["rerun"]), tmp_path, AI_AGENT="tested")

    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.startswith("epic reported succeeded (exit code 0)")
    first, second = results(tmp_path)
    assert list(second["tasks"]) == ["build", "check"]
    assert second["tasks"]["build"]["started_at"] == first["tasks"]["build"]["started_at"]
    assert second["tasks"]["check"]["started_at"] > first["tasks"]["check"]["started_at"]


@pytest.mark.parametrize("output", ["text", "json", "jsonl"])
def test_no_task_commands_the_runner_of_a_workflow(tmp_path: Path, output: str) -> None:
    page = tmp_path / "page.md"
    done = run(tmp_path, "--output", output, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(page))

    assert done.returncode == 1
    lines = (done.stdout + done.stderr).splitlines()
    commands = [line for line in lines if line.lstrip().startswith("::") or "##[" in line]
    assert [re.sub("%0A.*", "", line) for line in commands] == [
        "::error title=epic reported%3A task check::check: ended with exit code 3 (exit_code)"
    ]
    assert "::error::from the task" in commands[0]
    assert "  | ##[debug]from the task" in page.read_text()
    if output == "json":
        assert json.loads(done.stdout) == results(tmp_path)[0]
