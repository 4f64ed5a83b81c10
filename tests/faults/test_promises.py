"""What is promised in seconds, of foreign containers and of many tasks: a sample of what `make chaos` tries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from docker.api import APIClient

from tests.support import foreign, promised_times
from tests.support.many_tasks import run_many
from tests.support.tally import Tally


async def test_exits_are_seen_although_events_are_blocked(engine: APIClient, tmp_path: Path) -> None:
    assert_clean(await promised_times.see_exits_without_events(engine, tmp_path, 5))


async def test_a_container_is_gone_soon_after_its_deadline(engine: APIClient, tmp_path: Path) -> None:
    assert_clean(await promised_times.keep_deadlines(engine, tmp_path, 4))


@pytest.mark.parametrize("labels", [foreign.no_labels, foreign.another_runs_labels, foreign.another_attempts_labels])
async def test_a_foreign_container_of_our_name_is_left_alone(
    engine: APIClient, tmp_path: Path, labels: Callable[[str], dict[str, str]]
) -> None:
    assert_clean(await foreign.leave_namesakes(engine, tmp_path, labels))


@pytest.mark.parametrize("way", ["resume", "cancel"])
def test_foreign_containers_with_our_labels_are_left_alone(engine: APIClient, tmp_path: Path, way: str) -> None:
    assert_clean(foreign.leave_look_alikes(engine, tmp_path / "bench", [way], 0))


@pytest.mark.parametrize("ahead", [0, 3])
def test_many_tasks_leave_nothing_open(engine: APIClient, tmp_path: Path, ahead: int) -> None:
    assert_clean(run_many(engine, tmp_path, 60, 6, ahead))


def assert_clean(tally: Tally) -> None:
    assert tally.is_clean, tally
