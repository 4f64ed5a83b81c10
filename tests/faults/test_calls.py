"""Every engine call of a task's life, spoiled in nearly every way, with a real engine behind; `make chaos` does all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from docker.api import APIClient

from tests.support.engine_proxy import Action
from tests.support.lost_releases import lose_releases
from tests.support.lost_replies import lose_start_replies
from tests.support.spoiled_ahead import spoil_ahead
from tests.support.spoiled_calls import CASES, spoil

# Every call loses its reply and is refused by the engine; what is left stands for the rest, which `make chaos` tries.
ALWAYS = {"drop", "error"}
WHOLLY = {"start", "log"}
SAMPLE = [(call, action) for call, action in CASES if action in ALWAYS or call in WHOLLY]


@pytest.mark.parametrize(("call", "action"), SAMPLE)
async def test_a_spoiled_call_changes_no_outcome(engine: APIClient, tmp_path: Path, call: str, action: Action) -> None:
    tally = await spoil(engine, tmp_path, call, action)
    assert tally.is_clean, tally


async def test_what_was_started_unheard_is_not_started_again(engine: APIClient, tmp_path: Path) -> None:
    tally = await lose_start_replies(engine, tmp_path, 12)
    assert tally.is_clean, tally


async def test_a_gate_whose_connection_is_cut_at_once_is_done_without(engine: APIClient, tmp_path: Path) -> None:
    tally = await spoil_ahead(engine, tmp_path, "attach", "cut")
    assert tally.is_clean, tally


async def test_a_connection_that_is_lost_around_a_release_runs_nothing_twice(engine: APIClient, tmp_path: Path) -> None:
    actions: tuple[Action, ...] = ("lose", "last")
    tallies = await asyncio.gather(*(lose_releases(engine, tmp_path / action, 2, action) for action in actions))
    assert [tally for tally in tallies if not tally.is_clean] == []
