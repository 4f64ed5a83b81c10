"""Detached runs, and looking at them while they run, on the real engine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "dockersched"]
# Bytes that are no text, more than one chunk of them, and then a line from time to time.
NOISE = 200_000
EPIC = f"""
epic: watching
max_parallel: 2
defaults: {{quota: {{cpus: 0.5, memory: 32m, pids: 16}}, stop_grace_period: 1s, timeout: 60s}}
tasks:
  talk:
    run: |
      printf 'first\\n\\377\\000\\n'
      yes noise | head -c {NOISE}; echo
      while [ ! -e /tmp/never ]; do echo .; sleep 0.5; done
  after: {{command: "true", depends_on: [talk]}}
"""

pytestmark = pytest.mark.usefixtures("engine")


def call(cwd: Path, *args: str, timeout_s: float = 120) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *args], cwd=cwd, capture_output=True, timeout=timeout_s, check=False)


def status(cwd: Path) -> Any:
    return json.loads(call(cwd, "status", "--output", "json").stdout)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def detached(tmp_path: Path) -> str:
    """Starts the run from a caller that is killed with its whole session; returns the run's id."""
    (tmp_path / "epic.yaml").write_text(EPIC)
    script = f"{' '.join(COMMAND)} run --detach epic.yaml; sleep 60"
    caller = subprocess.Popen(
        ["sh", "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert caller.stdout is not None
    run_id = caller.stdout.readline().strip()
    assert status(tmp_path)["pid"] != caller.pid
    os.killpg(caller.pid, signal.SIGKILL)
    assert caller.communicate(timeout=60)[0] == ""  # the run holds nothing of the caller's open
    return run_id


def test_a_detached_run_is_watched_from_other_processes(tmp_path: Path) -> None:
    run_id = detached(tmp_path)
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{8}", run_id)
    until(lambda: status(tmp_path)["tasks"].get("talk", {}).get("state") == "running")
    begin = b"first\n\xff\x00\n" + (b"noise\n" * NOISE)[:NOISE] + b"\n.\n.\n"
    followed = tmp_path / "followed"
    with followed.open("wb") as sink:
        following = subprocess.Popen([*COMMAND, "logs", "-f", "last", "talk"], cwd=tmp_path, stdout=sink)
    waiting = subprocess.Popen([*COMMAND, "wait", run_id], cwd=tmp_path, stdout=subprocess.DEVNULL)
    try:
        until(lambda: followed.read_bytes().startswith(begin))  # while it runs
        assert call(tmp_path, "logs", run_id[:-2], "talk").stdout.startswith(begin)
        assert call(tmp_path, "logs", "--tail", "1", "last", "talk").stdout == b".\n"
        assert waiting.poll() is None
    finally:
        cancelled = call(tmp_path, "cancel", run_id[:-3])
    assert cancelled.returncode == 0, cancelled.stderr
    assert (following.wait(timeout=60), waiting.wait(timeout=60)) == (0, 130)
    (log,) = tmp_path.glob(".dockersched/runs/*/logs/talk.log")
    assert followed.read_bytes() == log.read_bytes()
    document = status(tmp_path)
    assert (document["state"], document["tasks"]["after"]["state"]) == ("cancelled", "cancelled")
    assert document["pid"] is None
    console = (tmp_path / ".dockersched" / "runs" / run_id / "console.log").read_text()
    assert re.search(r"talk +started", console)
    assert "was cancelled" in console
    assert not list(tmp_path.glob(".dockersched/.console*"))


def test_what_is_refused_is_told_to_the_caller(tmp_path: Path) -> None:
    (tmp_path / "epic.yaml").write_text("epic: watching\ntasks: {a: {command: 'true', quota: {cpus: 4096}}}\n")
    done = call(tmp_path, "run", "--detach", "epic.yaml")
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.match(rb"epic\.yaml:2:\d+: .*4096 CPUs", done.stderr)
    events = call(tmp_path, "run", "--detach", "--output", "jsonl", "epic.yaml")
    assert (events.returncode, events.stdout) == (2, b"")
    assert b"events.jsonl" in events.stderr
    left = {path.name for path in tmp_path.glob(".dockersched/*")}
    assert left <= {".gitignore", "state.db", "state.db-wal", "state.db-shm"}


def test_a_run_goes_on_and_is_tried_again_in_processes_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "epic.yaml").write_text("epic: watching\ntasks: {a: {run: 'sleep 3', quota: {memory: 32m}}}\n")
    run_id = call(tmp_path, "run", "--detach", "epic.yaml").stdout.decode().strip()
    until(lambda: status(tmp_path)["tasks"].get("a", {}).get("state") == "running")
    os.kill(status(tmp_path)["pid"], signal.SIGKILL)

    resumed = call(tmp_path, "resume", "--detach", "--output", "json")

    assert (resumed.returncode, resumed.stderr) == (0, b"")
    assert json.loads(resumed.stdout)["run"] == run_id
    assert call(tmp_path, "wait", run_id).returncode == 0
    console = tmp_path / ".dockersched" / "runs" / run_id / "console.log"
    assert len(re.findall(r"a +started", console.read_text())) == 2  # of both processes
    assert not list(tmp_path.glob(".dockersched/.console*"))

    again = call(tmp_path, "retry", "--detach", "last", "--only", "a").stdout.decode().strip()

    assert again not in {"", run_id}
    assert call(tmp_path, "wait", again).returncode == 0
    assert status(tmp_path)["tasks"]["a"]["attempt"] == 1
