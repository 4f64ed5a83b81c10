"""The daemon goes down while tasks run, or has no room: no false success, and the run goes on when it can."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from tests.support.full_disk import RESOURCES, fill_and_give_room
from tests.support.outages import PHASES, WAYS, Outage, Phase, Way, try_outage
from tests.support.private_engine import PrivateEngine

# Every two of live-restore, way and phase meet; `make chaos` tries all three together.
SAMPLE = [
    (live_restore, way, phase)
    for number, live_restore in enumerate((False, True))
    for position, way in enumerate(WAYS)
    for place, phase in enumerate(PHASES)
    if (number + position + place) % 2 == 0
] + [(True, "kill", "releasing")]


@pytest.fixture(scope="module")
def private(request: pytest.FixtureRequest, engine: APIClient) -> Iterator[PrivateEngine]:
    del engine  # without one there is no image to load
    with PrivateEngine(live_restore=request.param) as made:
        made.load_image("dockersched/base:latest")
        yield made


@pytest.mark.parametrize(("private", "way", "phase"), SAMPLE, indirect=["private"])
async def test_a_daemon_that_goes_down_makes_no_false_success(
    private: PrivateEngine, way: Way, phase: Phase, tmp_path: Path
) -> None:
    chance = random.Random(tmp_path.name)  # noqa: S311 - only spreads moments
    tally = await try_outage(private, Outage(way, private.live_restore, phase), tmp_path, chance)
    assert tally.is_clean, tally


@pytest.mark.usefixtures("engine")
async def test_a_full_engine_is_waited_for_and_nothing_begun_meanwhile(tmp_path: Path) -> None:
    tallies = await asyncio.gather(*(fill_and_give_room(tmp_path / what, what) for what in RESOURCES))
    assert [tally for tally in tallies if not tally.is_clean] == []
