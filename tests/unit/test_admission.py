"""Which ready task starts: sums stay within the whole, nobody starves, and a resumed run counts what is there."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from dockersched.errors import StateError
from dockersched.graph.admission import LOOK_AHEAD, Admission
from dockersched.graph.demand import Demand, Limits


def admission(demands: Sequence[Demand], limits: Limits, patience: int = 2) -> Admission:
    """One whose tasks are all ready and ordered as they are listed."""
    made = Admission(range(len(demands)), demands, limits, patience=patience)
    for index in range(len(demands)):
        made.add(index)
    return made


def start_all(admitting: Admission) -> list[int]:
    """Starts what may start now."""
    started = []
    while admitting.next() is not None:
        started.append(admitting.take())
    return started


class PlainRule:
    """The rule as it is written, for tasks that are all ready, in order of their indexes."""

    def __init__(self, demands: Sequence[Demand], limits: Limits, patience: int) -> None:
        self.demands, self.limits, self.patience = demands, limits, patience
        self.ready = list(range(len(demands)))
        self.running: list[int] = []
        self.passed = [0] * len(demands)
        self.kept: int | None = None
        self.since: list[int] = []

    def fit_together(self, indexes: Sequence[int]) -> bool:
        return (
            len(indexes) <= self.limits.slots
            and sum(self.demands[index][0] for index in indexes) <= self.limits.nano_cpus
            and sum(self.demands[index][1] for index in indexes) <= self.limits.memory_bytes
        )

    def start(self) -> int | None:
        if self.kept is not None and self.fit_together([*self.running, self.kept]):
            chosen = self.kept
            self.kept = None
        else:
            beside = [] if self.kept is None else [*self.since, self.kept]
            fitting = (
                index
                for index in self.ready
                if index != self.kept
                and self.fit_together([*self.running, index])
                and (self.kept is None or self.fit_together([*beside, index]))
            )
            if (found := next(fitting, None)) is None:
                return None
            chosen = found
            if self.kept is not None:
                self.since.append(chosen)
            elif self.ready[0] < chosen:
                self.passed[self.ready[0]] += 1
                if self.passed[self.ready[0]] == self.patience:
                    self.kept, self.since = self.ready[0], []
        self.ready.remove(chosen)
        self.running.append(chosen)
        return chosen

    def end(self, index: int) -> None:
        self.running.remove(index)
        if index in self.since:
            self.since.remove(index)


@pytest.mark.parametrize("seed", range(20))
def test_starts_are_those_of_the_plain_rule(seed: int) -> None:
    choose = random.Random(seed)  # noqa: S311 - a workload is no secret
    limits = Limits(choose.randint(2, 5), 8, 8)
    demands = [(choose.choice([0, 1, 1, 2, 6]), choose.choice([0, 0, 1, 2, 8])) for _ in range(150)]
    patience = choose.randint(1, 3)
    real, plain = admission(demands, limits, patience), PlainRule(demands, limits, patience)
    kept = 0
    while plain.ready or plain.running:
        while (expected := plain.start()) is not None:
            assert real.take() == expected
            assert real.kept_for == plain.kept
        assert real.next() is None
        assert real.ready() == plain.ready
        assert plain.running, "tasks wait, and nothing runs"
        kept += plain.kept is not None
        ended = choose.choice(plain.running)
        plain.end(ended)
        real.release(ended)
    assert kept > 0, "no task was so large that room was kept for it"
    assert real.free() == limits


def test_a_large_task_does_not_wait_for_ever() -> None:
    """Small tasks come without end; those that ran when room was kept are all that the large one waits for."""
    admitting = Admission(range(100), [(2, 0), *[(1, 0)] * 99], Limits(slots=4, nano_cpus=2), patience=3)
    admitting.add(1)
    assert start_all(admitting) == [1]
    admitting.add(0)
    passed = 0
    for index in range(2, 100):
        admitting.add(index)
        if (started := start_all(admitting)) and started != [0]:
            passed += 1
            admitting.release(index - 1 if index > 2 else 1)
        else:
            break
    assert passed == 3
    assert admitting.kept_for == 0
    admitting.release(index - 1)
    assert admitting.take() == 0


def test_room_is_kept_only_as_far_as_it_is_needed() -> None:
    demands = [(2, 3), (2, 1), (2, 0), (2, 2), (2, 1)]
    admitting = admission(demands, Limits(nano_cpus=4, memory_bytes=4), patience=1)
    # 0 runs. 1 fits beside it, and nothing more does.
    assert start_all(admitting) == [0, 1]
    admitting.release(1)
    # Of the second two CPUs, one memory is left. 3 wants two, and room is kept for it when 4 has passed it.
    assert start_all(admitting) == [2]
    admitting.release(2)
    assert start_all(admitting) == [4]
    assert admitting.kept_for == 3


def test_a_task_asks_for_another_share_the_next_time() -> None:
    admitting = admission([(1, 2), (1, 2)], Limits(memory_bytes=4))
    assert start_all(admitting) == [0, 1]
    admitting.release(0)
    admitting.set_demand(0, (1, 4))
    admitting.add(0)
    assert admitting.next() is None
    admitting.release(1)
    assert admitting.take() == 0


def test_a_share_that_is_not_free_cannot_be_taken() -> None:
    admitting = admission([(1, 0), (1, 0)], Limits(slots=1))
    admitting.take()
    with pytest.raises(StateError, match="no task may start"):
        admitting.take()


def test_at_most_so_many_different_demands_are_looked_past() -> None:
    large = [(100 + number, 0) for number in range(LOOK_AHEAD + 1)]
    admitting = admission([(101, 0), *large, (1, 0)], Limits(nano_cpus=200), patience=1000)
    # 99 are free, but the small task stands behind too many that want more.
    assert start_all(admitting) == [0]
    admitting.release(0)
    # The first of the large ones has started, so there is one less to look past.
    assert start_all(admitting) == [1, len(large) + 1]


def test_what_an_earlier_process_left_running_is_held_before_it_is_ready() -> None:
    limits = Limits(slots=8, nano_cpus=2, memory_bytes=8)
    admitting = Admission(range(3), [(1, 1)] * 3, limits, in_flight={2: (1, 1)})
    admitting.add(0)
    admitting.add(1)
    assert start_all(admitting) == [0]
    admitting.add(2)
    assert start_all(admitting) == [2]
    assert admitting.free() == Limits(6, 0, 6)
    admitting.release(2)
    assert start_all(admitting) == [1]


def test_a_slot_is_held_too_for_what_an_earlier_process_left_running() -> None:
    admitting = Admission(range(3), None, Limits(slots=2), in_flight={1: (0, 0)})
    admitting.add(0)
    admitting.add(2)
    assert start_all(admitting) == [0]
    admitting.add(1)
    assert start_all(admitting) == [1]
    admitting.release(1)
    assert start_all(admitting) == [2]


def test_nothing_is_held_for_what_waits_for_those_that_could_not_start_else() -> None:
    admitting = Admission(range(2), [(1, 0), (2, 0)], Limits(1, 2), in_flight={1: (2, 0)})
    admitting.add(0)
    assert start_all(admitting) == [0]
    admitting.release(0)
    admitting.add(1)
    assert start_all(admitting) == [1]
    admitting.release(1)
    assert admitting.free() == Limits(1, 2)


def test_of_what_is_resumed_only_what_is_asked_for_is_taken() -> None:
    admitting = Admission(range(3), None, Limits(slots=1), recorded={2: 1}, in_flight={0: (0, 0)})
    for index in range(3):
        admitting.add(index)
    assert admitting.ready() == [0, 2, 1]
    assert [admitting.take_recorded() for _ in range(2)] == [2, None]
    assert [admitting.take_in_flight() for _ in range(2)] == [0, None]


def test_an_attempt_on_record_needs_no_share() -> None:
    """Else what leads to a container that holds the whole could not be gone through again."""
    whole = (2, 2)
    admitting = Admission(range(2), [whole, whole], Limits(1, 2, 2), recorded={0: 2, 1: 1}, in_flight={1: whole})
    for _ in range(2):
        admitting.add(0)
        assert admitting.take() == 0
        assert admitting.holding[0] == (0, 0)
        admitting.release(0)
    for holds in ((0, 0), (2, 2)):
        admitting.add(1)
        assert admitting.take() == 1
        assert admitting.holding[1] == holds
        admitting.release(1)
    assert admitting.free() == (1, 2, 2)


def test_what_is_held_may_be_more_than_the_first_attempt_asked_for() -> None:
    """Its memory has grown: the attempts on record tell that again, one by one, before it is resumed."""
    admitting = Admission(range(2), [(1, 1), (1, 3)], Limits(8, 8, 4), recorded={0: 1}, in_flight={0: (1, 2)})
    admitting.add(0)
    admitting.add(1)
    assert start_all(admitting) == [0]
    admitting.release(0)
    assert admitting.free().memory_bytes == 2
    admitting.set_demand(0, (1, 2))
    admitting.add(0)
    assert start_all(admitting) == [0]
    assert admitting.free().memory_bytes == 2
    admitting.release(0)
    assert start_all(admitting) == [1]
    admitting.release(1)
    assert admitting.free() == (8, 8, 4)


def test_what_is_not_resumed_after_all_is_free() -> None:
    admitting = Admission(range(3), [(0, 0), (2, 2), (2, 2)], Limits(2, 2, 2), in_flight={1: (2, 2)})
    admitting.add(0)
    admitting.add(2)
    assert start_all(admitting) == [0]
    admitting.forget(1)
    assert admitting.take() == 2


def test_a_task_that_is_taken_back_waits_no_more() -> None:
    admitting = admission([(2, 0), (1, 0), (2, 0), (1, 0), (2, 0)], Limits(nano_cpus=2), patience=2)
    assert start_all(admitting) == [0]
    admitting.remove(2)
    assert admitting.ready() == [1, 3, 4]
    admitting.release(0)
    assert start_all(admitting) == [1, 3]
    admitting.clear()
    assert (admitting.ready(), admitting.next()) == ([], None)


def test_no_room_is_kept_for_a_task_that_is_taken_back() -> None:
    admitting = admission([(1, 0), (2, 0), (1, 0), (1, 0)], Limits(nano_cpus=2), patience=1)
    assert start_all(admitting) == [0, 2]
    assert admitting.kept_for == 1
    admitting.release(2)
    assert admitting.next() is None
    admitting.remove(1)
    assert admitting.take() == 3
