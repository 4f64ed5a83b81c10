"""What becomes of attempts that were started ahead: taken, given up, or neither could be."""

import asyncio
from typing import Any, cast

import pytest

from dockersched import EngineUnavailableError, SandboxRunOptions
from dockersched.sandbox.docker.ahead import SandboxesAhead
from dockersched.sandbox.docker.attempt import Attempt
from dockersched.sandbox.docker.attempt_factory import AttemptFactory

OPTIONS = SandboxRunOptions("e.t", "true")


class Made:
    """An attempt that notes what is done with it."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.may_start = asyncio.Event()
        self.may_go = asyncio.Event()
        self.may_go.set()
        self.given_up = 0

    async def start_gated(self) -> None:
        await self.may_start.wait()
        if self.error:
            raise self.error

    async def give_up(self) -> None:
        await self.may_go.wait()
        self.given_up += 1


class Factory(AttemptFactory):
    """Makes one attempt, again and again."""

    def __init__(self, made: Made) -> None:
        self.made = made

    async def make(self, *_: Any, **__: Any) -> Attempt:
        return cast("Attempt", self.made)


def ahead_of(made: Made) -> SandboxesAhead[Attempt]:
    return SandboxesAhead(Factory(made).start_ahead)


async def test_it_is_taken_once() -> None:
    made = Made()
    ahead = ahead_of(made)
    assert await ahead.take(OPTIONS) is None
    ahead.begin(OPTIONS)
    made.may_start.set()
    assert await ahead.take(OPTIONS) is cast("Attempt", made)
    assert await ahead.take(OPTIONS) is None
    assert not ahead.give_up(OPTIONS)
    assert made.given_up == 0


@pytest.mark.parametrize("error", [EngineUnavailableError("gone"), OSError("no space"), ValueError("odd")])
async def test_one_that_cannot_be_started_is_removed_and_not_there(error: Exception) -> None:
    made = Made(error)
    ahead = ahead_of(made)
    ahead.begin(OPTIONS)
    made.may_start.set()
    assert await ahead.take(OPTIONS) is None
    assert made.given_up == 1
    await ahead.aclose()


async def test_whoever_takes_one_that_is_given_up_waits_until_it_is_gone() -> None:
    made = Made()
    ahead = ahead_of(made)
    ahead.begin(OPTIONS)
    made.may_start.set()
    await asyncio.sleep(0)
    made.may_go.clear()
    assert ahead.give_up(OPTIONS)
    taking = asyncio.ensure_future(ahead.take(OPTIONS))
    await asyncio.sleep(0.01)
    assert not taking.done()
    made.may_go.set()
    assert await taking is None
    assert made.given_up == 1


@pytest.mark.parametrize("has_started", [False, True])
async def test_one_whose_taking_is_cancelled_is_given_up(has_started: bool) -> None:
    made = Made()
    ahead = ahead_of(made)
    ahead.begin(OPTIONS)
    taking = asyncio.ensure_future(ahead.take(OPTIONS))
    await asyncio.sleep(0)
    if has_started:
        made.may_start.set()
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taking
    assert made.given_up == 1


async def test_what_is_left_is_given_up_at_the_end() -> None:
    made = Made()
    ahead = ahead_of(made)
    ahead.begin(OPTIONS)
    await asyncio.sleep(0)
    await ahead.aclose()
    assert made.given_up == 1
