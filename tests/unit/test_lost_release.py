"""What is done about a gate that was to be released and may still wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

import pytest

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.lost_release import freeze_if_waiting

INIT = "/sbin/docker-init -- /.dockersched/gate /bin/sh  sh -c echo"
GATE = "/.dockersched/gate /bin/sh  sh -c echo"
TASK = "sh -c echo /.dockersched/gate"


@dataclass
class Container:
    """Shows its processes in turn, each time it is looked at; None is a refusal."""

    shows: Sequence[Sequence[str] | None]
    can_be_paused: bool = True
    asked: list[str] = field(default_factory=list)
    is_paused: bool = False

    def __post_init__(self) -> None:
        self._shows: Iterator[Sequence[str] | None] = iter(self.shows)

    def processes(self, _container: str) -> Sequence[str]:
        shown = next(self._shows)
        if shown is None:
            raise EngineRefusedError(409, "is not running")
        return shown

    def pause(self, _container: str) -> None:
        self.asked.append("pause")
        if not self.can_be_paused:
            raise EngineRefusedError(500, "is not running")
        self.is_paused = True

    def inspect_or_none(self, _container: str) -> dict[str, dict[str, bool]]:
        return {"State": {"Paused": self.is_paused}}

    def unpause(self, _container: str) -> None:
        self.asked.append("unpause")


@pytest.mark.parametrize(
    ("shows", "is_frozen", "asked"),
    [
        ([[INIT, GATE], [INIT, GATE]], True, ["pause"]),
        ([[INIT, GATE], [INIT, TASK]], False, ["pause", "unpause"]),  # the release came just then
        ([[INIT, GATE], None], False, ["pause", "unpause"]),
        ([[INIT, TASK]], False, []),
        ([None], False, []),
    ],
)
def test_only_a_gate_that_waits_stays_frozen(
    shows: Sequence[Sequence[str] | None], is_frozen: bool, asked: list[str]
) -> None:
    container = Container(shows)
    assert freeze_if_waiting(cast("EngineCalls", container), "name") is is_frozen
    assert container.asked == asked


def test_what_ends_meanwhile_was_released() -> None:
    container = Container([[INIT, GATE]], can_be_paused=False)
    assert not freeze_if_waiting(cast("EngineCalls", container), "name")


def test_what_an_earlier_try_froze_goes_on_if_it_was_released() -> None:
    container = Container([[INIT, TASK]], is_paused=True)
    assert not freeze_if_waiting(cast("EngineCalls", container), "name")
    assert container.asked == ["unpause"]
