"""A secret is in its file in the sandbox, and nowhere else: not on the engine, on disk, or in what anybody sees."""

from __future__ import annotations

import base64
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from docker.errors import NotFound

from tests.support.engine_proxy import EngineProxy

COMMAND = [sys.executable, "-m", "dockersched"]
QUOTA = {"cpus": 0.5, "memory": "32m", "pids": 16}
SHOWN_FORMS = """
cd /run/secrets
cat KEY; cat KEY >&2; base64 KEY; base64 -w 20 KEY; (echo -n me; cat KEY) | base64
head -c 9 KEY; sleep 1; tail -c +10 KEY; echo
echo "length $(wc -c < KEY)"
"""


class Bench:
    """A folder with an epic that only this test has, its secret, and the processes that run it."""

    def __init__(self, engine: APIClient, folder: Path) -> None:
        self.engine = engine
        self.folder = folder
        self.canary = f"canary-{secrets.token_urlsafe(24)}"
        self.epic_id = f"secrets-{secrets.token_hex(4)}"
        self.label = {"label": f"io.dockersched.epic={self.epic_id}"}
        self.environ = {**os.environ, "THE_KEY": self.canary}
        self.processes: list[subprocess.Popen[str]] = []

    def write(self, **tasks: dict[str, Any]) -> None:
        defaults = {"quota": QUOTA, "stop_grace_period": "300ms", "secrets": {"KEY": {"env": "THE_KEY"}}}
        (self.folder / "epic.json").write_text(json.dumps({"epic": self.epic_id, "defaults": defaults, "tasks": tasks}))

    def start(self, *args: str, **environ: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*COMMAND, *args],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*args, **environ)
        out, err = process.communicate(timeout=120)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def on_engine(self) -> list[str]:
        """Containers and volumes of the epic."""
        containers = self.engine.containers(all=True, filters=self.label)
        volumes = self.engine.volumes(filters=self.label)["Volumes"] or ()
        return [container["Names"][0][1:] for container in containers] + [volume["Name"] for volume in volumes]

    def inspected(self) -> str:
        """All that the engine tells of what the epic has on it."""
        containers = self.engine.containers(all=True, filters=self.label)
        volumes = self.engine.volumes(filters=self.label)["Volumes"] or ()
        details = []
        for container in containers:
            with suppress(NotFound):  # removed meanwhile
                details.append(self.engine.inspect_container(container["Id"]))
        return json.dumps([containers, volumes, details], default=str)

    def events(self, since: float) -> list[dict[str, Any]]:
        """What the engine tells of the epic as events."""
        moments: Any = {"since": f"{since:.6f}", "until": f"{time.time():.6f}"}
        return list(self.engine.events(**moments, filters=self.label, decode=True))

    def log(self, name: str) -> str:
        (path,) = self.folder.glob(f".dockersched/runs/*/logs/{name}.log")
        return path.read_text()

    def has_begun(self, task: str) -> bool:
        """Whether a task has written something."""
        found = self.engine.containers(filters={"label": [*self.label.values(), f"io.dockersched.task={task}"]})
        return any(self.engine.logs(each["Id"]) for each in found if "io.dockersched.volume" not in each["Labels"])

    def assert_nowhere(self, *texts: str) -> None:
        """The secret is neither in these texts nor in any file that is here now."""
        encoded = (base64.b64encode(before + self.canary.encode()).decode() for before in (b"", b"m", b"me"))
        forms = [self.canary, self.canary[:14], *(text[4:20] for text in encoded)]
        for form in forms:
            for text in texts:
                assert form not in text
            for path in self.folder.rglob("*"):
                assert not (path.is_file() and form.encode() in path.read_bytes()), path

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()
        for name in self.on_engine():
            if name in {each["Names"][0][1:] for each in self.engine.containers(all=True, filters=self.label)}:
                self.engine.remove_container(name, force=True)
        for name in self.on_engine():
            self.engine.remove_volume(name)


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


def test_a_canary_is_found_in_nothing_that_a_run_shows_or_leaves(bench: Bench) -> None:
    since = time.time()
    bench.write(
        shows={"run": f"{SHOWN_FORMS}\necho ready; sleep 2; env", "quota": {"cpus": 1}},
        fails={"run": "cat /run/secrets/KEY; exit 7"},
        other={"run": "cat /run/secrets/FILE", "secrets": {"FILE": {"file": "/dev/shm/" + bench.epic_id}}},
        refused={"command": "x", "user": "nobody-knows"},
        retried={"run": "cat /run/secrets/KEY; exit 3", "retry": {"limit": 1, "on": ["exit_code"]}},
        slow={"run": "cat /run/secrets/KEY; sleep 60", "timeout": "1s"},
    )
    outside = Path("/dev/shm") / bench.epic_id  # not in the folder that is searched
    outside.write_text(f"{bench.canary}\n")
    try:
        process = bench.start("run", "epic.json", "--output", "jsonl")
        until(lambda: bench.has_begun("shows"))
        meanwhile = bench.inspected()
        out, err = process.communicate(timeout=60)
        text = bench.run("run", "epic.json")
        again = bench.run("retry")
    finally:
        outside.unlink()
    assert process.returncode == text.returncode == 1
    assert "shows" in meanwhile
    assert "/run/secrets" in meanwhile
    events = str(bench.events(since))
    bench.assert_nowhere(out, err, text.stdout, text.stderr, again.stdout, again.stderr, meanwhile, events)
    (log,) = sorted(bench.folder.glob(".dockersched/runs/*/logs/shows.log"))[:1]
    assert f"length {len(bench.canary)}\n" in log.read_text()
    assert log.read_text().count("***") >= 6
    assert bench.on_engine() == []


