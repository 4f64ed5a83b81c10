"""The plan against a plain model of what a graph's states must be."""

from collections.abc import Collection, Sequence

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from dockersched import ParallelTaskScheduler, ScheduledTask, StateError, TaskDAG, TaskState
from dockersched.graph.admission import Admission
from dockersched.graph.demand import Limits
from dockersched.graph.plan import Plan
from dockersched.graph.transitions import FINAL_STATES, TRANSITIONS
from dockersched.model import Input, Output, TaskIs, ValueIs, When

Edges = list[set[int]]


@st.composite
def graphs(draw: st.DrawFn) -> Edges:
    """For each task, by index, the tasks it depends on, by index; acyclic, in a shuffled declaration order."""
    size = draw(st.integers(1, 16))
    order = draw(st.permutations(range(size)))
    edges: Edges = [set() for _ in range(size)]
    for position, index in enumerate(order):
        if position:
            edges[index] = set(draw(st.lists(st.sampled_from(order[:position]), max_size=2)))
    return edges


def dag_of(
    edges: Edges, lenient: Collection[int] = (), whens: Sequence[When] = (), at_end: Collection[int] = ()
) -> TaskDAG:
    return TaskDAG(
        ScheduledTask(
            f"t{index}",
            [f"t{dependency}" for dependency in sorted(edges[index])],
            "true",
            allow_failure=index in lenient,
            finally_=index in at_end,
            inputs=[
                Input(f"t{one}", "o", f"/workspace/{one}")
                for one in sorted(edges[index] - set(at_end))
                if index in at_end
            ],
            outputs={"o": Output("o")},
            when=whens[index] if whens else "success",
        )
        for index in range(len(edges))
    )


SLOTS, CPUS, MEMORY, PATIENCE = 4, 4, 4, 2
DEMANDS = st.tuples(st.sampled_from([0, 1, 1, 2, CPUS]), st.sampled_from([0, 0, 1, 2, MEMORY]))


FINAL = {str(state) for state in FINAL_STATES}


def conditions(needed: set[int]) -> st.SearchStrategy[When]:
    """Of a task that depends on these."""
    if not needed:
        return st.just("success")
    rules: list[When] = ["success", "success", "success", "failure", "always"]
    asked = st.builds(
        TaskIs, st.sampled_from([f"t{one}" for one in needed]), st.sampled_from(["succeeded", "failed", "skipped"])
    )
    value = st.builds(
        ValueIs, st.sampled_from([f"t{one}" for one in needed]), st.just("v"), st.just("1"), st.booleans()
    )
    return st.sampled_from(rules) | asked | value


