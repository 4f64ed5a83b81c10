"""A matrix adds no more than there may be, and asking for more takes no time to refuse."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dockersched.epicfile import load_text
from dockersched.epicfile.allowance import MOST
from dockersched.errors import EpicError
from tests.support.stopwatch import stopwatch

SIXTEEN = list(range(16))
SQUARE = {"p": SIXTEEN, "q": SIXTEEN}
SHARED = "together with the matrices before it: take values away, or make several epics"


def epic(**tasks: dict[str, Any]) -> str:
    return json.dumps({"epic": "e", "tasks": tasks})


def many(count: int, **task: Any) -> dict[str, dict[str, Any]]:
    return {f"t{n}": task for n in range(count)}


def refusal(text: str) -> list[str]:
    with stopwatch() as watch, pytest.raises(EpicError) as caught:
        load_text(text, "e.json")
    assert watch.seconds < 15
    return [problem.message for problem in caught.value.problems]


def test_refuses_more_characters_than_there_may_be() -> None:
    matrix = {"p": [1], "include": [{"p": 1, "q": "A" * 130_000}]}

    text = epic(a={"command": "x", "matrix": matrix, "args": ["${{matrix.q}}" * 15_384]})

    assert refusal(text) == [f"tasks.a.matrix: makes more than {MOST['characters']:,} characters {SHARED}"]


def test_refuses_more_tasks_than_there_may_be_and_says_so_once() -> None:
    assert refusal(epic(**many(500, run="x", matrix=SQUARE))) == [
        f"tasks.t390.matrix: makes more than {MOST['tasks']:,} tasks {SHARED}"
    ]


def test_refuses_more_dependencies_than_there_may_be_and_says_so_once() -> None:
    text = epic(a={"run": "x", "matrix": SQUARE}, **many(8_000, run="x", depends_on=["a"]))

    assert refusal(text) == [f"tasks.t7809.depends_on: makes more than {MOST['values']:,} values {SHARED}"]


@pytest.mark.parametrize(
    "task",
    [
        pytest.param({"command": "x", "args": [1] * 10_000, "matrix": SQUARE}, id="arguments"),
        pytest.param({"run": "x", "mounts": [[[[1] * 9] * 10] * 100], "matrix": SQUARE}, id="nested"),
        pytest.param(
            {"run": "x", "matrix": SQUARE | {"include": [{f"k{n}": 1 for n in range(9_000)}]}}, id="names of include"
        ),
        pytest.param(
            {"run": "x", "matrix": SQUARE | {"include": [{f"k{n}": 1} for n in range(9_000)]}}, id="entries of include"
        ),
        pytest.param({"run": "x", "matrix": SQUARE | {f"k{n}": [1] for n in range(9_000)}}, id="lists"),
    ],
)
def test_refuses_more_values_than_there_may_be(task: dict[str, Any]) -> None:
    assert f"tasks.a.matrix: makes more than {MOST['values']:,} values {SHARED}" in refusal(epic(a=task))


def test_tasks_that_are_written_out_are_not_counted() -> None:
    written = many(1_000, run="x") | {"m": {"run": "x", "matrix": {"p": [1, 2]}}}

    assert len(load_text(epic(**written), "e.json").dag) == 1_002


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(epic(a={"command": "x", "args": ["${{ matrix." * 100_000]}), id="nothing ends"),
        pytest.param(epic(a={"command": "x", "args": ["${{ matrix." + " " * 500_000 + "x"]}), id="spaces"),
        pytest.param(epic(a={"command": "x", "args": [("${{ matrix." + " " * 250) * 4_000]}), id="both"),
        pytest.param(epic(a={"run": "${{tasks.a.values." * 100_000, "runn": "x"}), id="values"),
        pytest.param(epic(a={"run": "x", "matrix": {"p": [*range(80_000), 1]}}), id="a long list"),
        pytest.param(
            epic(a={"run": "x", "matrix": {"include": [{"x": 1, "y": 2, **{f"k{n}": 1 for n in range(50_000)}}]}}),
            id="names of one inclusion",
        ),
        pytest.param(
            epic(a={"command": "x", "matrix": SQUARE, "args": ["${{matrix.pp}}"] * 2_000}), id="misused everywhere"
        ),
        pytest.param(
            epic(a={"run": "x", "tmpfs": {f"/t{n}": "4k" for n in range(50_000)}, "runn": "x"}), id="places in memory"
        ),
        pytest.param(
            epic(
                **{f"task-number-{n}": {"run": "x"} for n in range(1_900)},
                z={"run": "x", "inputs": [f"task-numbr-{n}.o" for n in range(1_900)]},
            ),
            id="inputs of no task",
        ),
    ],
)
def test_refuses_in_time_what_is_made_to_take_long(text: str) -> None:
    assert refusal(text)


def test_long_names_do_not_push_the_remedy_out_of_sight() -> None:
    long = "x" * 5_000

    (message,) = refusal(epic(a={"run": "x", "matrix": {"p": [long]}}))
    assert len(message) < 250
    (message,) = refusal(epic(a={"run": "x", "matrix": {"p": [long, long]}}))
    assert len(message) < 250
    (message,) = refusal(epic(a={"run": "x", "inputs": [f"{long}.o"]}))
    assert len(message) < 250
