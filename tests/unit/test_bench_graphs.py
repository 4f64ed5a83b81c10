import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.graphs import Graph, Stretch, chain, layers, wide
from benchmarks.walk import Walk
from benchmarks.workflows import LONGEST_S, SHORTEST_S, WORKFLOWS, workflow
from dockersched import epicfile
from dockersched.model import QuotaConfig

# The lower way has more steps, the upper one takes longer.
TWO_WAYS = Graph("two ways, forked", ((), (0,), (0,), (2,), (1, 3)), seconds=(1.0, 5.0, 1.5, 1.5, 2.0))


def test_the_critical_path_is_the_one_that_takes_longest() -> None:
    assert TWO_WAYS.critical_path() == Stretch(8.0, 3)


def test_without_durations_the_critical_path_has_most_steps() -> None:
    assert layers(5, 8).critical_path() == Stretch(0.0, 5)
    assert wide(40).critical_path() == Stretch(0.0, 1)


def test_overhead_a_step_leaves_out_the_tasks_own_time() -> None:
    assert chain(12, 0.5).overhead_a_step_s(makespan_s=9.0) == pytest.approx(0.25)
    assert chain(12).overhead_a_step_s(makespan_s=3.0) == pytest.approx(0.25)


def test_an_epic_is_valid_and_says_what_the_graph_says(tmp_path: Path) -> None:
    path = TWO_WAYS.write_epic(tmp_path)
    epicfile.load(str(path))
    epic = yaml.safe_load(path.read_text("utf-8"))
    assert epic["epic"] == "bench-two-ways-forked"
    assert epic["tasks"]["t4"] == {
        "command": "sleep",
        "args": ["2"],
        "depends_on": ["t1", "t3"],
        "expected_duration": "2000ms",
    }


def test_an_epic_takes_more_keys(tmp_path: Path) -> None:
    graph = Graph("one", ((),), quota=QuotaConfig(cpus=0.5))
    path = graph.write_epic(tmp_path, prepare_ahead=4, defaults={"network_namespace": "own"})
    epic = yaml.safe_load(path.read_text("utf-8"))
    assert epic["prepare_ahead"] == 4
    assert epic["defaults"] == {"image": "dockersched/base", "network_namespace": "own", "quota": {"cpus": 0.5}}


def test_the_floor_starts_the_longest_path_first() -> None:
    walk = Walk(Graph("three", ((), (), ()), seconds=(1.0, 3.0, 2.0)))
    assert [walk.next() for _ in range(3)] == [1, 2, 0]


def test_the_floor_starts_a_task_when_all_before_it_are_done() -> None:
    walk = Walk(TWO_WAYS)
    order = []
    while (index := walk.next()) is not None:
        order.append(index)
        walk.done(index)
    assert order == [0, 1, 2, 3, 4]


def test_the_floor_ends_when_something_failed() -> None:
    walk = Walk(wide(3))
    walk.fail(OSError())
    assert walk.next() is None


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_has_the_promised_size(name: str) -> None:
    graph = workflow(name)
    assert 20 <= len(graph) <= 100
    assert min(graph.seconds) >= SHORTEST_S
    assert max(graph.seconds) == LONGEST_S
    assert all(need < index for index, needs in enumerate(graph.needs) for need in needs)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_is_always_the_same(name: str) -> None:
    assert workflow(name) == workflow(name)
    assert workflow(name, seed=2) != workflow(name)


def test_1000_genome_analyses_each_population_from_merged_and_sifted_parts() -> None:
    shape = _levels(workflow("1000Genome"))
    assert shape == {0: 2 * (10 + 1), 1: 2, 2: 2 * 2 * 7}


def test_sra_search_merges_25_accessions_each() -> None:
    graph = workflow("SRA search")
    assert [len(needs) for needs in graph.needs[-3:]] == [25, 5, 2]
    assert _levels(graph) == {0: 31, 1: 30, 2: 2, 3: 1}


def test_seismology_sifts_what_all_pairs_gave() -> None:
    assert _levels(workflow("Seismology")) == {0: 40, 1: 1}


def _levels(graph: Graph) -> dict[int, int]:
    """How many tasks have how many before them on their longest way."""
    level: list[int] = []
    for needs in graph.needs:
        level.append(max((level[need] + 1 for need in needs), default=0))
    found: dict[Any, int] = {key: len(list(group)) for key, group in itertools.groupby(sorted(level))}
    return found
