"""Where the time of attempts goes, on the real engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient

import dockersched
from dockersched import DockerRunner
from dockersched.cli import main
from tests.support.sandboxes import run, sandbox, shell

PHASES = ("queued_ms", "create_ms", "start_ms", "run_ms", "exit_seen_ms", "collect_ms", "remove_ms")
SMALL: dict[str, object] = {"cpus": 0.5, "memory": "32m", "pids": 16}


def span_ms(document: dict[str, Any]) -> float:
    return float(document["duration_s"]) * 1000


@pytest.mark.usefixtures("engine")
def test_the_phases_of_every_attempt_are_told_and_add_up_to_its_span(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = {"limit": 1, "on": ["exit_code"], "backoff": {"initial": "100ms"}}
    tasks: dict[str, dict[str, object]] = {
        "nap": {"command": "sleep", "args": ["1"]},
        "fails": {
            "run": "mkdir out; sleep 0.5; exit 75",
            "depends_on": ["nap"],
            "retry": again,
            "outputs": {"o": "out"},
        },
    }
    epic = tmp_path / "epic.json"
    epic.write_text(json.dumps({"epic": "phases", "defaults": {"quota": SMALL}, "tasks": tasks}))
    assert main(["run", str(epic), "--output", "json", "--quiet", "--state-dir", str(tmp_path)]) == 1
    document = json.loads(capsys.readouterr().out)
    told = {task_id: task["phases"] for task_id, task in document["tasks"].items()}
    assert {task_id: [each["attempt"] for each in phases] for task_id, phases in told.items()} == {
        "nap": [1],
        "fails": [1, 2],
    }
    every = [each for phases in told.values() for each in phases]
    assert all(each[phase] is not None and each[phase] >= 0 for each in every for phase in PHASES)
    # The engine notes the start a little after it, on a busy machine by a tenth of a second.
    assert 700 <= told["nap"][0]["run_ms"] < 1_900
    assert all(200 <= each["run_ms"] < 1_400 for each in told["fails"])
    # They come one after another: what is missing are records, and the pause before the retry. Removals are beside
    # what comes next, and a process can run before the call that starts it has come back.
    in_all = sum(each[phase] for each in every for phase in PHASES if phase != "remove_ms")
    assert 0.75 * span_ms(document) < in_all < 1.1 * span_ms(document)

    assert main(["timeline", "last", "--format", "json", "--state-dir", str(tmp_path)]) == 0
    attempts = json.loads(capsys.readouterr().out)["attempts"]
    assert [{key: each[key] for key in ("attempt", *PHASES)} for each in attempts] == every


async def test_an_attempt_that_is_adopted_tells_what_can_be_known(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("sleep", "1")
    first = await runner.run(options)
    again = await run(runner, options)
    assert first.phases is not None
    assert again.phases is not None
    assert (again.phases.create_ms, again.phases.start_ms) == (None, None)
    assert again.phases.run_ms == first.phases.run_ms
    assert again.phases.exit_seen_ms is not None
    assert again.phases.exit_seen_ms >= (first.phases.exit_seen_ms or 0)
    assert engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"}) == []


@pytest.mark.usefixtures("engine")
async def test_a_sandbox_that_is_refused_was_only_made(runner: DockerRunner) -> None:
    result = await run(runner, shell("true", user="nobody-of-this-name"))
    assert result.reason is dockersched.Reason.BAD_USER
    assert result.phases is not None
    assert result.phases.create_ms is not None
    assert (result.phases.run_ms, result.phases.collect_ms) == (None, None)
