"""Which sandboxes are prepared behind a gate before their tasks may run."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import EpicExecutionOptions, ScheduledTask, TaskDAG, TaskState
from dockersched.graph.admission import Admission
from dockersched.graph.demand import Limits
from dockersched.graph.lookahead import GATED_BYTES, LookAhead
from dockersched.graph.plan import Plan
from dockersched.model import Input, Output, When
from dockersched.model.condition import TaskIs

MIB = 2**20


def task(task_id: str, *depends_on: str, **changes: Any) -> ScheduledTask:
    return ScheduledTask(id=task_id, depends_on=depends_on, command="true", **changes)


class Run:
    """A plan with its look-ahead, by task ids."""

    def __init__(self, *tasks: ScheduledTask, most: int = 4, slots: int = 2, memory: float = float("inf")) -> None:
        self.dag = TaskDAG(tasks)
        order = range(len(tasks))
        demands = [(0, 64 * MIB)] * len(tasks)
        self.plan = Plan(self.dag, Admission(order, demands, Limits(slots, float("inf"), memory)))
        self.ahead = LookAhead(self.dag, self.plan, most)

    def start(self) -> str:
        index = self.plan.start_next()
        self.ahead.started(index)
        return self.dag.tasks[index].id

    def look(self) -> tuple[list[str], list[str]]:
        outlook = self.ahead.look()
        return self.ids(outlook.given_up), self.ids(outlook.next)

    def ids(self, indexes: Sequence[int]) -> list[str]:
        return [self.dag.tasks[index].id for index in indexes]

    def index(self, task_id: str) -> int:
        return self.dag.index(task_id)


def test_a_task_is_prepared_once_all_it_still_waits_for_runs() -> None:
    run = Run(task("a"), task("b"), task("c", "a", "b"), task("d", "c"), slots=1)
    assert run.start() == "a"
    assert run.look() == ([], ["b"])  # it may run, and waits for a slot
    run.plan.succeed(run.index("a"))
    assert run.start() == "b"
    assert run.look() == ([], ["c"])
    run.plan.succeed(run.index("b"))
    assert run.look() == ([], [])
    assert run.start() == "c"
    assert run.look() == ([], ["d"])


def test_those_that_come_first_in_the_order_are_prepared_and_never_more_than_asked_for() -> None:
    run = Run(task("a"), *(task(f"t{number}", "a") for number in range(5)), most=2)
    run.start()
    assert run.look() == ([], ["t0", "t1"])
    assert run.look() == ([], [])
    run.plan.succeed(run.index("a"))
    assert run.start() == "t0"
    assert run.look() == ([], ["t2"])


def test_what_will_not_run_is_given_up() -> None:
    run = Run(task("a"), task("b", "a"), task("c", "b"))
    run.start()
    assert run.look() == ([], ["b"])
    run.plan.fail(run.index("a"))
    assert run.look() == (["b"], [])
    assert run.look() == ([], [])


@pytest.mark.parametrize(
    "special",
    [
        task("late", "a", inputs=[Input("a", "out", "/workspace/in")]),
        task("late", "a", args=["${{ tasks.a.values.key }}"]),
        task("late", finally_=True),
        task("late", "a", when="failure"),
        task("late", "a", when=TaskIs("a", "failed")),
    ],
    ids=["inputs", "values", "finally", "after a failure", "by a state"],
)
def test_what_is_known_only_when_others_have_ended_is_not_prepared(special: ScheduledTask) -> None:
    run = Run(task("a", outputs={"out": Output("out")}), special)
    run.start()
    assert run.look() == ([], [])


@pytest.mark.parametrize("when", ["success", "always"])
def test_a_condition_that_will_probably_hold_is_no_hindrance(when: When) -> None:
    run = Run(task("a"), task("b", "a", when=when))
    run.start()
    assert run.look() == ([], ["b"])


def test_a_task_that_is_tried_again_is_not_prepared_again() -> None:
    run = Run(task("a"), task("b", "a"), task("c", "b"))
    run.start()
    run.look()
    run.plan.succeed(run.index("a"))
    run.start()
    assert run.look() == ([], ["c"])
    run.plan.retry(run.index("b"))
    run.plan.requeue(run.index("b"))
    assert run.look() == ([], [])
    assert run.start() == "b"
    assert run.look() == ([], [])


def test_gated_sandboxes_count_as_memory() -> None:
    tasks = [task("a"), *(task(f"t{number}", "a") for number in range(4))]
    assert Run(*tasks, memory=64 * MIB).look() == ([], ["a"])
    run = Run(*tasks, memory=64 * MIB + 2 * GATED_BYTES + 1)
    run.start()
    assert run.look() == ([], ["t0", "t1"])


def test_a_task_that_needs_the_room_gets_it() -> None:
    run = Run(task("a"), task("b"), task("c", "a"), task("d", "a"), memory=128 * MIB + GATED_BYTES)
    run.start()
    assert run.look() == ([], ["b", "c", "d"])
    assert run.start() == "b"
    assert run.look() == (["d"], [])


def test_what_an_earlier_process_began_is_not_prepared() -> None:
    dag = TaskDAG([task("a"), task("b"), task("c")])
    plan = Plan(dag, Admission(range(3), recorded={0: 1}, in_flight={1: (0, 0)}))
    assert LookAhead(dag, plan, 4).look().next == [2]


@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 4))
def test_over_whole_runs(seed: int, slots: int, most: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    tasks = [
        task(f"t{index}", *{f"t{chance.randrange(index)}" for _ in range(chance.randrange(3))} if index else ())
        for index in range(12)
    ]
    run = Run(*tasks, most=most, slots=slots)
    prepared: set[str] = set()
    ever: set[str] = set()
    running: list[int] = []
    while run.plan.unfinished:
        while run.plan.may_start:
            started = run.start()
            prepared.discard(started)
            running.append(run.index(started))
        given_up, chosen = run.look()
        assert prepared.issuperset(given_up)
        prepared.difference_update(given_up)
        assert not ever.intersection(chosen)
        for task_id in chosen:
            states = {run.plan.state(run.index(needed)) for needed in run.dag[task_id].depends_on}
            assert states <= {TaskState.RUNNING, TaskState.SUCCEEDED}
            assert run.plan.state(run.index(task_id)) in {TaskState.PENDING, TaskState.READY}
        prepared.update(chosen)
        ever.update(chosen)
        assert len(prepared) <= most
        ended = running.pop(chance.randrange(len(running)))
        if chance.random() < 0.8:
            run.plan.succeed(ended)
        else:
            run.plan.fail(ended)
    given_up, chosen = run.look()
    assert not chosen
    assert set(given_up) == prepared


@pytest.mark.parametrize("value", [-1, 1.5, True, "2"])
def test_the_option_is_a_whole_number(value: Any) -> None:
    with pytest.raises(ValueError, match="prepare_ahead must be a whole number of at least 0"):
        EpicExecutionOptions(prepare_ahead=value)