class PlanMachine(RuleBasedStateMachine):
    """Drives a plan as a scheduler may, and keeps the states by the simplest code that is right."""

    @initialize(edges=graphs(), data=st.data())
    def build(self, edges: Edges, data: st.DataObject) -> None:
        self.edges = edges
        self.lenient = data.draw(st.sets(st.sampled_from(range(len(edges)))))
        self.whens = [data.draw(conditions(needed)) for needed in edges]
        self.at_end = data.draw(st.just(set()) | st.sets(st.sampled_from(range(len(edges)))))
        for index in dag_of(edges).topological:  # who depends on one of them is one of them
            if edges[index] & self.at_end:
                self.at_end.add(index)
        self.dag = dag_of(edges, self.lenient, self.whens, self.at_end)
        self.demands = [data.draw(DEMANDS) for _ in edges]
        self.order = data.draw(st.permutations(range(len(edges))))
        limits = Limits(SLOTS, CPUS, MEMORY)
        self.plan = Plan(self.dag, Admission(self.order, self.demands, limits, patience=PATIENCE))
        self.states = ["pending"] * len(edges)
        self.written: dict[int, dict[str, str] | None] = {}
        self.passed = [0] * len(edges)
        self.kept: int | None = None
        self.since: set[int] = set()
        self.refresh()

    def holds(self, indexes: Collection[int]) -> tuple[int, int, int]:
        """What these tasks hold together: slots, CPUs, memory."""
        return (
            len(indexes),
            sum(self.demands[index][0] for index in indexes),
            sum(self.demands[index][1] for index in indexes),
        )

    def fits(self, index: int, *, beside: list[int]) -> bool:
        totals = (SLOTS, CPUS, MEMORY)
        return all(held <= total for held, total in zip(self.holds([*beside, index]), totals, strict=True))

    def may_start(self, index: int) -> bool:
        """The rule for one task, by what is in the whole, what runs, and for whom room is kept."""
        if not self.fits(index, beside=self.among("running", "stopping")):
            return False
        return self.kept in {None, index} or self.fits(index, beside=[*self.since, self.kept or 0])

    def to_start(self) -> int | None:
        """Who starts next: for whom room is kept, else the first in order that may."""
        ready = [index for index in self.order if self.states[index] == "ready"]
        if self.kept is not None and self.may_start(self.kept):
            return self.kept
        return next((index for index in ready if self.may_start(index)), None)

    def note_start(self, index: int) -> None:
        if self.kept == index:
            self.kept = None
        elif self.kept is not None:
            self.since.add(index)
        else:
            before = self.order[: self.order.index(index)]
            passed = [other for other in before if self.states[other] == "ready"]
            if passed:
                self.passed[passed[0]] += 1
                if self.passed[passed[0]] >= PATIENCE:
                    self.kept, self.since = passed[0], set()
        self.passed[index] = 0

    def leave(self, index: int) -> None:
        """A task is not ready or running any more."""
        self.since.discard(index)
        if self.kept == index:
            self.kept = None

    def refresh(self) -> list[int]:
        """Moves what waits by its condition, each task after those that it depends on; who came to an end by that."""
        moved = []
        for index in sorted(self.dag.topological, key=self.at_end.__contains__):
            if self.states[index] == "pending" and (state := self.follows(index)):
                self.states[index] = state
                if state != "ready":
                    moved.append(index)
        return sorted(moved)

    def follows(self, index: int) -> str | None:
        """The rule for one task, by the states that it sees."""
        when, needed = self.whens[index], self.edges[index]
        asked = {int(when.task[1:])} if isinstance(when, TaskIs) else set()
        over = all(self.states[one] in FINAL for one in needed) and (index not in self.at_end or self.is_closing())
        met = {one for one in needed if self.is_met(one) or (index in self.at_end and one not in self.at_end)}
        seen = {"succeeded" if one in met else self.states[one] for one in needed - asked} & FINAL
        failed, cancelled = bool(seen & {"failed", "upstream_failed"}), "cancelled" in seen
        if when == "always":
            return "ready" if over else None
        if when == "failure":
            return None if not over else "ready" if failed else "cancelled" if cancelled else "skipped"
        if failed or cancelled:
            return "upstream_failed" if failed else "cancelled"
        if not over:
            return None
        ended = {self.states[one].removeprefix("upstream_") for one in asked}
        holds = ended == {when.ending} if isinstance(when, TaskIs) else self.value_holds(when)
        if "skipped" not in seen and holds:
            return "ready"
        return "cancelled" if "cancelled" in ended and "skipped" not in seen else "skipped"

    def value_holds(self, when: When) -> bool:
        if not isinstance(when, ValueIs):
            return True
        written = self.written.get(int(when.task[1:]), {})
        return written is None or ("v" in written and (written["v"] == when.text) == when.equal)

    def is_closing(self) -> bool:
        return all(state in FINAL for index, state in enumerate(self.states) if index not in self.at_end)

    def is_met(self, index: int) -> bool:
        return self.states[index] == "succeeded" or (self.states[index] == "failed" and index in self.lenient)

    def ended(self, index: int, state: str) -> list[int]:
        """A task came to an end; which others did by that."""
        self.leave(index)
        self.states[index] = state
        return self.refresh()

    def among(self, *states: str) -> list[int]:
        return [index for index, state in enumerate(self.states) if state in states]

    @precondition(lambda self: self.plan.may_start)
    @rule(most=st.integers(1, 4))
    def start(self, most: int) -> None:
        for _ in range(most):
            if (expected := self.to_start()) is None:
                break
            assert self.plan.start_next() == expected
            self.states[expected] = "running"
            self.note_start(expected)

    @precondition(lambda self: self.among("running", "stopping"))
    @rule(data=st.data(), kind=st.sampled_from([*["succeed"] * 6, "fail", "cancel"]))
    def end(self, data: st.DataObject, kind: str) -> None:
        index = data.draw(st.sampled_from(self.among("running", "stopping")))
        self.leave(index)
        if kind == "succeed":
            self.written[index] = data.draw(st.sampled_from([None, {}, {"v": "1"}, {"v": "2"}]))
            assert self.plan.succeed(index, self.written[index]) == self.ended(index, "succeeded")
        elif kind == "fail":
            assert self.plan.fail(index) == self.ended(index, "failed")
        else:
            assert self.plan.cancel(index) == self.ended(index, "cancelled")

    @precondition(lambda self: self.among("running"))
    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(self.among("running")))
        self.plan.retry(index)
        self.leave(index)
        self.states[index] = "retrying"

    @precondition(lambda self: self.among("retrying"))
    @rule(data=st.data(), demand=DEMANDS)
    def grow(self, data: st.DataObject, demand: tuple[int, int]) -> None:
        index = data.draw(st.sampled_from(self.among("retrying")))
        self.plan.admission.set_demand(index, demand)
        self.demands[index] = demand

    @rule(data=st.data())
    def requeue(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.states) - 1))
        was_retrying = self.states[index] == "retrying"
        assert self.plan.requeue(index) == was_retrying
        if was_retrying:
            self.states[index] = "ready"

    @precondition(lambda self: self.among("running"))
    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        index = data.draw(st.sampled_from(self.among("running")))
        self.plan.stop(index)
        self.states[index] = "stopping"

    @precondition(lambda self: self.among("pending", "ready", "retrying"))
    @rule(
        data=st.data(), kind=st.sampled_from(["reject", "withdraw", "cancel_waiting", "cancel_main", *["nothing"] * 12])
    )
    def give_up(self, data: st.DataObject, kind: str) -> None:
        """Rarely: else there is soon nothing left to start."""
        waiting = self.among("pending", "ready", "retrying")
        unstarted = self.among("pending", "ready")
        if kind == "reject" and unstarted:
            index = data.draw(st.sampled_from(unstarted))
            assert self.plan.reject(index) == self.ended(index, "failed")
        elif kind == "withdraw":
            index = data.draw(st.sampled_from(waiting))
            assert self.plan.withdraw(index) == self.ended(index, "cancelled")
        elif kind in {"cancel_waiting", "cancel_main"}:
            spared = self.at_end if kind == "cancel_main" else set()
            cancelled = [] if spared and self.is_closing() else [one for one in waiting if one not in spared]
            if kind == "cancel_waiting" or not self.is_closing():
                self.kept = None
            for index in cancelled:
                self.states[index] = "cancelled"
            moved = sorted([*cancelled, *self.refresh()])
            assert self.plan.cancel_waiting(spare_final=kind == "cancel_main") == moved

    @invariant()
    def agrees(self) -> None:
        self.plan.check()
        assert [str(self.plan.state(index)) for index in range(len(self.states))] == self.states
        assert self.plan.may_start == (self.to_start() is not None)
        slots, cpus, memory = self.holds(self.among("running", "stopping"))
        assert self.plan.admission.free() == (SLOTS - slots, CPUS - cpus, MEMORY - memory)
        assert min(self.plan.admission.free()) >= 0
        kept = self.plan.admission.kept_for
        assert kept == self.kept
        if not self.among("running", "stopping") and self.among("ready"):
            assert self.plan.may_start  # nothing waits for nothing
        assert self.plan.is_closing == self.is_closing()
        main = [index for index in range(len(self.states)) if index not in self.at_end]
        if set(self.whens) == {"success"} and (not self.at_end or all(map(self.is_met, main))):
            completed = {f"t{index}" for index in range(len(self.states)) if self.is_met(index)}
            ready = [found.id for found in ParallelTaskScheduler.get_ready_tasks(self.dag, completed)]
            started = self.among("running", "stopping", "retrying", "failed", "cancelled")
            assert [f"t{index}" for index in self.among("ready")] == [
                task_id for task_id in ready if int(task_id[1:]) not in started
            ]


PlanMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestPlan = PlanMachine.TestCase


def test_tasks_released_together_start_in_declaration_order() -> None:
    plan = Plan(dag_of([set(), {0}, {0}, set()]))
    assert [plan.start_next(), plan.start_next()] == [0, 3]
    plan.succeed(0)
    assert [plan.start_next(), plan.start_next()] == [1, 2]


def test_an_illegal_transition_tells_the_history() -> None:
    plan = Plan(dag_of([set()]))
    plan.start_next()
    plan.succeed(0)
    with pytest.raises(StateError, match="'t0' cannot become failed after pending -> ready -> running -> succeeded"):
        plan.fail(0)


def test_check_finds_a_miscount() -> None:
    plan = Plan(dag_of([set(), {0}]))
    plan.unfinished = 1
    with pytest.raises(StateError, match="miscounted"):
        plan.check()


def test_every_state_has_its_transitions() -> None:
    assert set(TRANSITIONS) == set(TaskState)
    assert {str(state) for state in FINAL_STATES} == {
        "succeeded", "failed", "upstream_failed", "skipped", "cancelled",
    }  # fmt: skip


def test_a_dependency_named_twice_counts_once() -> None:
    dag = TaskDAG([ScheduledTask("a", [], "true"), ScheduledTask("b", ["a", "a"], "true")])
    plan = Plan(dag)
    plan.succeed(plan.start_next())
    assert plan.start_next() == 1
