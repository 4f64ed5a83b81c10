"""Code in the documentation that needs an engine."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched.cli import main
from dockersched.store.requests import CancelRequests
from tests.support.documents import ARCHITECTURE, Block, blocks, run_python, section

PYTHON = [block for block in blocks("python") if block.needs_engine]


def test_there_is_something_to_test() -> None:
    assert {block.document for block in PYTHON} == {"README.md", "docs/orchestrator.agent.md", "docs/python.md"}


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs_and_prints_what_it_says(block: Block, engine: APIClient, tmp_path: Path) -> None:
    assert run_python(block, tmp_path) == block.prints


def test_the_state_directory_holds_what_the_architecture_says(engine: APIClient, tmp_path: Path) -> None:
    del engine
    state_dir, epic = tmp_path / "state", tmp_path / "epic.json"
    outputs = {"made": {"path": "made", "when": "always"}}
    task = {
        "run": "touch made; exit 75",
        "outputs": outputs,
        "retry": {"limit": 1, "on": [{"exit_code": 75}], "backoff": {"initial": "10ms"}},
    }
    epic.write_text(json.dumps({"epic": "tree", "defaults": {"image": "dockersched/base"}, "tasks": {"again": task}}))
    detached = [sys.executable, "-m", "dockersched", "run", str(epic), "--quiet", "--detach"]
    subprocess.run([*detached, "--state-dir", str(state_dir)], check=True)
    assert main(["wait", "last", "--state-dir", str(state_dir)]) == 1
    (run_dir,) = (state_dir / "runs").iterdir()
    CancelRequests(run_dir).put([])
    tree = section(ARCHITECTURE, "State directory").split("```")[1]
    lines = [line.split()[0] for line in tree.splitlines()[2:] if line]
    drawn = {re.sub(r"(logs|artifacts)/.*", r"\1", line).removesuffix("/") for line in lines if line != "runs/<run>/"}
    found = {path.name for folder in (state_dir, run_dir) for path in folder.iterdir()} - {"runs"}
    assert {name for name in found if not re.search(r"-(wal|shm)$", name)} == drawn
    assert {path.name for path in (run_dir / "logs").iterdir()} == {"again.log", "again@2.log"}
