"""Going on, cancelling, retrying and cleaning up after dockersched died, with real containers."""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from docker.errors import NotFound

from dockersched import ids
from dockersched.store.database import StateStore
from dockersched.store.requests import CancelRequests
from dockersched.store.schema import VERSION

COMMAND = [sys.executable, "-m", "dockersched"]
PREFIX = "io.dockersched"
GRACE_S = 0.5
LONG = {"run": "echo up; sleep 60"}


class Bench:
    """A state directory, an epic that only this test has, and the processes that work on them."""

    def __init__(self, engine: APIClient, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.state_dir = folder / ".dockersched"
        self.epic_id = f"recovery-{secrets.token_hex(4)}"
        self.label = f"{PREFIX}.epic={self.epic_id}"
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, tasks: dict[str, Any], running: int | None = None) -> subprocess.Popen[str]:
        """Begins the epic; returns once as many containers have started (by default one for each task)."""
        defaults = {
            "quota": {"cpus": 0.5, "memory": "32m", "pids": 16},
            "stop_grace_period": f"{round(GRACE_S * 1000)}ms",
        }
        fields = {"epic": self.epic_id, "max_parallel": 8, "defaults": defaults, "tasks": tasks}
        (self.folder / "epic.json").write_text(json.dumps(fields))
        process = self.start("run", "epic.json")
        wanted = len(tasks) if running is None else running
        until(lambda: len(self.started()) == wanted)
        return process

    def begin_and_kill(self, tasks: dict[str, Any], running: int | None = None) -> None:
        """Begins the epic, and kills its process in the middle of it."""
        process = self.begin(tasks, running)
        process.kill()
        assert process.wait() == -signal.SIGKILL

    def start(self, *args: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *args], cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes.append(process)
        return process

    def run(self, *args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *args], cwd=self.folder, capture_output=True, text=True, timeout=60, check=False
        )

    def containers(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.engine.containers(all=True, filters={"label": self.label})
        return found

    def started(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of the containers that have started, by task."""
        inspected = {}
        for container in self.containers():
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


@pytest.fixture
def bench(engine: APIClient, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path)
    yield made
    made.close()


def until(holds: Callable[[], bool], limit_s: float = 30.0) -> None:
    deadline = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def in_time(limit_s: float) -> float:
    """A limit that holds when this test has the machine for itself, stretched while others work on it too."""
    return limit_s * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def seconds(task: dict[str, Any]) -> float:
    began, ended = (datetime.fromisoformat(task[key]) for key in ("started_at", "finished_at"))
    return (ended - began).total_seconds()


def test_resume_adopts_what_lives_and_records_what_ended(bench: Bench) -> None:
    since = time.time()
    tasks = {
        "lives": {"run": "echo begin; sleep 10; echo end"},
        "fine": {"run": "echo fine; sleep 1"},
        "fails": {"run": "echo fails; sleep 1; exit 3"},
        "after": {"run": "echo after", "depends_on": ["fine"]},
    }
    bench.begin_and_kill(tasks, running=3)
    before = bench.started()["lives"]["Id"]
    bench.until_exited("fine", "fails")
    resumed = bench.start("resume")
    until(lambda: "after" in bench.starts(since))
    assert bench.started()["lives"]["Id"] == before
    assert resumed.wait(30) == 1
    assert bench.starts(since) == ["after", "fails", "fine", "lives"]
    found = bench.document()["tasks"]
    assert {name: (task["state"], task["exit_code"], task["attempts"]) for name, task in found.items()} == {
        "lives": ("succeeded", 0, 1),
        "fine": ("succeeded", 0, 1),
        "fails": ("failed", 3, 1),
        "after": ("succeeded", 0, 1),
    }
    assert Path(found["lives"]["log"]).read_text() == "begin\nend\n"
    assert Path(found["fails"]["log"]).read_text() == "fails\n"
    bench.assert_all_recorded()


def test_a_deadline_counts_from_the_start_whoever_started_it(bench: Bench) -> None:
    bench.begin_and_kill({"slow": {"run": "echo up; sleep 60", "timeout": "4s"}})
    time.sleep(2)
    assert bench.run("resume").returncode == 1
    slow = bench.document()["tasks"]["slow"]
    assert slow["reason"] == "timed_out"
    assert 3.9 <= seconds(slow) <= in_time(4 + GRACE_S + 1), slow
    bench.assert_all_recorded()


def test_a_deadline_that_passed_meanwhile_ends_the_task_at_once(bench: Bench) -> None:
    bench.begin_and_kill({"slow": {"run": "echo up; sleep 60", "timeout": "1s"}})
    time.sleep(1.5)
    began = time.monotonic()
    assert bench.run("resume").returncode == 1
    assert time.monotonic() - began <= in_time(GRACE_S + 3)
    assert bench.document()["tasks"]["slow"]["reason"] == "timed_out"
    bench.assert_all_recorded()


def test_an_unfinished_run_is_not_forgotten(bench: Bench) -> None:
    bench.begin_and_kill({"short": {"run": "sleep 1"}})
    first = bench.run_id
    refused = bench.run("run", "epic.json")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert f"dockersched resume {first}" in refused.stderr
    assert "--new" in refused.stderr
    assert bench.run("run", "epic.json", "--new").returncode == 0
    assert bench.run("resume", first).returncode == 0
    assert {run.state for run in bench.store.runs()} == {"succeeded"}
    again = bench.run("resume", first)
    assert (again.returncode, "is finished: succeeded" in again.stderr) == (0, True)


def test_a_second_owner_is_refused_at_once(bench: Bench) -> None:
    owner = bench.begin({"long": LONG})
    for args in (("resume",), ("resume", bench.run_id), ("run", "epic.json")):
        began = time.monotonic()
        second = bench.run(*args)
        took = time.monotonic() - began
        assert second.returncode == 5, second
        assert f"process {owner.pid}" in second.stderr
        assert took <= in_time(1.5), f"{args} took {took:.2f} s"
    owner.terminate()
    assert owner.wait(10) == 128 + signal.SIGTERM


def test_cancel_from_another_process(bench: Bench) -> None:
    deaf = {"run": "trap '' TERM; echo up; sleep 60; sleep 60"}
    owner = bench.begin({"deaf": deaf, "other": LONG, "waits": {"run": "true", "depends_on": ["other"]}}, running=2)
    began = time.monotonic()
    assert bench.run("cancel", bench.run_id).returncode == 0
    assert time.monotonic() - began <= in_time(GRACE_S + 2)
    assert owner.wait(5) == 130
    assert set(bench.states().values()) == {"cancelled"}
    assert (bench.document()["state"], bench.document()["exit_code"]) == ("cancelled", 130)
    bench.assert_all_recorded()


def test_cancel_tasks_from_another_process(bench: Bench) -> None:
    tasks = {
        "long": LONG,
        "behind": {"run": "true", "depends_on": ["long"]},
        "other": {"run": "sleep 2; echo done"},
        "after": {"run": "echo after", "depends_on": ["other"]},
    }
    owner = bench.begin(tasks, running=2)
    unknown = bench.run("cancel", bench.run_id, "nothing")
    assert (unknown.returncode, "'nothing'" in unknown.stderr) == (2, True)
    assert bench.run("cancel", bench.run_id, "long").returncode == 0
    assert owner.wait(20) == 130
    assert bench.states() == {"long": "cancelled", "behind": "cancelled", "other": "succeeded", "after": "succeeded"}
    bench.assert_all_recorded()


def test_cancel_without_an_owner_cleans_up_itself(bench: Bench) -> None:
    bench.begin_and_kill(
        {"quick": {"run": "true"}, "long": LONG, "behind": {"run": "true", "depends_on": ["long"]}}, running=2
    )
    done = bench.run("cancel", bench.run_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.states()["long"] == bench.states()["behind"] == "cancelled"
    assert bench.document()["state"] == "cancelled"
    sandbox = bench.store.attempts(bench.run_id)["long", 1].result
    assert sandbox
    assert sandbox.sandbox_id == ids.sandbox_id(bench.epic_id, "long")
    bench.assert_all_recorded()
    assert bench.run("resume").returncode == 2


def test_cancel_ends_the_run_itself_when_the_owner_dies_meanwhile(bench: Bench) -> None:
    owner = bench.begin({"long": LONG})
    owner.send_signal(signal.SIGSTOP)
    cancelling = bench.start("cancel", bench.run_id)
    requests = bench.state_dir / "runs" / bench.run_id / "requests"
    until(lambda: requests.is_dir() and any(requests.iterdir()))
    owner.kill()
    assert cancelling.wait(15) == 0
    assert bench.document()["state"] == "cancelled"
    bench.assert_all_recorded()


def test_a_resumption_that_is_cancelled_leaves_nothing_open(bench: Bench) -> None:
    bench.begin_and_kill({"one": LONG, "two": LONG})
    CancelRequests(bench.store.run_dir(bench.run_id)).put([])
    assert bench.run("resume").returncode == 130
    assert set(bench.states().values()) == {"cancelled"}
    bench.assert_all_recorded()


def test_retry_takes_over_what_succeeded(bench: Bench) -> None:
    tasks = {
        "good": {"run": "echo good"},
        "bad": {"run": "echo bad; exit 4", "depends_on": ["good"]},
        "behind": {"run": "echo behind", "depends_on": ["bad"]},
    }
    process = bench.begin(tasks, running=0)
    assert process.wait(30) == 1
    first = bench.run_id
    since = time.time()
    assert bench.run("retry", first).returncode == 1
    assert bench.run_id != first
    assert bench.starts(since) == ["bad"]
    assert bench.states() == {"good": "succeeded", "bad": "failed", "behind": "upstream_failed"}
    good = bench.document()["tasks"]["good"]
    assert good["started_at"] == bench.document(first)["tasks"]["good"]["started_at"]
    assert bench.run("retry", bench.run_id).returncode == 1  # what was taken over is taken over again
    assert bench.starts(since) == ["bad", "bad"]
    bench.assert_all_recorded()


def test_retry_of_an_unfinished_run_names_resume(bench: Bench) -> None:
    bench.begin_and_kill({"long": LONG})
    refused = bench.run("retry", bench.run_id)
    assert (refused.returncode, f"resume {bench.run_id}" in refused.stderr) == (2, True)


def test_gc_removes_only_what_is_ours_and_nobody_owns(bench: Bench) -> None:
    owner = bench.begin({"owned": LONG})
    owned = {container["Id"] for container in bench.containers()}
    owned_run = bench.run_id
    orphaned = bench.start("run", "epic.json", "--new")
    until(lambda: len(bench.started()) == 1 and len(bench.containers()) == 2)
    orphaned.kill()
    orphaned.wait()
    lost_run = bench.run_id
    assert lost_run != owned_run
    (lost,) = (container["Names"][0].lstrip("/") for container in bench.containers() if container["Id"] not in owned)
    foreign = look_alikes(bench, lost_run)
    try:
        told = bench.run("gc", "--dry-run")
        assert (told.returncode, told.stdout) == (0, f"would remove container {lost} of run {lost_run}\n")
        assert len(bench.containers()) == 2 + len(foreign)
        done = bench.run("gc")
        assert (done.returncode, done.stdout) == (0, f"removed container {lost} of run {lost_run}\n")
        assert {container["Id"] for container in bench.containers()} == owned | set(foreign)
        assert bench.run("gc").stdout == "nothing to remove\n"
    finally:
        for container in foreign:
            bench.engine.remove_container(container, force=True)
    owner.terminate()
    assert owner.wait(10) == 128 + signal.SIGTERM


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
        config = {"Image": "dockersched/base", "Cmd": ["true"], "Labels": labels}
        made.append(str(bench.engine.create_container_from_config(config, name)["Id"]))
    return made


def test_gc_keeps_the_newest_runs(bench: Bench) -> None:
    for _ in range(3):
        process = bench.begin({"quick": {"run": "true"}}, running=0)
        assert process.wait(30) == 0
    newest, *old = (run.run_id for run in bench.store.runs())
    assert bench.run("gc", "--keep", "1", "--dry-run").stdout.count("would remove run") == 2
    done = bench.run("gc", "--keep", "1")
    assert sorted(done.stdout.splitlines()) == sorted(
        f"removed run {run} of {bench.epic_id} (succeeded)" for run in old
    )
    assert [run.run_id for run in bench.store.runs()] == [newest]
    assert [path.name for path in (bench.state_dir / "runs").iterdir()] == [newest]


def test_a_full_disk_loses_no_result(bench: Bench) -> None:
    since = time.time()
    process = bench.begin({"one": {"run": "echo one; sleep 2"}, "two": {"run": "echo two; sleep 60"}})
    wal = bench.state_dir / "state.db-wal"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, resource.RLIM_INFINITY))
    assert process.wait(20) == 2
    assert process.stderr
    assert "the state database" in process.stderr.read()
    assert len(bench.containers()) == 2  # what is not on record is still there
    assert not (bench.state_dir / "runs" / bench.run_id / "result.json").exists()
    resumed = bench.start("resume")
    until(lambda: (row := bench.store.attempts(bench.run_id)["one", 1]).result is not None and row.result.succeeded)
    bench.run("cancel", bench.run_id, "two")
    assert resumed.wait(20) == 130
    assert bench.states() == {"one": "succeeded", "two": "cancelled"}
    assert bench.starts(since) == ["one", "two"]
    bench.assert_all_recorded()


def test_a_newer_state_is_refused(bench: Bench) -> None:
    bench.state_dir.mkdir()
    store = bench.store
    with store._reading() as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for args in (("resume",), ("gc",), ("retry", "x"), ("cancel", "x")):
        refused = bench.run(*args)
        assert refused.returncode == 2
        (line,) = refused.stderr.strip().splitlines()
        assert f"schema version {VERSION + 1}" in line


def test_state_that_cannot_be_read_is_one_message(bench: Bench) -> None:
    bench.state_dir.mkdir()
    (bench.state_dir / "state.db").write_bytes(os.urandom(4096))
    refused = bench.run("resume")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "--state-dir" in refused.stderr
