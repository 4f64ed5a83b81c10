"""The command as people and programs use it, on the real engine."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from docker.api import APIClient

from dockersched.report.document import result_schema

EXAMPLES = Path(__file__).parents[2] / "examples"
COMMAND = [sys.executable, "-m", "dockersched"]

pytestmark = pytest.mark.usefixtures("engine")


def dockersched(
    *args: str | Path, cwd: Path, stdin: str | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *map(str, args)],
        cwd=cwd,
        env={**os.environ, **environ},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def epic(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "epic.yaml"
    path.write_text(f"epic: cli-test\ndefaults: {{quota: {{cpus: 0.5, memory: 32m, pids: 16}}}}\n{text}")
    return path


def outcomes(document: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    return {name: (found["state"], found["reason"]) for name, found in document["tasks"].items()}


def test_the_document_agrees_with_its_schema(tmp_path: Path) -> None:
    done = dockersched("run", EXAMPLES / "failing.yaml", "--output", "json", cwd=tmp_path)
    document = json.loads(done.stdout)
    jsonschema.validate(document, result_schema())
    (path,) = tmp_path.glob(".dockersched/runs/*/result.json")
    assert json.loads(path.read_text()) == document


def test_the_diamond_is_run_in_order(tmp_path: Path) -> None:
    dockersched("run", EXAMPLES / "quickstart.yaml", cwd=tmp_path)
    (path,) = tmp_path.glob(".dockersched/runs/*/result.json")
    tasks = json.loads(path.read_text())["tasks"]
    for before, after in [("hello", "primes"), ("primes", "report"), ("network", "report"), ("report", "goodbye")]:
        assert tasks[before]["finished_at"] <= tasks[after]["started_at"]
    for found in tasks.values():
        requested = found["quota"]["requested"]
        assert requested == requested | {"cpus": 0.5, "memory": 2**25, "pids": 32, "disk": None, "log": 2**24}
        # What can be written is what the places in memory add up to.
        assert found["quota"]["effective"] == requested | {"disk": 3 * 2**24}
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", found["image_digest"])
        assert Path(found["log"]).read_bytes()


def test_a_person_sees_output_summary_and_the_failing_log(tmp_path: Path) -> None:
    done = dockersched("run", EXAMPLES / "failing.yaml", cwd=tmp_path)
    assert done.returncode == 1
    assert "test_division ... FAILED" in done.stderr
    assert re.search(r"^test +failed +exit_code", done.stdout, re.MULTILINE)
    assert "test_division ... FAILED: division by zero" in done.stdout
    assert re.search(r"\.dockersched/runs/[^/]+/logs/test\.log", done.stdout)
    assert "\x1b" not in done.stdout + done.stderr


def test_quiet_shows_no_output_of_tasks(tmp_path: Path) -> None:
    done = dockersched("run", "--quiet", EXAMPLES / "quickstart.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert "Hello from a sandbox" not in done.stdout + done.stderr


def test_an_epic_from_standard_input(tmp_path: Path) -> None:
    text = json.dumps({"epic": "stdin", "tasks": {"only": {"command": "echo", "args": ["from stdin"]}}})
    done = dockersched("run", "-", cwd=tmp_path, stdin=text)
    assert done.returncode == 0
    assert "only | from stdin" in done.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: {a: {command: 'true', imagee: x}}", r"epic\.yaml:3:\d+: .*imagee.*image"),
        ("tasks: {a: {command: 'true', depends_on: [b]}}", r"epic\.yaml:3:\d+: .*'b'"),
        ("tasks: {a: {command: 'true', quota: {cpus: 4096}}}", r"epic\.yaml:3:\d+: .*4096 CPUs"),
        ("tasks: {a: {command: 'true', quota: {memory: 900t}}}", r"epic\.yaml:3:\d+: .*900 TiB"),
    ],
)
def test_a_bad_epic_starts_nothing(tmp_path: Path, text: str, message: str) -> None:
    done = dockersched("run", epic(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob(".dockersched/runs/*"))


@pytest.mark.parametrize("option", [("--max-parallel", "0"), ("--timeout", "soon"), ("--max-cpus", "0.1")])
def test_a_bad_option_is_one_message(tmp_path: Path, option: tuple[str, str]) -> None:
    done = dockersched("run", EXAMPLES / "quickstart.yaml", *option, cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_an_unavailable_image_fails_before_anything_starts(tmp_path: Path) -> None:
    text = """
