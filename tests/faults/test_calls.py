"""Every engine call of a task's life, spoiled in nearly every way, with a real engine behind; `make chaos` does all."""

from __future__ import annotations

from pathlib import Path

import pytest
from docker.api import APIClient

from tests.support.engine_proxy import Action
from tests.support.lost_replies import lose_start_replies
from tests.support.spoiled_calls import CASES, spoil

# A hanging call takes its whole limit: these four stand for all.
HANGS = {"create", "start", "log", "inspect"}


@pytest.mark.parametrize(
    ("call", "action"), [case for case in CASES if case[1] not in {"hang", "delay"} or case[0] in HANGS]
)
async def test_a_spoiled_call_changes_no_outcome(engine: APIClient, tmp_path: Path, call: str, action: Action) -> None:
    tally = await spoil(engine, tmp_path, call, action)
    assert tally.is_clean, tally


async def test_what_was_started_unheard_is_not_started_again(engine: APIClient, tmp_path: Path) -> None:
    tally = await lose_start_replies(engine, tmp_path, 12)
    assert tally.is_clean, tally
