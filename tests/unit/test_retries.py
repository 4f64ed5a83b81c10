"""How often a call to the engine is made, and what is waited in between."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from pytest_mock import MockerFixture

from dockersched.errors import EngineRefusedError, EngineUnavailableError, PermanentRunnerError, TransientRunnerError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.retries import Retries
from tests.support.engine_answers import inspected

RETRIES = Retries(tries=4, first_wait_s=0.1, longest_wait_s=0.25)


class Waits(threading.Event):
    """Notes what is waited for it, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_s: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self.waited_s.append(timeout)
        return False


class Failing:
    """Fails as often as it was told, then gives the number of calls."""

    def __init__(self, failures: int) -> None:
        self.calls = 0
        self._failures = failures

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise LookupError(self.calls)
        return self.calls


def is_lookup(error: BaseException) -> bool:
    return isinstance(error, LookupError)


@pytest.mark.parametrize("failures", [0, 1, 2, 3])
def test_a_call_is_made_until_it_succeeds_with_a_wait_before_each_further_try(failures: int) -> None:
    waits, call = Waits(), Failing(failures)
    assert RETRIES.run(call, is_lookup, waits) == failures + 1
    assert len(waits.waited_s) == failures


def test_the_last_try_raises_what_it_failed_with() -> None:
    waits, call = Waits(), Failing(9)
    with pytest.raises(LookupError, match="4"):
        RETRIES.run(call, is_lookup, waits)
    assert (call.calls, len(waits.waited_s)) == (4, 3)


def test_what_is_not_worth_it_is_not_tried_again() -> None:
    waits, call = Waits(), Failing(9)
    with pytest.raises(LookupError, match="1"):
        RETRIES.run(call, lambda _error: False, waits)
    assert (call.calls, waits.waited_s) == (1, [])


def test_waits_double_up_to_a_limit(mocker: MockerFixture) -> None:
    mocker.patch("random.uniform", side_effect=lambda _least, most: most)
    waits = Waits()
    assert RETRIES.run(Failing(3), is_lookup, waits) == 4
    assert waits.waited_s == [0.1, 0.2, 0.25]


def test_an_engine_that_is_away_is_called_four_times(tmp_path: Path) -> None:
    waits = Waits()
    http = EngineHttp(EngineEndpoint(f"unix://{tmp_path}/none.sock", None, "test"), "1.41", 1)
    calls = EngineCalls(http, waits, EngineHealth(lambda: datetime.now(UTC)))
    with pytest.raises(EngineUnavailableError, match="connection to the engine failed"):
        calls.info()
    assert len(waits.waited_s) == 3


class Names:
    """An engine where a name is taken for the first few calls."""

    def __init__(self, taken: int, holder: dict[str, str] | None) -> None:
        self.asked = 0
        self._taken = taken
        self._holder = holder

    def post(self, *_: object) -> dict[str, str]:
        self.asked += 1
        if self.asked <= self._taken:
            raise EngineRefusedError(409, "the name is in use")
        return {"Id": "new"}

    def get(self, _: str) -> dict[str, object]:
        if self._holder is None:
            raise EngineRefusedError(404, "no such container")
        return inspected("found", labels=self._holder)


def made_with(names: Names) -> str:
    calls = EngineCalls(cast("EngineHttp", names), Waits(), EngineHealth(lambda: datetime.now(UTC)))
    return calls.create_or_find("name", {"Labels": {"a": "1"}})


def test_a_name_whose_container_is_just_being_made_or_removed_is_tried_again() -> None:
    names = Names(2, None)
    assert made_with(names) == "new"
    assert names.asked == 3
    with pytest.raises(TransientRunnerError, match="just making or removing a container name"):
        made_with(Names(9, None))


def test_a_name_that_a_container_has_is_not() -> None:
    assert made_with(Names(9, {"a": "1", "b": "2"})) == "found"
    foreign = Names(9, {"a": "2"})
    with pytest.raises(PermanentRunnerError, match="not ours has the name name"):
        made_with(foreign)
    assert foreign.asked == 1