tasks:
  fine: {command: "true"}
  missing: {command: "true", image: dockersched-tests/none, pull_policy: never}
  below: {command: "true", depends_on: [missing]}
"""
    done = dockersched("run", epic(tmp_path, text), "--output", "json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert outcomes(document) == {
        "fine": ("cancelled", "image_unavailable"),
        "missing": ("failed", "image_unavailable"),
        "below": ("upstream_failed", "upstream_failed"),
    }
    assert document["root_causes"] == ["missing"]
    assert document["tasks"]["fine"]["started_at"] is None


def test_no_engine_is_exit_code_3(tmp_path: Path) -> None:
    done = dockersched("run", EXAMPLES / "quickstart.yaml", cwd=tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert done.returncode == 3
    assert 1 <= len(done.stderr.strip().splitlines()) <= 2
    assert "none.sock" in done.stderr


def test_the_epics_timeout_is_exit_code_4(tmp_path: Path) -> None:
    text = "tasks: {long: {command: sleep, args: [60]}, later: {command: 'true', depends_on: [long]}}"
    done = dockersched("run", epic(tmp_path, text), "--timeout", "1s", "--output", "json", cwd=tmp_path)
    document = json.loads(done.stdout)
    assert (done.returncode, document["state"], document["exit_code"]) == (4, "timed_out", 4)
    assert outcomes(document) == {"long": ("cancelled", "epic_timed_out"), "later": ("cancelled", "epic_timed_out")}


def test_fail_fast_stops_the_rest(tmp_path: Path) -> None:
    text = "tasks: {bad: {run: sleep 0.5; exit 9}, long: {command: sleep, args: [60]}}"
    done = dockersched("run", epic(tmp_path, text), "--fail-fast", "--output", "json", cwd=tmp_path)
    assert done.returncode == 1
    assert outcomes(json.loads(done.stdout)) == {"bad": ("failed", "exit_code"), "long": ("cancelled", "fail_fast")}


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_stops_all_sandboxes_and_leaves_none(
    tmp_path: Path, engine: APIClient, number: signal.Signals, exit_code: int
) -> None:
    # One that ends when asked, one that must be killed, one that waits for its turn.
    text = """
max_parallel: 2
tasks:
  polite: {command: sleep, args: [60], stop_grace_period: 1s}
  stubborn: {run: "echo up; trap '' TERM; while :; do sleep 1; done", stop_grace_period: 1s}
  waiting: {command: sleep, args: [60], depends_on: [polite]}
"""
    process = subprocess.Popen(
        [*COMMAND, "run", str(epic(tmp_path, text)), "--output", "json"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(_running(engine, tmp_path)) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (run_id,) = {found["Labels"]["io.dockersched.run"] for found in _running(engine, tmp_path)}
    began = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - began < 1 + 4  # grace and the promised two seconds, on a busy machine
    document = json.loads(stdout)
    assert (process.returncode, document["exit_code"], document["state"]) == (exit_code, exit_code, "cancelled"), stderr
    assert {state for state, _ in outcomes(document).values()} == {"cancelled"}
    assert document["tasks"]["polite"]["started_at"] is not None
    assert engine.containers(all=True, filters={"label": f"io.dockersched.run={run_id}"}) == []


def _running(engine: APIClient, tmp_path: Path) -> list[dict[str, Any]]:
    """The running sandboxes of the one run below this folder."""
    runs = {path.name for path in tmp_path.glob(".dockersched/runs/*")}
    found = engine.containers(filters={"label": "io.dockersched.epic=cli-test", "status": "running"})
    return [container for container in found if container["Labels"]["io.dockersched.run"] in runs]


def test_a_second_signal_ends_at_once(tmp_path: Path, engine: APIClient) -> None:
    text = "tasks: {stubborn: {run: \"trap '' TERM; while :; do sleep 1; done\", stop_grace_period: 30s}}"
    process = subprocess.Popen(
        [*COMMAND, "run", str(epic(tmp_path, text))], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while not (found := _running(engine, tmp_path)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    try:
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)  # two signals at the same moment are one
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == -signal.SIGINT
        assert time.monotonic() - began < 2
    finally:
        for container in found:
            engine.remove_container(container["Id"], force=True)
