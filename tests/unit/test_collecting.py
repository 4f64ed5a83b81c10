"""Whether an exit code is believed, whatever is done to the engine and its clock."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.collecting import collect_ended
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason
from tests.support.engine_answers import inspected

T0 = datetime(2026, 1, 31, tzinfo=UTC)
HOUR_S = 3600.0


class World:
    """An engine with one container, and its clock, which can be set; ours cannot."""

    def __init__(self) -> None:
        self.passed_s = 0.0
        self.health = EngineHealth(lambda: T0 + timedelta(seconds=self.passed_s))
        self._set_s = 0.0
        self._events: list[datetime] = []
        self._state: dict[str, Any] = {}
        self.asked_for_events = 0

    @property
    def time(self) -> datetime:
        return T0 + timedelta(seconds=self.passed_s + self._set_s)

    def set_clock(self, by_s: float) -> None:
        self._set_s += by_s

    def let_pass(self, seconds: float) -> None:
        """With a call that is answered at the end."""
        self.passed_s += seconds
        self.health.answered(self.health.now())

    def start(self) -> datetime:
        """Gives since when it is known to run."""
        since = self.health.now()
        self.let_pass(0.1)
        self._events.append(self.time)
        self._state = {"Status": "running", "Running": True, "StartedAt": self.time.isoformat()}
        return since

    def end(self) -> None:
        self._state |= {"Status": "exited", "Running": False, "FinishedAt": self.time.isoformat()}

    def lose(self, *, and_daemon: bool) -> None:
        """For ten seconds; a daemon that goes down forgets the events."""
        self.health.lost()
        if and_daemon:
            self._events.clear()
        self.passed_s += 10
        self.let_pass(0)

    def reason(self, running_since: datetime | None) -> Reason | None:
        """Of the end, as it is collected a little later."""
        self.let_pass(0.5)
        collected = collect_ended(
            EngineCalls(cast("EngineHttp", self), threading.Event(), self.health),
            "c1",
            stopped_for=None,
            log_path=None,
            log_bytes=0,
            shown_bytes=0,
            patterns=SecretPatterns([]),
            health=self.health,
            running_since=running_since,
        )
        assert collected is not None
        return collected.ending.reason

    def get(self, path: str) -> dict[str, Any]:
        if path == "/info":
            return {"SystemTime": self.time.isoformat(), "NCPU": 2, "MemTotal": 1}
        return inspected(**self._state)

    def call(self, method: str, path: str, query: Mapping[str, Any]) -> bytes:
        assert (method, path) == ("GET", "/events")
        assert json.loads(query["filters"]) == {"container": ["c1"], "event": ["start"]}
        self.asked_for_events += 1
        since, until = (datetime.fromtimestamp(float(query[key]), UTC) for key in ("since", "until"))
        if since > until:
            raise EngineRefusedError(400, "`since` time cannot be after `until` time")
        assert until <= self.time + timedelta(milliseconds=1), "the engine would leave its answer open"
        return b"".join(b'{"Action":"start"}\n' for event in self._events if since <= event <= until)

    @contextmanager
    def answer(self, *_: object) -> Iterator[list[bytes]]:
        yield []


@pytest.mark.parametrize("by_s", [-HOUR_S, -3.0, 0.0, 3.0, HOUR_S])
def test_an_end_while_the_engine_was_there_is_believed_whatever_its_clock_says(by_s: float) -> None:
    world = World()
    world.let_pass(60)
    since = world.start()
    world.let_pass(5)
    world.set_clock(by_s)
    world.let_pass(5)
    world.end()
    assert world.reason(since) is None
    later = world.start()
    world.let_pass(5)
    world.end()
    assert world.reason(later) is None
    assert world.asked_for_events == 0


@pytest.mark.parametrize("by_s", [-HOUR_S, -3.0, 0.0, 3.0, HOUR_S])
@pytest.mark.parametrize("is_set", ["before", "after"])
def test_an_end_with_the_daemon_s_is_not(by_s: float, is_set: str) -> None:
    world = World()
    since = world.start()
    world.let_pass(2 * HOUR_S)
    if is_set == "before":
        world.set_clock(by_s)
        world.let_pass(5)
    world.end()
    world.lose(and_daemon=True)
    if is_set == "after":
        world.set_clock(by_s)
    assert world.reason(since) is Reason.INTERRUPTED


@pytest.mark.parametrize("by_s", [-3.0, 0.0, 3.0, HOUR_S])
def test_an_end_in_an_outage_that_the_daemon_lived_through_is_believed(by_s: float) -> None:
    world = World()
    since = world.start()
    world.let_pass(60)
    world.set_clock(by_s)
    world.end()
    world.lose(and_daemon=False)
    assert world.reason(since) is None
    assert world.asked_for_events == 1


@pytest.mark.parametrize("by_s", [-3.0, 0.0, 3.0, HOUR_S])
def test_an_end_long_after_the_daemon_s_is_believed_though_that_is_forgotten(by_s: float) -> None:
    world = World()
    since = world.start()
    world.lose(and_daemon=True)
    world.set_clock(by_s)
    world.let_pass(60)
    world.end()
    assert world.reason(since) is None
    assert world.asked_for_events == 0


def test_where_the_clock_was_set_back_to_before_the_daemon_s_end_a_later_one_is_in_doubt() -> None:
    world = World()
    since = world.start()
    world.lose(and_daemon=True)
    world.set_clock(-HOUR_S)
    world.let_pass(60)
    world.end()
    assert world.reason(since) is Reason.INTERRUPTED


@pytest.mark.parametrize("remembers", [True, False])
def test_what_was_never_seen_to_run_is_believed_if_its_start_is_remembered(remembers: bool) -> None:
    world = World()
    world.start()
    world.let_pass(60)
    world.end()
    if not remembers:
        world.lose(and_daemon=True)
    assert world.reason(None) is (None if remembers else Reason.INTERRUPTED)


def test_a_start_that_is_still_to_come_by_the_engine_s_clock_is_not_asked_for() -> None:
    world = World()
    world.start()
    world.end()
    world.set_clock(-HOUR_S)
    assert world.reason(None) is Reason.INTERRUPTED
    assert world.asked_for_events == 0
