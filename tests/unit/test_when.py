"""Conditions of tasks in an epic file, and on record."""

from __future__ import annotations

from typing import Any

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError
from dockersched.model import TaskIs, ValueIs, When
from dockersched.store.codec import dump_epic, load_epic


def text_of(when: str) -> str:
    return f"epic: e\ntasks:\n  a: {{run: x}}\n  t: {{run: x, depends_on: [a], when: {when}}}\n"


@pytest.mark.parametrize(
    ("when", "read"),
    [
        ("always", "always"),
        ("{task: a, is: failed}", TaskIs("a", "failed")),
        ("success", "success"),
        ("{value: tasks.a.values.v, equals: true}", ValueIs("a", "v", "true")),
        ("{value: tasks.a.values.v, not_equals: ''}", ValueIs("a", "v", "", equal=False)),
    ],
)
def test_reads_a_condition_and_keeps_it_on_record(when: str, read: When) -> None:
    epic = load_text(text_of(when), "e.yaml")

    assert epic.dag["t"].when == read
    assert load_epic(dump_epic(epic)).dag["t"].when == read


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("failur", "4:38: tasks.t.when: 'failur' is no condition (did you mean 'failure'?)"),
        ("[a]", "4:38: tasks.t.when: a list is no condition: write success, failure or always, or a map like"
         " {task: build, is: failed}"),
        ("{task: a}", "4:38: tasks.t.when: a condition has the keys task and is, not 'task': write it like"
         " {task: build, is: failed}"),
        ("{task: a, is: faild}", "4:38: tasks.t.when: 'faild' is not how a task can end (did you mean 'failed'?)"),
        ("{task: a, is: [x]}", "4:38: tasks.t.when: a list is not how a task can end: write succeeded, failed or"
         " skipped"),
        ("{task: b, is: failed}", "4:3: tasks.t: when asks for 'b', which is not in depends_on: add it there, by its"
         " whole id"),
    ],
)  # fmt: skip
def test_says_what_is_wrong_with_a_condition(when: str, problem: str) -> None:
    with pytest.raises(EpicError) as caught:
        load_text(text_of(when), "e.yaml")

    assert str(caught.value) == f"e.yaml:{problem}"


def test_a_condition_on_a_value_implies_the_dependency_and_that_it_is_written() -> None:
    dag = load_text(
        "epic: e\ntasks:\n  a: {run: x}\n  t: {run: x, when: {value: tasks.a.values.v, equals: y}}\n", "e"
    ).dag

    assert dag["t"].depends_on == ("a",)
    assert dag["a"].values == ("v",)


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("{value: tasks.b.values.v, equals: y}", "tasks.b.values.v refers to 'b', which is not a task of this epic"),
        ("{value: tasks.t.values.v, equals: y}", "tasks.t.values.v refers to the task itself"),
        ("{value: tasks.a.values.u, equals: y}", "task 'a' has no value 'u'"),
        (
            "{value: tasks.a.v, equals: y}",
            "'tasks.a.v' is no reference to a value: write it like tasks.build.values.flag",
        ),
        ("{value: tasks.a.values.v}", "a condition on a value has the keys value and either equals or not_equals, not"),
        ("{value: tasks.a.values.v, equals: [y]}", "is a list, not a text"),
    ],
)
def test_says_what_is_wrong_with_a_condition_on_a_value(when: str, problem: str) -> None:
    with pytest.raises(EpicError) as caught:
        load_text(f"epic: e\ntasks:\n  a: {{run: x, values: [v]}}\n  t: {{run: x, when: {when}}}\n", "e.yaml")

    assert problem in str(caught.value)
    assert str(caught.value).startswith("e.yaml:4:")


@pytest.mark.parametrize("fields", [{"key": "a b"}, {"text": 1}, {"equal": "yes"}, {"task": ""}])
def test_a_condition_on_a_value_checks_its_fields(fields: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=f"{next(iter(fields))} must be"):
        ValueIs(**{"task": "a", "key": "v", "text": "", **fields})
