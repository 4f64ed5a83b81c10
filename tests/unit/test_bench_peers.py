"""What peers are given to run: the same graph, with the same limits."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

from benchmarks.graphs import Graph, chain, layers
from benchmarks.peers import compose, cwl, make, wdl
from benchmarks.peers.base import Job, outside_make, write_json

GRAPH = layers(3, 2)
SLEEPS = Graph("sleeps", ((), (0,), (0, 1)), seconds=(0.25, 1.0, 2.5))
LABEL = "bench=abc"
MEMORY = 512 * 2**20


def needs_of(graph: Graph) -> dict[str, list[str]]:
    return {f"t{index}": [f"t{need}" for need in needs] for index, needs in enumerate(graph.needs)}


def test_a_makefile_has_a_rule_for_each_task() -> None:
    rules = dict(re.findall(r"^(t\d+):(.*)$", make.makefile(GRAPH, LABEL), re.MULTILINE))
    assert {task: needs.split() for task, needs in rules.items()} == needs_of(GRAPH)


def test_make_runs_the_tasks_in_order(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(make.makefile(SLEEPS, LABEL), "utf-8")
    done = subprocess.run(
        ["make", "-n", "all"], cwd=tmp_path, env=outside_make(), capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert [line.split("dockersched/base ")[1] for line in lines] == ["sleep 0.25", "sleep 1", "sleep 2.5"]
    limits = {"--rm", "--network=none", "--cpus=1", f"--memory={MEMORY}", "--pids-limit=128", f"--label={LABEL}"}
    assert limits <= set(lines[0].split())


def test_a_compose_file_has_a_service_for_each_task() -> None:
    services = yaml.safe_load(compose.compose_file(GRAPH, LABEL))["services"]
    assert {name: [*service["depends_on"]] for name, service in services.items()} == needs_of(GRAPH)
    assert services["t3"]["depends_on"]["t0"] == {"condition": "service_completed_successfully"}


def test_a_service_has_the_limits() -> None:
    service = yaml.safe_load(compose.compose_file(SLEEPS, LABEL))["services"]["t2"]
    assert service["command"] == ["sleep", "2.5"]
    limits = {"network_mode": "none", "cpus": 1.0, "mem_limit": MEMORY, "pids_limit": 128, "labels": [LABEL]}
    assert limits.items() <= service.items()


def test_a_cwl_workflow_has_a_step_for_each_task() -> None:
    steps = {step["id"]: step for step in cwl.workflow(GRAPH)["steps"]}
    assert {name: cwl_sources(step) for name, step in steps.items()} == needs_of(GRAPH)


def test_a_cwl_step_runs_the_command_with_the_limits() -> None:
    document = cwl.workflow(SLEEPS)
    assert document["steps"][2]["run"]["baseCommand"] == ["sleep", "2.5"]
    assert {"class": "ResourceRequirement", "coresMin": 1.0, "ramMin": 512} in document["requirements"]


def test_a_wdl_workflow_has_a_call_for_each_task() -> None:
    calls = re.findall(r"call step as (t\d+)((?: after t\d+)*) ", wdl.workflow(GRAPH))
    assert {task: after.replace("after", "").split() for task, after in calls} == needs_of(GRAPH)


def test_a_wdl_call_runs_the_command_with_the_limit() -> None:
    text = wdl.workflow(SLEEPS)
    assert 'call step as t2 after t0 after t1 { input: line = "sleep 2.5" }' in text
    assert f'memory: "{MEMORY} B"' in text


def test_programs_of_ours_get_the_graph_and_the_limits(tmp_path: Path) -> None:
    document = json.loads(write_json(Job(chain(2), tmp_path, LABEL)).read_text("utf-8"))
    assert document == {
        "image": "dockersched/base",
        "max_parallel": 4,
        "labels": {"bench": "abc"},
        "cpus": 1.0,
        "memory_bytes": MEMORY,
        "pids": 128,
        "tasks": {"t0": {"command": ["true"], "needs": []}, "t1": {"command": ["true"], "needs": ["t0"]}},
    }


def cwl_sources(step: dict[str, Any]) -> list[str]:
    return [source.removesuffix("/done") for given in step["in"] for source in given["source"]]
