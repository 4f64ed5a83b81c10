import pytest

from benchmarks import turns
from benchmarks.contender import Measured
from benchmarks.graphs import Graph, chain
from benchmarks.leftovers import Left
from benchmarks.turns import Turns


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that these contenders leave behind takes time to go."""
    monkeypatch.setattr(turns, "_PAUSE_S", 0)


class Scripted:
    """A contender whose runs take what they are told to."""

    def __init__(self, name: str, *makespans: float, journal: list[str] | None = None) -> None:
        self.name = name
        self._makespans = iter(makespans)
        self._journal = [] if journal is None else journal

    def run(self, graph: Graph) -> Measured:
        self._journal.append(self.name)
        return Measured(next(self._makespans), 0.24, Left(containers=1), peak_bytes=50_000_000)


def taken(*floor: float) -> Turns:
    contenders = [Scripted("floor", *floor), Scripted("other", *(2 * seconds for seconds in floor))]
    return turns.take(contenders, chain(12, 0.5), rounds=len(floor))


def test_the_order_turns_around_with_each_round() -> None:
    journal: list[str] = []
    turns.take([Scripted("a", 1, 1, journal=journal), Scripted("b", 1, 1, journal=journal)], chain(2), rounds=2)
    assert journal == ["a", "b", "b", "a"]


def test_figures_are_those_of_the_medians() -> None:
    measured = taken(9.0, 10.0, 9.0)
    assert measured.ratio("other") == 2.0
    assert measured.overhead_s("other") == pytest.approx((18.0 - 6.0) / 12)
    assert measured.overhead_ratio("other") == pytest.approx((18.0 - 6.0) / (9.0 - 6.0))
    assert measured.cpu_ms("other") == pytest.approx(20.0)
    assert measured.peak_mb("other") == 50.0


def test_a_table_tells_what_was_left_behind(capsys: pytest.CaptureFixture[str]) -> None:
    assert turns.tell(taken(9.0, 9.1), ["a target"])
    out = capsys.readouterr().out
    assert "1 containers |" in out
    assert out.endswith("|\na target\n\n")


def test_nothing_is_told_where_the_floor_was_not_steady(capsys: pytest.CaptureFixture[str]) -> None:
    assert not turns.tell(taken(9.0, 12.0), ["a target"])
    out = capsys.readouterr().out
    assert out.startswith(
        "not reported: chain of 12, 0.5 s each: the machine is too noisy: the plain floor's spread is 29%"
    )
    assert "| " not in out
    assert "a target" not in out
