"""The command under faults: a state directory, an epic that only one test has, and the processes that work on them."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.api import APIClient
from docker.errors import NotFound

from dockersched import ids
from dockersched.store.database import StateStore

COMMAND = [sys.executable, "-m", "dockersched"]
PREFIX = "io.dockersched"
GRACE_S = 0.5
LONG = {"run": "echo up; sleep 60"}
_USUAL_START_S = 0.03


class Bench:
    """A state directory, an epic that only this test has, and the processes that work on them."""

    def __init__(self, engine: APIClient, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.state_dir = folder / ".dockersched"
        self.epic_id = f"recovery-{secrets.token_hex(4)}"
        self.label = f"{PREFIX}.epic={self.epic_id}"
        self.processes: list[subprocess.Popen[str]] = []

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "DOCKERSCHED_STATE_DIR": str(self.state_dir)}

    def begin(self, tasks: dict[str, Any], running: int | None = None) -> subprocess.Popen[str]:
        """Begins the epic; returns once as many containers have started (by default one for each task)."""
        self.write(tasks)
        process = self.start("run", "epic.json")
        wanted = len(tasks) if running is None else running
        until(lambda: len(self.started()) == wanted)
        return process

    def write(self, tasks: dict[str, Any]) -> None:
        """Writes the epic's file."""
        defaults = {
            "quota": {"cpus": 0.5, "memory": "32m", "pids": 16},
            "stop_grace_period": f"{round(GRACE_S * 1000)}ms",
        }
        fields = {"epic": self.epic_id, "max_parallel": 8, "max_cpus": 8, "defaults": defaults, "tasks": tasks}
        (self.folder / "epic.json").write_text(json.dumps(fields))

    def begin_and_kill(self, tasks: dict[str, Any], running: int | None = None) -> None:
        """Begins the epic, and kills its process in the middle of it."""
        process = self.begin(tasks, running)
        process.kill()
        assert process.wait() == -signal.SIGKILL

    def start(self, *args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.engine.containers(all=True, filters={"label": self.label})
        return found

    def started(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of the containers that have started, by task; what holds their volumes is left out."""
        inspected = {}
        for container in self.containers():
            if f"{PREFIX}.volume" in container["Labels"]:
                continue
            with suppress(NotFound):  # removed meanwhile
                inspected[container["Labels"][f"{PREFIX}.task"]] = self.engine.inspect_container(container["Id"])
        return {task: found for task, found in inspected.items() if not found["State"]["StartedAt"].startswith("0001")}

    def until_exited(self, *tasks: str) -> None:
        until(lambda: all(self.started()[task]["State"]["Status"] == "exited" for task in tasks))

    def starts(self, since: float) -> list[str]:
        """The task of every start that the engine saw."""
        since_text: Any = f"{since:.6f}"
        until_text: Any = f"{time.time():.6f}"
        filters = {"type": "container", "event": "start", "label": self.label}
        events = self.engine.events(since=since_text, until=until_text, filters=filters, decode=True)
        return sorted(event["Actor"]["Attributes"][f"{PREFIX}.task"] for event in events)

    @property
    def store(self) -> StateStore:
        return StateStore(self.state_dir)

    @property
    def run_id(self) -> str:
        return self.store.runs()[0].run_id

    def document(self, run_id: str | None = None) -> dict[str, Any]:
        text = (self.state_dir / "runs" / (run_id or self.run_id) / "result.json").read_text()
        fields: dict[str, Any] = json.loads(text)
        return fields

    def states(self) -> dict[str, str]:
        return {name: task["state"] for name, task in self.document()["tasks"].items()}

    def assert_all_recorded(self) -> None:
        """Nothing is open: every attempt has its record, the run its end, and the engine no container."""
        rows = self.store.attempts(self.run_id)
        assert rows
        assert [row for row in rows.values() if row.result is None] == []
        assert self.store.runs()[0].state is not None
        assert self.containers() == []

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            for text in process.communicate():
                sys.stdout.write(text or "")  # for whoever reads why a test failed
        for container in self.containers():
            self.engine.remove_container(container["Id"], force=True)


def until(holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def in_time(limit_s: float) -> float:
    """A limit that holds when this test has a usual machine for itself, stretched where others slow it down.

    Others on the same machine show in its load, those that share its processor in how long an interpreter needs.
    """
    return limit_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1), _start_s() / _USUAL_START_S)


def _start_s() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", "import argparse, json, sqlite3"], check=True)
    return time.monotonic() - began


def seconds(task: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(task[key]) for key in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


def look_alikes(bench: Bench, run_id: str) -> list[str]:
    """Containers of somebody else: our labels with a run that nobody knows; a known run, but not our name."""
    unknown = ids.new_run_id()
    made = []
    for name, run in (
        (ids.container_name(bench.epic_id, unknown, "long", 1), unknown),
        (f"{ids.container_name(bench.epic_id, run_id, 'long', 1)}-backup", run_id),
    ):
        labels = {
            f"{PREFIX}.epic": bench.epic_id,
            f"{PREFIX}.run": run,
            f"{PREFIX}.task": "long",
            f"{PREFIX}.attempt": "1",
            f"{PREFIX}.sandbox": ids.sandbox_id(bench.epic_id, "long"),
        }
        config = {"Image": "dockersched/base", "Cmd": ["sleep", "60"], "Labels": labels}
        made.append(str(bench.engine.create_container_from_config(config, name)["Id"]))
    return made
