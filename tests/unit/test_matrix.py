"""Tasks with a matrix: which instances there are, what they are called, and what they hold."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched.epic import Epic
from dockersched.epicfile import load_text, locate
from dockersched.epicfile.allowance import Allowance
from dockersched.epicfile.matrix import MAX_INSTANCES, combinations
from dockersched.errors import EpicError, Problem


def load(tasks: str) -> Epic:
    return load_text(f"epic: e\ntasks:\n{tasks}", "e.yaml")


def ids(matrix: str) -> list[str]:
    return [task.id for task in load(f"  t: {{run: x, matrix: {{{matrix}}}}}\n").dag]


def problems_of(text: str) -> list[str]:
    with pytest.raises(EpicError) as caught:
        load_text(text, "e.yaml")
    return [line.removeprefix("e.yaml:") for line in str(caught.value).splitlines()]


def chosen(matrix: object) -> list[dict[str, str]]:
    found, findings = combinations(matrix, (), Allowance())
    assert not findings
    return [combination.values for combination in found]


def test_the_last_list_varies_fastest() -> None:
    assert ids("python: [3.10, '3.11'], os: [a, b]") == ["t.3.10.a", "t.3.10.b", "t.3.11.a", "t.3.11.b"]


def test_excludes_all_combinations_with_these_values() -> None:
    assert ids("p: [1, 2], os: [a, b], exclude: [{p: 1}, {p: 2, os: a}]") == ["t.2.b"]


def test_includes_as_the_documentation_of_github_says() -> None:
    # https://docs.github.com/actions/how-tos/write-workflows/choose-what-workflows-do/run-job-variations
    matrix = {
        "fruit": ["apple", "pear"],
        "animal": ["cat", "dog"],
        "include": [
            {"color": "green"},
            {"color": "pink", "animal": "cat"},
            {"fruit": "apple", "shape": "circle"},
            {"fruit": "banana"},
            {"fruit": "banana", "animal": "cat"},
        ],
    }

    assert chosen(matrix) == [
        {"fruit": "apple", "animal": "cat", "color": "pink", "shape": "circle"},
        {"fruit": "apple", "animal": "dog", "color": "green", "shape": "circle"},
        {"fruit": "pear", "animal": "cat", "color": "pink"},
        {"fruit": "pear", "animal": "dog", "color": "green"},
        {"fruit": "banana"},
        {"fruit": "banana", "animal": "cat"},
    ]


def test_a_matrix_of_inclusions_alone_has_them_as_instances() -> None:
    assert ids("include: [{site: a, zone: x}, {site: b}]") == ["t.a.x", "t.b"]


def test_what_is_included_does_not_change_what_an_instance_is_called() -> None:
    assert ids("p: [1, 2], include: [{p: 2, extra: yes}, {extra: z, p: 3}]") == ["t.1", "t.2", "t.3.z"]


def test_characters_that_no_id_has_become_dashes() -> None:
    assert ids("image: ['alpine:3.20', a/b c]") == ["t.alpine-3.20", "t.a-b-c"]


NAMES = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from(["1", "2", "3"])
MAPS = st.dictionaries(NAMES, WORDS, min_size=1)


@given(st.dictionaries(NAMES, st.lists(WORDS, min_size=1, unique=True)), st.lists(MAPS, max_size=4))
def test_inclusions_never_change_a_value_of_a_list(axes: dict[str, Any], include: list[dict[str, str]]) -> None:
    matrix = axes | ({"include": include} if include else {})
    if not matrix:
        return
    crossed = chosen(axes) if axes else []

    found = chosen(matrix)

    assert [{name: values[name] for name in axes} for values in found[: len(crossed)]] == crossed
    assert all(any(entry.items() <= values.items() for entry in include) for values in found[len(crossed) :])


def test_values_are_filled_in_where_they_are_data() -> None:
    epic = load(
        "  t:\n"
        "    command: echo\n"
        "    args: ['py${{ matrix.p }}-${{matrix.os}}', '$${{ matrix.p }}', '${{ tasks.u.values.v }}']\n"
        "    environment: {P: '${{ matrix.p }}', N: 5}\n"
        "    image: python:${{ matrix.p }}\n"
        "    matrix: {p: [3.10], os: [b]}\n"
        "  u: {run: x}\n"
    )

    task = epic.dag["t.3.10.b"]

    assert task.args == ("py3.10-b", "$${{ matrix.p }}", "${{ tasks.u.values.v }}")
    assert task.environment == {"P": "3.10", "N": "5"}
    assert task.image == "python:3.10"


def test_json_is_read_alike() -> None:
    tasks = {"t": {"run": "x", "matrix": {"p": [1.10, True]}, "environment": {"P": "${{ matrix.p }}"}}}

    first, second = load_text(json.dumps({"epic": "e", "tasks": tasks}), "e.json").dag

    assert (first.id, first.environment["P"]) == ("t.1.1", "1.1")
    assert (second.id, second.environment["P"]) == ("t.true", "true")


def test_who_depends_on_the_task_depends_on_all_its_instances() -> None:
    epic = load(
        "  first: {run: x}\n"
        "  t: {run: x, depends_on: [first], matrix: {p: [1, 2]}}\n"
        "  all: {run: x, depends_on: [first, t]}\n"
        "  one: {run: x, depends_on: [t.2]}\n"
        "  each: {run: x, depends_on: [t], matrix: {q: [a, b]}}\n"
    )

    assert {task.id: list(task.depends_on) for task in epic.dag} == {
        "first": [],
        "t.1": ["first"],
        "t.2": ["first"],
        "all": ["first", "t.1", "t.2"],
        "one": ["t.2"],
        "each.a": ["t.1", "t.2"],
        "each.b": ["t.1", "t.2"],
    }


@pytest.mark.parametrize(
    ("matrix", "problem"),
    [
        ("", "3:15: tasks.t.matrix: leaves no combination: give it a list of values"),
        ("p: [1], exclude: [{p: 1}]", "3:15: tasks.t.matrix: leaves no combination: give it a list of values"),
        ("p: x", "3:27: tasks.t.matrix.p: is 'x', not a list: write it like [one, two]"),
        ("p: []", "3:27: tasks.t.matrix.p: holds nothing: give it a value, or remove the key"),
        ("p: [1, 1]", "3:31: tasks.t.matrix.p[1]: '1' is listed twice: remove one"),
        ("p: [[1]]", "3:28: tasks.t.matrix.p[0]: is a list, not a text"),
        ("a.b: [1]", "3:24: tasks.t.matrix.'a.b': 'a.b' cannot be a name in a matrix: use up to 63 letters, digits,"
         " '_' and '-', and begin with a letter or '_'"),
        ("p: [1], exclude: [{q: 1}]", "3:43: tasks.t.matrix.exclude[0].q: is no list of this matrix; there are p"),
        ("python: [1], exclude: [{pyton: 1}]",
         "3:48: tasks.t.matrix.exclude[0].pyton: is no list of this matrix (did you mean 'python'?)"),
        ("p: [1, 2], exclude: [{p: 3}]",
         "3:45: tasks.t.matrix.exclude[0]: excludes nothing: no combination that is left has these values"),
        ("p: [1], include: x", "3:41: tasks.t.matrix.include: is not a list of maps: write it like [{name: value}]"),
        ("p: [1], include: [x]",
         "3:42: tasks.t.matrix.include[0]: is not a map of names to values: write it like {name: value}"),
        ("p: [a/b, 'a b']", "3:15: tasks.t.matrix: two instances would be called 't.a-b': give them values that differ"
         " in letters or digits"),
        (f"p: [{'x' * 62}]", f"3:15: tasks.t.matrix: one instance would be called 't.{'x' * 62}': no id has more than"
         " 63 characters, so make the task's id or the values shorter"),
        (f"p: {list(range(20))}, q: {list(range(20))}",
         f"3:15: tasks.t.matrix: makes 400 instances, and {MAX_INSTANCES} is the most: take values away, or make"
         " several tasks"),
        (f"include: [{', '.join(f'{{p: {value}}}' for value in range(257))}]",
         f"3:15: tasks.t.matrix: makes 257 instances, and {MAX_INSTANCES} is the most: take values away, or make"
         " several tasks"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_with_a_matrix(matrix: str, problem: str) -> None:
    assert problems_of(f"epic: e\ntasks:\n  t: {{run: x, matrix: {{{matrix}}}}}\n") == [problem]


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("run: x, matrix: [a]", "3:23: tasks.t.matrix: is a list, not a map: write it like {python: ['3.11', '3.12']}"),
        ("run: x, matrix: null", "3:15: tasks.t.matrix: has no value: give it one, or remove the key"),
        ("run: x, strategy: {}", "3:15: tasks.t.strategy: unknown key: it is called matrix here"),
        ("command: x, args: ['${{ matrix.p }}']", "3:26: tasks.t.args[0]: ${{ matrix.p }} needs a matrix, which this"
         " task does not have: give it one, or write $${{ for text"),
        ("run: 'echo ${{ matrix.p }}', matrix: {p: [1, 2]}",
         "3:12: tasks.t.run: ${{ matrix.p }} is not filled in in a script, where its value would be code: give it to a"
         " variable (environment: VALUE: '${{ matrix.p }}'), and use \"$VALUE\" here"),
        ("run: x, environment: {A: '${{ matrix.pyton }}'}, matrix: {python: [1, 2]}",
         "3:32: tasks.t.environment.A: not every combination of the matrix has a value for ${{ matrix.pyton }}"
         " (did you mean 'python'?)"),
        ("run: x, environment: {A: '${{ matrix.q }}'}, matrix: {p: [1], include: [{p: 2, q: 3}]}",
         "3:32: tasks.t.environment.A: not every combination of the matrix has a value for ${{ matrix.q }}: give it"
         " one, by include say"),
        ("run: x, quota: {pids: 0}, matrix: {p: [1, 2]}", "3:29: tasks.t.quota.pids: must be at least 1, not 0"),
        ("run: x, depends_on: [t], matrix: {p: [1]}",
         "3:28: task 't.1' depends on itself; remove it from depends_on"),
    ],
)  # fmt: skip
def test_says_once_and_in_the_file_what_is_wrong_with_instances(fields: str, problem: str) -> None:
    assert problems_of(f"epic: e\ntasks:\n  t: {{{fields}}}\n") == [problem]


@pytest.mark.parametrize(
    ("other", "called"),
    [("t.1: {run: x}", "t.1"), ("t.1: {run: x, matrix: {q: [2]}}", "t.1"), ("a: {run: x}", None)],
)
def test_refuses_an_instance_that_is_called_as_another_task(other: str, called: str | None) -> None:
    text = f"epic: e\ntasks:\n  {other}\n  t: {{run: x, matrix: {{p: [1, 2.3]}}}}\n"

    if called is None:
        assert "t.1" in load_text(text, "e.yaml").dag
    else:
        message = f"one instance would be called {called!r}, as another task: rename one of them"
        assert problems_of(text) == [f"4:15: tasks.t.matrix: {message}"]


def test_refuses_instances_of_two_tasks_that_are_called_alike() -> None:
    text = "epic: e\ntasks:\n  t.1: {run: x, matrix: {p: [2]}}\n  t: {run: x, matrix: {p: [1.2]}}\n"

    message = "one instance would be called 't.1.2', as another task: rename one of them"
    assert problems_of(text) == [f"4:15: tasks.t.matrix: {message}"]


def test_finds_the_place_of_a_dependency_behind_a_matrix() -> None:
    text = "epic: e\ntasks:\n  t: {run: x, matrix: {p: [1, 2]}}\n  u: {run: x, depends_on: [t, t.3]}\n"

    assert problems_of(text) == [
        "4:31: task 'u' depends on 't.3', which is not a task of this epic (did you mean 't.2'?)"
    ]


def test_finds_the_place_of_a_cycle_that_an_input_closes() -> None:
    text = (
        "epic: e\ntasks:\n  t: {run: x, matrix: {p: [1, 2]}}\n"
        "  u: {run: x, depends_on: [t], inputs: [v.out], outputs: {out: o}}\n"
        "  v: {run: x, depends_on: [u], outputs: {out: o}}\n"
    )

    assert problems_of(text) == ["4:15: dependency cycle: u -> v -> u; remove one of these dependencies"]


def test_finds_the_place_of_what_is_found_later(tmp_path: Any) -> None:
    file = tmp_path / "e.yaml"
    file.write_text("epic: e\ntasks:\n  t: {run: x, quota: {cpus: 9}, matrix: {p: [1, 2]}}\n")
    found = [Problem(f"task 't.{p}' asks for 9 CPUs", ("tasks", f"t.{p}", "quota", "cpus")) for p in (1, 2)]

    (problem,) = locate(found, str(file))

    assert (problem.line, problem.column, problem.message) == (3, 29, "task 't.1' asks for 9 CPUs")
