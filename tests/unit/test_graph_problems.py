import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import EpicError, ScheduledTask, TaskDAG
from dockersched.graph.problems import find_problems


def task(task_id: str, *depends_on: str) -> ScheduledTask:
    return ScheduledTask(task_id, depends_on, "true")


def messages(*tasks: ScheduledTask) -> list[str]:
    with pytest.raises(EpicError) as caught:
        TaskDAG(tasks)
    return [problem.message for problem in caught.value.problems]


def test_all_problems_come_at_once() -> None:
    found = messages(task("a", "b"), task("b", "a"), task("c", "c"), task("d", "lnt"), task("lint"), task("lint"))
    assert found == [
        "task id 'lint' is used twice; ids must be unique",
        "task 'c' depends on itself; remove it from depends_on",
        "task 'd' depends on 'lnt', which is not a task of this epic (did you mean 'lint'?)",
        "dependency cycle: a -> b -> a; remove one of these dependencies",
    ]


def test_every_knot_gives_a_cycle() -> None:
    found = messages(
        task("a", "b"), task("b", "c", "x"), task("c", "a"), task("x", "y"), task("y", "x"), task("z", "a")
    )
    assert sorted(found) == [
        "dependency cycle: a -> b -> c -> a; remove one of these dependencies",
        "dependency cycle: x -> y -> x; remove one of these dependencies",
    ]


def test_paths_lead_to_the_dependency() -> None:
    (problem,) = find_problems([("a", []), ("b", ["a", "zzz"])])
    assert problem.path == ("tasks", "b", "depends_on", 1)


def test_a_long_cycle_needs_no_recursion() -> None:
    size = 50_000
    (problem,) = find_problems([(str(index), [str((index + 1) % size)]) for index in range(size)])
    assert problem.message.startswith("dependency cycle: 0 -> 1 -> 2")


nodes = st.lists(st.tuples(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefg"), max_size=4)), max_size=8)


@given(nodes)
def test_a_graph_has_problems_exactly_when_it_has_no_order(graph: list[tuple[str, list[str]]]) -> None:
    tasks = [task(task_id, *depends_on) for task_id, depends_on in graph]
    done: set[str] = set()
    for _ in tasks:
        done |= {found.id for found in tasks if set(found.depends_on) <= done}
    is_sound = len({found.id for found in tasks}) == len(tasks) and done == {found.id for found in tasks}
    assert (find_problems(graph) == []) == is_sound
    if is_sound:
        assert [found.id for found in TaskDAG(tasks)] == [task_id for task_id, _ in graph]
    else:
        with pytest.raises(EpicError):
            TaskDAG(tasks)


def test_dag_lookups() -> None:
    dag = TaskDAG([task("a"), task("b", "a")])
    assert (len(dag), "a" in dag, "z" in dag, dag["b"].id, dag.index("b")) == (2, True, False, "b", 1)
    assert TaskDAG.of(dag) is dag


def test_a_part_of_a_graph_has_all_that_it_needs_in_declaration_order() -> None:
    needs = {"a": [], "b": ["a"], "c": ["a"], "d": ["c", "b"], "e": ["d"]}
    dag = TaskDAG(ScheduledTask(task_id, depends_on, "true") for task_id, depends_on in needs.items())

    assert [task.id for task in dag.with_dependencies(["d"])] == ["a", "b", "c", "d"]
    assert [task.id for task in dag.with_dependencies(["c", "a"])] == ["a", "c"]


def test_of_a_long_cycle_the_ends_are_named() -> None:
    (problem,) = find_problems([(f"t{n}", [f"t{(n + 1) % 300}"]) for n in range(300)])

    assert problem.message == (
        "dependency cycle: t0 -> t1 -> t2 -> t3 -> t4 -> … -> t295 -> t296 -> t297 -> t298 -> t299 -> t0; "
        "remove one of these dependencies"
    )
