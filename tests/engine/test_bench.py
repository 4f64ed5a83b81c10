"""The clients of the bench: they run what they are given, and nothing of theirs stays."""

import secrets
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from benchmarks import leftovers
from benchmarks.command import Dockersched
from benchmarks.engine_client import EngineAnswerError, EngineConnection
from benchmarks.graphs import IMAGE, Graph, chain, wide
from benchmarks.leftovers import Left
from benchmarks.peers.pool import Pool
from benchmarks.raw_client import RawClient
from dockersched.sandbox.docker import holder

pytestmark = pytest.mark.engine


def test_dockersched_and_a_floor_that_joins_holders_run_graphs(tmp_path: Path, mocker: MockerFixture) -> None:
    scheduled = Dockersched(tmp_path).run(wide(16))  # makes the holders' image, where it is missing
    assert scheduled.left == Left()
    assert scheduled.before_s + scheduled.epic_s + scheduled.after_s == pytest.approx(scheduled.makespan_s)
    assert scheduled.peak_bytes > 0
    holders = mocker.spy(holder, "identity")
    assert RawClient(shared=True).run(chain(3)).left == Left()
    assert holders.call_count == 1


def test_the_plain_floor_runs_a_graph() -> None:
    measured = RawClient().run(Graph("forked", ((), (0,), (0,)), seconds=(0.2, 0.1, 0.3)))
    assert measured.makespan_s > 0.5
    assert measured.left == Left()


def test_a_floor_tells_of_a_container_that_failed() -> None:
    with pytest.raises(EngineAnswerError, match="t0 ended with 1"):
        RawClient().run(Graph("failing", ((), (0,)), ("false",)))


def test_a_peer_runs_a_graph(tmp_path: Path) -> None:
    measured = Pool(tmp_path).run(chain(2, 0.2))
    assert measured.makespan_s > 0.4
    assert measured.left == Left()


def test_what_is_left_is_counted_and_removed() -> None:
    label, name = f"bench-test={secrets.token_hex(6)}", f"bench-test-{secrets.token_hex(6)}"
    labels = dict([label.split("=")])
    with EngineConnection() as engine:
        engine.call("POST", "/containers/create", {"Image": IMAGE, "Labels": labels})
        engine.call("POST", "/networks/create", {"Name": name, "Labels": labels})
        engine.call("POST", "/volumes/create", {"Name": name, "Labels": labels})
        assert leftovers.clear(engine, label) == Left(1, 1, 1)
        assert leftovers.clear(engine, label) == Left()
