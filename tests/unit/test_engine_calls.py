"""What the calls make of an engine's answers: those that got lost, and those that no engine should give."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dockersched.errors import EngineRefusedError, EngineUnavailableError, TransientRunnerError
from dockersched.model import QuotaConfig
from dockersched.sandbox.docker import batches, transport
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.retries import Retries
from tests.support.engine_answers import inspected

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


class Answers:
    """An engine that gives one answer to every call."""

    def __init__(self, answer: object) -> None:
        self.asked = 0
        self._answer = answer

    def get(self, *_: object) -> object:
        self.asked += 1
        return self._answer

    post = get

    @contextmanager
    def answer(self, *_: object) -> Iterator[Any]:
        told = b64encode(json.dumps(self.get()).encode()).decode()
        headers = {} if self._answer is None else {"x-docker-container-path-stat": told}
        yield SimpleNamespace(headers=headers, read=bytes)


ASKED: dict[str, Callable[[EngineCalls], object]] = {
    "create": lambda calls: calls.create_or_find("name", {}),
    "inspect": lambda calls: calls.inspect("c"),
    "list": lambda calls: calls.list_run("label"),
    "processes": lambda calls: calls.processes("c"),
    "create volume": lambda calls: calls.create_volume("v", {}, {}),
    "volumes": lambda calls: calls.list_volumes("label"),
    "kind": lambda calls: calls.kind("c", "/path"),
    "image": lambda calls: calls.inspect_image("image"),
    "info": lambda calls: calls.info(),
    "version": lambda calls: calls.version(),
}
NONSENSE: list[object] = [None, "words", [None], {"Id": 7, "Processes": "ps", "Volumes": [{}], "mode": "x", "NCPU": []}]


@pytest.mark.parametrize("asked", ASKED)
def test_an_answer_that_is_nonsense_is_asked_for_again(asked: str, health: EngineHealth) -> None:
    for answer in NONSENSE[:-1] if asked == "version" else NONSENSE:
        engine = Answers(answer)
        with pytest.raises(TransientRunnerError, match="answer could not be used"):
            ASKED[asked](calls_of(engine, health))
        assert engine.asked == 2


def test_an_answer_may_leave_out_what_is_empty(health: EngineHealth) -> None:
    assert calls_of(Answers({"Processes": None, "Titles": None}), health).processes("c") == []
    assert calls_of(Answers({"Volumes": None, "Warnings": None}), health).list_volumes("label") == {}
    assert calls_of(Answers(inspected(labels=None)), health).find_ours("c", {"a": "1"}) is None


class BrokenFiles:
    """Files whose own code fails."""

    def open(self, calls: EngineCalls) -> None: ...

    def fill(self, calls: EngineCalls) -> None:
        raise KeyError(calls)

    def check(self, calls: EngineCalls) -> None: ...

    def started(self, calls: EngineCalls) -> None: ...


def test_an_error_of_our_own_is_not_told_as_an_unknown_user(health: EngineHealth) -> None:
    created = batches.Created(inspected(), QuotaConfig())
    with pytest.raises(KeyError):
        batches.start(calls_of(Answers(None), health), created, [BrokenFiles()])
