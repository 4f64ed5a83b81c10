"""Which ready task may start now: the first in order whose share of slots, CPUs and memory is free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heappop, heappush

from msgspec import Struct, field

from dockersched.errors import StateError
from dockersched.graph.demand import NOTHING, Demand, Limits

LOOK_AHEAD = 16
"""How many different demands that do not fit are looked past. It bounds the cost of a start, whatever the epic."""

PATIENCE = 8
"""How many tasks that come later in the order may start before one that does not fit, until room is kept for it."""


class Reservation(Struct):
    """Room that is kept for a task: others start only in what it leaves of the whole.

    So it waits for none but those that ran already when it was made, the last of which leaves it a slot, too.
    """

    rank: int
    nano_cpus: float
    memory_bytes: float
    started: set[int] = field(default_factory=set)


class Admission:
    """The ready tasks, and what the running ones hold. Tasks are named by their index, and `add`ed when ready.

    The first task in order that fits starts. One that does not fit is passed over, until `patience` tasks from behind
    it have started; then room is kept for it. There is one reservation at a time, for the first in order of those that
    do not fit. A start costs O(log tasks), and O(`LOOK_AHEAD`) where that many different demands wait.

    Args:
        order: all tasks, the one that starts first in front.
        demands: of each task, at most the whole; None asks for slots alone.
        limits: the whole.
        recorded: how many attempts of tasks are on record, where there are any: they ask for a slot alone.
        in_flight: what attempts hold that come after those and may have a sandbox already.
        patience: how many tasks from behind may start before one that does not fit.
    """

    def __init__(
        self,
        order: Sequence[int],
        demands: Sequence[Demand] | None = None,
        limits: Limits | None = None,
        *,
        recorded: Mapping[int, int] | None = None,
        in_flight: Mapping[int, Demand] | None = None,
        patience: int = PATIENCE,
    ) -> None:
        self.limits = limits or Limits()
        self._patience = patience
        self._at = order
        self._rank = [0] * len(order)
        for rank, index in enumerate(order):
            self._rank[index] = rank
        self._demands = list(demands) if demands is not None else [NOTHING] * len(order)
        self._slots, self._nano_cpus, self._memory_bytes = (
            self.limits.slots,
            self.limits.nano_cpus,
            self.limits.memory_bytes,
        )
        self._fresh: list[int] = []  # ranks that were never found not to fit
        self._parked: dict[Demand, list[int]] = {}  # ranks that were, by their demand: they fit or not together
        self._recorded: list[int] = []  # ranks of those whose next attempt is on record, and needs no share
        self._resumed: list[int] = []  # ranks of those whose share has been held since before they were ready
        self._next: int | None = None
        self._passed: dict[int, int] = {}
        self.reservation: Reservation | None = None
        self.holding: dict[int, Demand] = {}
        self.recorded = dict(recorded or {})
        self.in_flight = dict(in_flight or {})
        for demand in self.in_flight.values():
            self._charge(demand, -1)

    def add(self, index: int) -> None:
        """A task is ready."""
        held = self._resumed if index in self.in_flight else self._fresh
        heappush(self._recorded if index in self.recorded else held, self._rank[index])
        self._next = None

    def next(self) -> int | None:
        """The task that may start now; None when none may."""
        if self._next is None:
            self._next = self._find()
        return None if self._next is None else self._at[self._next]

    def take(self) -> int:
        """Starts what `next` gives.

        Raises:
            StateError: no task may start now.
        """
        index = self.next()
        if index is None:
            raise StateError("no task may start now")
        rank = self._rank[index]
        self._drop(rank)
        self._passed.pop(rank, None)
        demand = self._demands[index]
        if index in self.recorded:
            demand = NOTHING
            self.recorded[index] -= 1
            if not self.recorded[index]:
                del self.recorded[index]
        elif index in self.in_flight:
            self._charge(self.in_flight.pop(index), 1)
        self._charge(demand, -1)
        self._slots -= 1
        self.holding[index] = demand
        self._keep_room(index, rank, demand)
        return index

    def take_recorded(self) -> int | None:
        """Starts a ready task of which an attempt is on record, whatever is free; None when there is none."""
        return self._take_first(self._recorded)

    def take_in_flight(self) -> int | None:
        """Starts a ready task whose attempt may have its sandbox already; None when there is none."""
        return self._take_first(self._resumed)

    def release(self, index: int) -> None:
        """A task's sandbox is gone."""
        demand = self.holding.pop(index)
        self._slots += 1
        self._charge(demand, 1)
        if self.reservation is not None and index in self.reservation.started:
            self.reservation.started.discard(index)
            self._widen(self.reservation, demand, 1)

    def remove(self, index: int) -> None:
        """A ready task will not start after all."""
        rank = self._rank[index]
        self._drop(rank)
        if self.reservation is not None and self.reservation.rank == rank:
            self.reservation = None

    def forget(self, index: int) -> None:
        """A task will not be resumed: what was held for it is free."""
        self.recorded.pop(index, None)
        if index in self.in_flight:
            self._charge(self.in_flight.pop(index), 1)

    def clear(self) -> None:
        """No ready task will start."""
        self._fresh.clear()
        self._parked.clear()
        self._recorded.clear()
        self._resumed.clear()
        self.reservation = self._next = None

    def set_demand(self, index: int, demand: Demand) -> None:
        """Changes what a task asks for that is neither ready nor running."""
        self._demands[index] = demand

    def rank(self, index: int) -> int:
        """Where a task stands in the order, from 0."""
        return self._rank[index]

    def demand(self, index: int) -> Demand:
        """What a task asks for."""
        return self._demands[index]

    def free(self) -> Limits:
        """What nobody holds; less than nothing where resumed sandboxes hold more than the whole."""
        return Limits(self._slots, self._nano_cpus, self._memory_bytes)

    @property
    def kept_for(self) -> int | None:
        """The task for which room is kept, if there is one."""
        return None if self.reservation is None else self._at[self.reservation.rank]

    def ready(self) -> list[int]:
        """The ready tasks, in order."""
        parked = (rank for ranks in self._parked.values() for rank in ranks)
        earlier, new = sorted([*self._recorded, *self._resumed]), sorted([*self._fresh, *parked])
        return [self._at[rank] for rank in [*earlier, *new]]

    def room(self) -> Limits:
        """What the next task may take: what is free, and not kept for another one."""
        slots, kept = self._slots - len(self.in_flight), self.reservation
        if kept is None:
            return Limits(slots, self._nano_cpus, self._memory_bytes)
        return Limits(slots, min(self._nano_cpus, kept.nano_cpus), min(self._memory_bytes, kept.memory_bytes))

    def _take_first(self, ranks: Sequence[int]) -> int | None:
        if not ranks:
            return None
        self._next = ranks[0]
        return self.take()

    def _find(self) -> int | None:
        """The rank of the task that may start now."""
        if (self._recorded or self._resumed) and self._slots >= 1:
            return min([*self._recorded[:1], *self._resumed[:1]])
        if not (self._fresh or self._parked):
            return None
        found = self._find_new()
        if found is None and self.in_flight and not self.holding:
            # None of those whose shares are held is ready: they wait for what has to run first.
            for demand in self.in_flight.values():
                self._charge(demand, 1)
            self.in_flight.clear()
            found = self._find_new()
        return found

    def _find_new(self) -> int | None:
        """The rank of the task that may start now and was not begun by an earlier process."""
        if self._slots <= len(self.in_flight):
            return None
        kept = self.reservation
        if kept is None:
            return self._first_within(self._nano_cpus, self._memory_bytes)
        demand = self._demands[self._at[kept.rank]]
        if demand[0] <= self._nano_cpus and demand[1] <= self._memory_bytes:
            return kept.rank
        _, nano_cpus, memory_bytes = self.room()
        return self._first_within(nano_cpus, memory_bytes)

    def _first_within(self, nano_cpus: float, memory_bytes: float) -> int | None:
        """The rank of the first task that asks for no more. Those that do are parked, each one once."""
        fresh, parked = self._fresh, self._parked
        best: int | None = None
        for demand, ranks in parked.items():
            if demand[0] <= nano_cpus and demand[1] <= memory_bytes and (best is None or ranks[0] < best):
                best = ranks[0]
        while fresh and (best is None or fresh[0] < best):
            demand = self._demands[self._at[fresh[0]]]
            if demand[0] <= nano_cpus and demand[1] <= memory_bytes:
                return fresh[0]
            if len(parked) >= LOOK_AHEAD and demand not in parked:
                break
            heappush(parked.setdefault(demand, []), heappop(fresh))
        return best

    def _keep_room(self, index: int, rank: int, demand: Demand) -> None:
        """Counts whom this start has passed over, and keeps room for who has waited long enough."""
        kept = self.reservation
        if kept is not None:
            if kept.rank == rank:
                self.reservation = None
            else:
                kept.started.add(index)
                self._widen(kept, demand, -1)
        elif self._parked:
            first = min(self._parked.values())[0]  # no rank is in two heaps, so the first ones decide
            if first < rank:
                passed = self._passed[first] = self._passed.get(first, 0) + 1
                if passed >= self._patience:
                    nano_cpus, memory_bytes = self._demands[self._at[first]]
                    self.reservation = Reservation(
                        first, self.limits.nano_cpus - nano_cpus, self.limits.memory_bytes - memory_bytes
                    )

    def _drop(self, rank: int) -> None:
        """Takes a ready task from where it waits."""
        self._next = None
        if self._fresh and self._fresh[0] == rank:
            heappop(self._fresh)
            return
        demand = self._demands[self._at[rank]]
        for ranks in (self._parked.get(demand, []), self._recorded, self._resumed, self._fresh):
            if ranks and ranks[0] == rank:
                heappop(ranks)
            elif rank in ranks:
                ranks.remove(rank)
                heapify(ranks)
            else:
                continue
            break
        if not self._parked.get(demand, True):
            del self._parked[demand]

    def _charge(self, demand: Demand, sign: int) -> None:
        self._nano_cpus += sign * demand[0]
        self._memory_bytes += sign * demand[1]
        self._next = None

    @staticmethod
    def _widen(kept: Reservation, demand: Demand, sign: int) -> None:
        kept.nano_cpus += sign * demand[0]
        kept.memory_bytes += sign * demand[1]
