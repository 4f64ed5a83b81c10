"""dockersched is killed at some of the points at which `make chaos` kills it at all of them."""

from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from tests.support.kill_plans import AHEAD, DELIVERING, DIAMOND, SECRETIVE, SHARING, UNLUCKY, Plan
from tests.support.kill_trials import Trial, judge_all, spread


@pytest.mark.parametrize(
    ("plan", "at_least", "count"), [(DIAMOND, 200, 4), (UNLUCKY, 100, 2), (SHARING, 200, 3), (SECRETIVE, 100, 2)]
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    plan: Plan, at_least: int, count: int, engine: APIClient, tmp_path: Path
) -> None:
    points = Trial(engine, tmp_path / "points", plan).points()
    assert len(points) >= at_least
    verdicts = judge_all(client, tmp_path, [[point] for point in spread(points, count)], plan=plan, side_by_side=4)
    assert [verdict for verdict in verdicts if not verdict.is_clean] == []
    # Which calls share a transaction is chance, so that a point near the end may not come.
    assert sum(verdict.missed == 0 for verdict in verdicts) >= count - 1


def test_a_run_that_is_killed_around_a_release_executes_nothing_twice(engine: APIClient, tmp_path: Path) -> None:
    del engine  # each trial has a client of its own
    kills = [["POST containers/*/attach #1 after"], ["release #1 before"], ["release #1 after"]]
    for tried in range(4):
        verdicts = judge_all(client, tmp_path / str(tried), kills, plan=AHEAD, side_by_side=3)
        assert [verdict for verdict in verdicts if not verdict.is_clean] == []
        # An engine that is busy prepares nothing, so that nothing is released.
        kills = [kill for kill, verdict in zip(kills, verdicts, strict=True) if verdict.missed]
    assert kills == []


def test_a_killed_resumption_goes_on_too(engine: APIClient, tmp_path: Path) -> None:
    first = "POST containers/*/start #4 after"
    points = Trial(engine, tmp_path / "points").points_of_resume(first)
    verdicts = judge_all(client, tmp_path, [[first, point] for point in spread(points, 2)], side_by_side=2)
    assert [verdict for verdict in verdicts if not verdict.is_clean] == []


def test_outputs_of_a_run_that_was_killed_before_they_were_out_come_out_whole(
    engine: APIClient, tmp_path: Path
) -> None:
    points = Trial(engine, tmp_path / "points", DELIVERING).points()
    assert len(points) >= 150
    copying = [f"GET containers/*/archive #{number} {when}" for number, when in ((1, "after"), (2, "before"))]
    assert set(copying) <= set(points)
    kills = [[point] for point in [*copying, *spread(points, 3)]]
    verdicts = judge_all(client, tmp_path, kills, plan=DELIVERING, side_by_side=4)
    assert [verdict for verdict in verdicts if not verdict.is_clean] == []
    assert [verdict.missed for verdict in verdicts[:2]] == [0, 0]


def client() -> APIClient:
    return make_client(resolve_endpoint(), version="1.41", timeout=60)
