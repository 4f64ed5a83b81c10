"""Conditions of tasks in an epic file, and on record."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError
from dockersched.model import TaskIs, When
from dockersched.store.codec import dump_epic, load_epic


def text_of(when: str) -> str:
    return f"epic: e\ntasks:\n  a: {{run: x}}\n  t: {{run: x, depends_on: [a], when: {when}}}\n"


@pytest.mark.parametrize(
    ("when", "read"), [("always", "always"), ("{task: a, is: failed}", TaskIs("a", "failed")), ("success", "success")]
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
