"""What the calls make of an engine's answers: those that got lost, and those that no engine should give."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import cast

import pytest

from dockersched.errors import EngineRefusedError, EngineUnavailableError
from dockersched.sandbox.docker import transport
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.retries import Retries

ENDED = EngineRefusedError(409, "Container c is not running")


class Kills:
    """An engine that answers each kill with the next of these; at last, the container is not running."""

    def __init__(self, *answers: Exception | None) -> None:
        self._answers = list(answers)

    def call(self, *_: object) -> bytes:
        answer = self._answers.pop(0) if self._answers else ENDED
        if answer is not None:
            raise answer
        return b""


@pytest.fixture(autouse=True)
def _two_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRIES", Retries(tries=2, first_wait_s=0.001, longest_wait_s=0.001))


def calls_of(http: object, health: EngineHealth) -> EngineCalls:
    return EngineCalls(cast("EngineHttp", http), threading.Event(), health)


@pytest.fixture
def health() -> EngineHealth:
    return EngineHealth(lambda: datetime.now(UTC))


def test_a_kill_whose_reply_got_lost_was_ours_in_a_later_batch_too(health: EngineHealth) -> None:
    engine = Kills(ConnectionResetError(), FileNotFoundError(), FileNotFoundError(), FileNotFoundError())
    for _ in range(2):
        with pytest.raises(EngineUnavailableError):
            calls_of(engine, health).kill("c", "SIGTERM")
    assert calls_of(engine, health).kill("c", "SIGTERM")


def test_a_kill_that_was_answered_is_forgotten(health: EngineHealth) -> None:
    assert calls_of(Kills(ConnectionResetError(), None), health).kill("c", "SIGTERM")
    assert not calls_of(Kills(), health).kill("c", "SIGTERM")


def test_a_kill_that_nobody_took_ended_nothing(health: EngineHealth) -> None:
    with pytest.raises(EngineUnavailableError):
        calls_of(Kills(FileNotFoundError(), ConnectionRefusedError()), health).kill("c", "SIGTERM")
    assert not calls_of(Kills(), health).kill("c", "SIGTERM")


def test_a_lost_kill_of_one_container_is_none_of_another(health: EngineHealth) -> None:
    with pytest.raises(EngineUnavailableError):
        calls_of(Kills(ConnectionResetError(), TimeoutError()), health).kill("c", "SIGTERM")
    assert not calls_of(Kills(), health).kill("d", "SIGTERM")
    assert not calls_of(Kills(), health).kill("c", "SIGKILL")
    assert calls_of(Kills(), health).kill("c", "SIGTERM")
