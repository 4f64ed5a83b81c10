"""What starts first: by priority, by the longest remaining path, by declaration."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import ScheduledTask, TaskDAG
from dockersched.graph.order import UNKNOWN_S, expected_s, remaining_s, start_order


def task(task_id: str, *depends_on: str, takes_s: float | None = None, priority: int = 0) -> ScheduledTask:
    return ScheduledTask(task_id, depends_on, "true", expected_duration_s=takes_s, priority=priority)


def order(tasks: Sequence[ScheduledTask]) -> list[str]:
    return [tasks[index].id for index in start_order(TaskDAG(tasks))]


def test_the_longest_remaining_path_comes_first() -> None:
    assert order([task("short", takes_s=9), task("long", takes_s=1), task("end", "long", takes_s=9)]) == [
        "long", "short", "end",
    ]  # fmt: skip


def test_ties_are_in_declaration_order() -> None:
    assert order([task("b"), task("d", "c"), task("c"), task("a")]) == ["c", "b", "d", "a"]


def test_priority_comes_before_the_path() -> None:
    tasks = [task("deep"), task("end", "deep", takes_s=99), task("last", priority=-1), task("first", priority=7)]
    assert order(tasks) == ["first", "deep", "end", "last"]


def test_without_durations_the_most_tasks_make_the_longest_path() -> None:
    dag = TaskDAG([task("a"), task("b", "a"), task("c", "b"), task("d", "a")])
    assert remaining_s(dag, expected_s(dag)) == [3 * UNKNOWN_S, 2 * UNKNOWN_S, UNKNOWN_S, UNKNOWN_S]


def test_what_a_task_says_comes_before_its_history_and_both_before_what_is_usual() -> None:
    dag = TaskDAG([task("said", takes_s=5), task("seen"), task("new"), task("also-new")])
    assert expected_s(dag, {"said": 100, "seen": 7, "gone": 1}) == [5, 7, 6, 6]


@given(st.data())
def test_remaining_is_the_longest_of_all_paths(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 8))
    needs = [data.draw(st.sets(st.integers(0, index - 1))) if index else set() for index in range(size)]
    takes = data.draw(st.lists(st.integers(1, 9), min_size=size, max_size=size))
    shuffled = data.draw(st.permutations(range(size)))
    dag = TaskDAG([task(f"{index}", *(f"{need}" for need in needs[index])) for index in shuffled])

    def longest(index: int) -> int:
        return takes[index] + max((longest(after) for after in range(size) if index in needs[after]), default=0)

    found = remaining_s(dag, [float(takes[index]) for index in shuffled])
    assert found == [longest(index) for index in shuffled]


@pytest.mark.parametrize("priority", [True, 1.5, "1", 1_001, -1_001])
def test_what_is_no_priority_is_refused(priority: int) -> None:
    with pytest.raises(ValueError, match="priority must be a whole number"):
        task("a", priority=priority)
