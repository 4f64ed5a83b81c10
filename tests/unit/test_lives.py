"""However often the processes of a run die, and whatever is cancelled meanwhile, it keeps what is promised of runs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from dockersched.epic_run import EpicRun
from dockersched.store.journal import Journal, JournaledRunner
from tests.support.lives import process
from tests.support.lives.trial import live, try_lives
from tests.support.lives.virtual_time import VirtualTimeLoop

ROOT = Path(__file__).parents[2]

DEFECTS = {
    "intents-not-written": (Journal, "intend", mock.AsyncMock(), "runs after its intent is on record"),
    "stops-not-written": (Journal, "stopping", mock.AsyncMock(), "does not run after its end was told"),
    "numbers-not-those-on-record": (Journal, "on_engine", lambda _self, options: options, "runs once"),
    "records-forgotten": (JournaledRunner, "standing", lambda _self: {}, "has no success that counts"),
    "cancellations-ignored": (EpicRun, "cancel", lambda _self, _ids: [], "was not cancelled by name before"),
    "failures-ignored": (EpicRun, "_fail_fast", lambda _self, _id: [], "does not begin after a failure"),
    "early-finals-kept": (process, "end_early_finals", mock.AsyncMock(), "ran after all main tasks"),
}


@pytest.mark.parametrize("first", range(0, 1000, 200))
def test_a_run_keeps_its_promises_over_the_deaths_of_its_processes(first: int) -> None:
    broken = [lives for lives in map(live, range(first, first + 200)) if lives.broken]
    assert not broken, f"of the seeds {[lives.seed for lives in broken]} the first: {broken[0]}"


def test_a_final_that_ran_again_is_told_by_its_last_attempt_after_one_more_death() -> None:
    """A seed of its own: what was disregarded must be on record, which few epics depend on."""
    assert not live(25756).broken


@pytest.mark.parametrize(("where", "name", "instead", "promise"), DEFECTS.values(), ids=DEFECTS)
def test_a_defect_breaks_its_promise(where: object, name: str, instead: object, promise: str) -> None:
    with mock.patch.object(where, name, instead):
        assert any(promise in broken for seed in range(100) for broken in live(seed).broken)


def test_a_broken_promise_is_told_with_its_seed_and_story() -> None:
    with mock.patch.object(Journal, "intend", mock.AsyncMock()):
        broken, tally = live(7), try_lives([7])
    assert str(broken).startswith("seed 7, broken: ")
    assert f"BROKEN: {broken.broken[0]}" in str(broken)
    assert (tally.tries, tally.wrong, tally.is_clean) == (1, [f"seed 7: {broken.broken[0]}"], False)


def test_a_seed_gives_the_same_story_in_every_process() -> None:
    seeds = range(50)
    program = f"from tests.support.lives.trial import live\nprint(*map(live, {seeds!r}), sep='\\n')"
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    told = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert told.stdout.decode().rstrip("\n") == "\n".join(str(live(seed)) for seed in seeds)


def test_virtual_time_passes_at_once_and_tells_what_would_wait_forever() -> None:
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(asyncio.sleep(10**6))
        assert runner.get_loop().time() == pytest.approx(10**6)
        forever = runner.get_loop().create_future()
        with pytest.raises(RuntimeError, match="nothing will ever happen"):
            runner.get_loop().run_until_complete(forever)
