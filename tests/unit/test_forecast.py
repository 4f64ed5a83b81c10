"""What a plan tells before and while it is carried out: when tasks would run, and what they wait for."""

from __future__ import annotations

import pytest

from dockersched import ScheduledTask, TaskDAG
from dockersched.graph.admission import Admission
from dockersched.graph.demand import Limits
from dockersched.graph.forecast import Span, critical_path, forecast, lower_bound_s, makespan_s
from dockersched.graph.order import start_order
from dockersched.graph.plan import Plan
from dockersched.graph.waiting import Wait, holders, wait_of
from dockersched.model import ValueIs

DAG = TaskDAG(
    [
        ScheduledTask("short", [], "true"),
        ScheduledTask("long", [], "true"),
        ScheduledTask("middle", ["long"], "true"),
        ScheduledTask("end", ["short", "middle"], "true"),
    ]
)
DURATIONS = [4.0, 2.0, 1.0, 3.0]


@pytest.mark.parametrize(
    ("slots", "spans"),
    [
        (2, [Span(0, 4), Span(0, 2), Span(2, 3), Span(4, 7)]),
        (1, [Span(0, 4), Span(4, 6), Span(6, 7), Span(7, 10)]),
    ],
)
def test_a_forecast_is_what_the_plan_does(slots: int, spans: list[Span]) -> None:
    plan = Plan(DAG, Admission(start_order(DAG, DURATIONS), limits=Limits(slots)))
    assert forecast(plan, DURATIONS) == spans
    assert makespan_s(spans) == lower_bound_s(DAG, DURATIONS, slots)


def test_the_critical_path_runs_from_a_start_to_an_end() -> None:
    assert critical_path(DAG, DURATIONS) == [0, 3]
    assert critical_path(DAG, [1.0, 2.0, 1.0, 3.0]) == [1, 2, 3]


def test_the_critical_path_goes_on_at_the_end() -> None:
    tasks = [ScheduledTask("short", [], "true"), ScheduledTask("build", [], "true", values=("v",))]
    tasks += [ScheduledTask("test", ["build"], "true"), ScheduledTask("tidy", [], "true", finally_=True)]
    tasks += [ScheduledTask("tell", [], "true", finally_=True, when=ValueIs("build", "v", "x"))]
    dag, durations = TaskDAG(tasks), [2.0, 2.0, 1.0, 1.0, 5.0]
    assert [dag.tasks[index].id for index in critical_path(dag, durations)] == ["build", "test", "tell"]
    assert makespan_s(forecast(Plan(dag), durations)) == lower_bound_s(dag, durations, 9) == 8.0


def test_nothing_takes_no_time() -> None:
    empty = TaskDAG([])
    assert (makespan_s(forecast(Plan(empty), [])), critical_path(empty, []), lower_bound_s(empty, [], 1)) == (0, [], 0)


def waiting(limits: Limits, patience: int = 9) -> Admission:
    """0 and 1 run and hold two CPUs and four memory; 2 wants as many CPUs, 3 a lot of memory, 4 nothing."""
    demands = [(1, 3), (1, 1), (2, 1), (1, 5), (0, 0)]
    admitting = Admission(range(5), demands, limits, patience=patience)
    for index in range(5):
        admitting.add(index)
    assert [admitting.take(), admitting.take()] == [0, 1]
    return admitting


def test_a_task_waits_for_what_it_lacks_and_others_hold() -> None:
    admitting = waiting(Limits(3, 3, 8))
    assert wait_of(admitting, 2) == Wait(["cpus"], {"cpus": [0, 1]}, None, [])
    assert wait_of(admitting, 3) == Wait(["memory"], {"memory": [0, 1]}, None, [2])
    assert wait_of(admitting, 4) == Wait([], {}, None, [2, 3])


def test_a_task_waits_for_a_slot() -> None:
    admitting = waiting(Limits(2, 9, 9))
    assert wait_of(admitting, 4) == Wait(["slots"], {"slots": [0, 1]}, None, [2, 3])


def test_a_task_waits_for_another_one_for_which_room_is_kept() -> None:
    admitting = Admission(range(4), [(2, 0), (3, 0), (1, 0), (1, 0)], Limits(nano_cpus=3), patience=1)
    for index in range(4):
        admitting.add(index)
    assert [admitting.take(), admitting.take()] == [0, 2]
    admitting.release(2)
    assert wait_of(admitting, 1) == Wait(["cpus"], {"cpus": [0]}, None, [])
    assert wait_of(admitting, 3) == Wait(["cpus"], {"cpus": [0]}, 1, [1])


def test_a_task_waits_for_what_is_still_to_be_resumed() -> None:
    admitting = Admission(range(2), [(1, 1)] * 2, Limits(1, 1, 1), in_flight={1: (1, 1)})
    admitting.add(0)
    assert wait_of(admitting, 0) == Wait(
        ["slots", "cpus", "memory"], {"slots": [1], "cpus": [1], "memory": [1]}, None, []
    )


def test_who_holds_nothing_of_a_resource_is_no_holder() -> None:
    admitting = Admission(range(3), [(0, 1), (2, 0), (3, 1)])
    for index in range(3):
        admitting.add(index)
        admitting.take()
    assert holders(admitting, "cpus") == [2, 1]
    assert holders(admitting, "memory") == [0, 2]
    assert holders(admitting, "slots") == [0, 1, 2]