def test_tasks_show_nothing_live_either(bench: Bench) -> None:
    """What is followed while the task runs comes in pieces that part the secret."""
    bench.write(slow={"run": f"for _ in 1 2 3; do {SHOWN_FORMS}\ndone"})
    done = bench.run("run", "epic.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("length") == 3
    assert done.stderr.replace("slow | ", "").count("***") >= 18
    bench.assert_nowhere(done.stdout, done.stderr)


def test_what_is_missing_is_one_message_and_nothing_is_started(bench: Bench) -> None:
    since = time.time()
    bench.write(one={"run": "true"}, two={"run": "true"})
    del bench.environ["THE_KEY"]
    done = bench.run("run", "epic.json")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("epic.json:1:")
    assert "the secret KEY comes from the variable THE_KEY, which is not set" in line
    assert not (bench.folder / ".dockersched" / "runs").exists()
    assert bench.run("resume").returncode == 2
    assert bench.events(since) == []


def test_going_on_after_a_kill_reads_the_secrets_again(bench: Bench) -> None:
    bench.write(
        lives={"run": "cat /run/secrets/KEY; echo; sleep 2; cat /run/secrets/KEY; wc -c < /run/secrets/KEY"},
        after={"run": "cat /run/secrets/KEY; wc -c < /run/secrets/KEY", "depends_on": ["lives"]},
    )
    first = bench.start("run", "epic.json")
    until(lambda: bench.has_begun("lives"))
    first.kill()
    out, err = first.communicate()
    assert first.returncode == -signal.SIGKILL
    del bench.environ["THE_KEY"]
    refused = bench.run("resume")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "THE_KEY, which is not set" in refused.stderr
    done = bench.run("resume", THE_KEY=bench.canary)
    assert done.returncode == 0, done.stderr
    length = len(bench.canary)
    assert (bench.log("lives"), bench.log("after")) == (f"***\n***{length}\n", f"***{length}\n")
    bench.assert_nowhere(out, err, refused.stderr, done.stdout, done.stderr)
    assert bench.on_engine() == []


@pytest.mark.parametrize("verb", ["gc", "cancel"])
def test_what_a_killed_run_leaves_is_removed(bench: Bench, verb: str) -> None:
    bench.write(long={"run": "cat /run/secrets/KEY; echo; sleep 60"})
    first = bench.start("run", "epic.json")
    until(lambda: bench.has_begun("long"))
    until(lambda: len(bench.on_engine()) == 2)  # what held the volume is gone
    first.kill()
    first.wait()
    (container, volume) = sorted(bench.on_engine())
    assert volume == f"{container}-secrets"
    (run_dir,) = bench.folder.glob(".dockersched/runs/*")
    done = bench.run(verb, *([run_dir.name] if verb == "cancel" else []))
    assert (done.returncode, done.stderr) == (0, "")
    if verb == "gc":
        lines = [f"removed {thing} of run {run_dir.name}" for thing in (f"container {container}", f"volume {volume}")]
        assert done.stdout.splitlines() == lines
    assert bench.on_engine() == []


def test_an_engine_elsewhere_gets_them_too_and_tasks_without_secrets_ask_for_nothing_more(bench: Bench) -> None:
    proxy = EngineProxy()
    try:
        bench.write(key={"run": "wc -c < /run/secrets/KEY"})
        done = bench.run("run", "epic.json", DOCKER_HOST=proxy.url)
        assert done.returncode == 0, done.stderr
        assert bench.log("key") == f"{len(bench.canary)}\n"
        assert [request for request in proxy.requests if "PUT" in request and "/archive" in request]
        proxy.requests.clear()
        (bench.folder / "plain.json").write_text(
            json.dumps({"epic": bench.epic_id, "defaults": {"quota": QUOTA}, "tasks": {"plain": {"run": "true"}}})
        )
        assert bench.run("run", "plain.json", DOCKER_HOST=proxy.url).returncode == 0
    finally:
        proxy.close()
    requests = [request for request in proxy.requests if "/volumes" in request or "/archive" in request]
    assert [request.partition("?")[0].rpartition("/")[2] for request in requests] == ["volumes"]  # the sweep's listing
    assert sum("/containers/create" in request for request in proxy.requests) == 1
