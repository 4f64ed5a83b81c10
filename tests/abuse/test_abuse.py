"""Real attacks in real sandboxes, each with a neighbour that must not notice."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from docker.api import APIClient
from docker.errors import ImageNotFound

from dockersched.states import Reason
from tests.abuse import escape, exhaustion, hostile
from tests.abuse.attack import Attack, surprises
from tests.abuse.siege import Siege, lay_siege, span_of

RUNTIME = os.environ.get("DOCKERSCHED_ABUSE_RUNTIME") or None
"""The engine's runtime to attack; its default runtime where that is not set."""

SIEGES = {"exhaustion": exhaustion.ATTACKS, "escape": escape.ATTACKS, "hostile": hostile.ATTACKS}
ATTACKS = [(name, attack) for name, attacks in SIEGES.items() for attack in attacks]

SLOWER = 10
"""How many times longer a round of the neighbour's work may take; the machine has other work too."""
ROUND_LIMIT_S = 3.0
"""Added to that: engines and schedulers have their hiccups."""

Besiege = Callable[[str], Siege]


@pytest.fixture(scope="session")
def listeners() -> Iterator[list[socket.socket]]:
    """The host listens where no sandbox may get: on its loopback, and on an abstract name."""
    inet = socket.create_server(("127.0.0.1", 0))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(f"\0{hostile.abstract_name()}")
    unix.listen()
    with inet, unix:
        yield [inet, unix]


@pytest.fixture(scope="session")
def links_image(engine: APIClient) -> Iterator[None]:
    """An image whose links lead out of it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, target in (("way-out", f"../../../..{hostile.WAY_OUT}"), ("leak", "/proc/self/fd/8")):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, target
            archive.addfile(link)
    hostile.WAY_OUT.mkdir(exist_ok=True)
    container = engine.create_container("dockersched/base", ["true"])["Id"]
    try:
        engine.put_archive(container, "/", packed.getvalue())
        engine.commit(container, hostile.LINKS_IMAGE)
    finally:
        engine.remove_container(container)
    yield
    with suppress(ImageNotFound):
        engine.remove_image(hostile.LINKS_IMAGE)
    shutil.rmtree(hostile.WAY_OUT)


@pytest.fixture(scope="session")
def besiege(
    engine: APIClient, links_image: None, listeners: list[socket.socket], tmp_path_factory: pytest.TempPathFactory
) -> Besiege:
    """Runs all attacks of a kind, once."""
    done: dict[str, Siege] = {}
    placeholders = {hostile.HOST_PORT: str(listeners[0].getsockname()[1])}

    def run(name: str) -> Siege:
        if name not in done:
            logs_dir = tmp_path_factory.mktemp(name)
            done[name] = asyncio.run(lay_siege(engine, SIEGES[name], logs_dir, RUNTIME, placeholders))
        return done[name]

    return run


def test_there_are_enough_attacks_with_names_of_their_own() -> None:
    assert len({attack.name for _, attack in ATTACKS}) == len(ATTACKS) >= 30


@pytest.mark.parametrize(("kind", "attack"), ATTACKS, ids=[attack.name for _, attack in ATTACKS])
def test_attack(kind: str, attack: Attack, besiege: Besiege) -> None:
    siege = besiege(kind)
    seen, expected = siege.aftermaths[attack.name], attack.expected(RUNTIME)
    reason = seen.result.reason
    allowed = expected.reason if isinstance(expected.reason, tuple) else (expected.reason,)
    assert reason in allowed, f"{reason}: {seen.result.detail}\n{seen.log[-2000:].decode('utf-8', 'replace')}"
    wrong = surprises(expected.answers, seen.log, complete=reason in {None, Reason.TIMED_OUT})
    assert not wrong, "\n".join(wrong)
    assert seen.result.oom_event or reason is not Reason.OOM_KILLED
    assert not seen.container or not seen.container["State"]["Running"]
    if attack.afterwards:
        attack.afterwards(seen)
    _assert_the_neighbour_did_not_notice(siege, attack)


def _assert_the_neighbour_did_not_notice(siege: Siege, attack: Attack) -> None:
    neighbour = siege.neighbour
    assert neighbour.result.succeeded, neighbour.result
    limit_s = neighbour.before * SLOWER + ROUND_LIMIT_S
    assert neighbour.end_s < limit_s
    span = span_of(siege.results[attack.name])
    if span is None:  # the engine refused to start it
        return
    own = span_of(neighbour.result)
    assert own
    assert own[0] < span[0]
    assert own[1] > span[1]
    assert max(neighbour.during(span)) < limit_s


def test_nobody_called_the_host(besiege: Besiege, listeners: list[socket.socket]) -> None:
    besiege("hostile")
    for listener in listeners:
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()
