"""What the engine could be asked, and when it was full, by its own clock."""

from datetime import UTC, datetime, timedelta

from dockersched.sandbox.docker.health import EngineHealth

T0 = datetime(2026, 1, 31, tzinfo=UTC)


class Clock:
    """Goes on by a second whenever it is asked to."""

    def __init__(self) -> None:
        self.time = T0

    def now(self) -> datetime:
        return self.time

    def tick(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


def test_an_engine_is_full_until_a_later_start_had_room() -> None:
    clock = Clock()
    health = EngineHealth(clock.now)
    before = clock.tick()
    assert not health.was_full_since(before)
    under_way = clock.tick()
    clock.tick()
    health.full()
    health.had_room(under_way)
    # Started after the refusal, by calls that were begun before it: it may write while there is no room.
    started = clock.tick()
    assert health.was_full_since(started)
    later = clock.tick()
    clock.tick()
    health.had_room(later)
    assert health.was_full_since(started)
    assert not health.was_full_since(clock.tick())


def test_an_outage_begins_before_the_last_call_that_was_answered() -> None:
    clock = Clock()
    health = EngineHealth(clock.now)
    health.answered(T0 + timedelta(seconds=10))
    health.lost()
    assert lost_between(health, 9, 9)
    assert not lost_between(health, 8, 8)
    clock.time = T0 + timedelta(seconds=20)
    health.answered(clock.time)
    assert lost_between(health, 20, 20)
    assert not lost_between(health, 21, 21)
    assert lost_between(health, 8, 21)
    assert not lost_between(health, 7, 8)


def lost_between(health: EngineHealth, first_s: float, last_s: float) -> bool:
    return health.was_lost_between(T0 + timedelta(seconds=first_s), T0 + timedelta(seconds=last_s))
