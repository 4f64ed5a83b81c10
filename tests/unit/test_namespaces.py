"""Which sandboxes may use a network namespace after another, and how the namespaces of a run are handed out."""

import asyncio
import io
import itertools
import json
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from dockersched import SandboxResult, SandboxRunOptions
from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker import holder
from dockersched.sandbox.docker.attempt import is_known_to_have_ended
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.gate.program import ARCHITECTURES, archive, program
from dockersched.sandbox.docker.gating import gated, is_gated
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.namespaces import Namespaces, Slot, may_share
from dockersched.sandbox.docker.turns import first_of
from dockersched.states import Reason

GOLDEN = Path(__file__).parent / "golden"
DEBIAN = EngineFeatures(2, 2**34, frozenset({"runc", "runsc"}), default_runtime="runc", architecture="x86_64")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = SandboxResult("e.t", exit_code=1, reason=Reason.EXIT_CODE, finished_at=NOW)


def filled(**changes: Any) -> SandboxRunOptions:
    return SandboxDefaults().fill(SandboxRunOptions("e.t", "true", **changes))


@pytest.mark.parametrize("changes", [{}, {"network_namespace": "auto"}, {"runtime": "runc"}, {"user": "1000:1000"}])
def test_a_closed_sandbox_may_share(changes: dict[str, Any]) -> None:
    assert may_share(filled(**changes), DEBIAN)


@pytest.mark.parametrize("architecture", ["x86_64", "aarch64"])
def test_they_are_shared_on_every_architecture_that_has_a_program(architecture: str) -> None:
    assert may_share(filled(), replace(DEBIAN, architecture=architecture))


@pytest.mark.parametrize(
    "changes",
    [
        {"network_namespace": "own"},
        {"network": "bridge"},
        {"profile": "trusted"},
        {"read_only": False},
        {"cap_add": ("NET_ADMIN",), "user": "0:0"},
        {"user": "0:0"},
        {"user": "somebody"},
        {"runtime": "runsc"},
    ],
)
def test_what_is_opened_in_any_way_has_a_namespace_of_its_own(changes: dict[str, Any]) -> None:
    assert not may_share(filled(**changes), DEBIAN)


@pytest.mark.parametrize("changes", [{"default_runtime": "runsc"}, {"architecture": "riscv64"}])
def test_an_engine_that_is_not_known_to_keep_them_apart_makes_one_for_each(changes: dict[str, str]) -> None:
    assert not may_share(filled(), replace(DEBIAN, **changes))


class Engine:
    """Starts holders at once, or fails to; notes what is removed."""

    def __init__(self) -> None:
        self.health = EngineHealth(lambda: NOW)
        self.features = DEBIAN
        self.pool = self
        self.fails = False
        self.may_start = asyncio.Event()
        self.may_start.set()
        self.is_idle = asyncio.Event()
        self.has_core_to_spare = asyncio.Event()
        self.has_core_to_spare.set()
        self.started = 0
        self.removed = 0

    async def start(self, _batch: Callable[..., Any]) -> str:
        await self.may_start.wait()
        if self.fails:
            raise EngineUnavailableError("no answer")
        self.started += 1
        return f"holder-{self.started}"

    async def core_to_spare(self, wanted: asyncio.Event) -> None:
        await first_of(self.has_core_to_spare, wanted)

    async def idle(self, ended: asyncio.Event) -> None:
        await first_of(self.is_idle, ended)
        await asyncio.sleep(0.01)

    async def call(self, _batch: Callable[..., Any]) -> None:
        self.removed += 1


background: list[asyncio.Future[None]] = []
task_numbers = itertools.count()


def pool(engine: Engine, *, sandboxes: int, at_once: int, ahead: int = 0) -> Namespaces:
    global task_numbers  # noqa: PLW0603
    task_numbers = itertools.count()
    background.clear()
    return Namespaces(
        engine,  # type: ignore[arg-type]
        "e",
        "r",
        task_ids=list(map(str, range(sandboxes))),
        at_once=at_once,
        ahead=ahead,
        in_background=lambda work: background.append(asyncio.ensure_future(work)),
    )


async def ask(namespaces: Namespaces, wanted: asyncio.Event | None = None) -> Slot | None:
    """Takes one for the next task."""
    return await namespaces.take(str(next(task_numbers)), wanted)


async def take(namespaces: Namespaces) -> Slot | None:
    """The same, and lets what was begun for it come to its end."""
    slot = await asyncio.wait_for(ask(namespaces), 5)
    await settled()
    return slot


async def settled() -> None:
    await asyncio.gather(*background)


async def taken(namespaces: Namespaces, count: int) -> list[Slot | None]:
    return [await take(namespaces) for _ in range(count)]


async def with_one_held(engine: Engine) -> tuple[Namespaces, Slot]:
    """The namespaces of a run whose second sandbox has the only one there may be."""
    namespaces = pool(engine, sandboxes=100, at_once=1)
    assert await take(namespaces) is None
    held = await take(namespaces)
    assert held is not None
    return namespaces, held


async def test_a_chain_is_served_by_one_holder() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=12, at_once=4)
    modes = []
    for _ in range(12):
        slot = await take(namespaces)
        modes.append(slot and slot.network_mode)
        if slot:
            namespaces.give_back(slot, is_empty=True)
    assert modes == [None] + ["container:holder-1"] * 11
    assert engine.started == 1


async def test_retries_take_no_holder_from_those_that_are_to_come() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=12, at_once=1)
    assert await take(namespaces) is None
    for number in range(1, 12):
        for _ in range(3 if number < 11 else 1):
            slot = await asyncio.wait_for(namespaces.take(str(number)), 5)
            assert slot is not None
            assert engine.removed == 0
            namespaces.give_back(slot, is_empty=True)
    await settled()
    assert engine.removed == 1


async def test_no_namespace_is_given_to_two_at_once() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=4)
    held = [slot for slot in await taken(namespaces, 12) if slot]
    assert len(held) == len({slot.container_id for slot in held}) == engine.started == 4
    namespaces.give_back(held[0], is_empty=True)
    assert (await take(namespaces), await take(namespaces)) == (held[0], None)


@pytest.mark.parametrize(
    ("sandboxes", "at_once", "holders"), [(100, 100, 0), (7, 4, 0), (5, 1, 1), (4, 1, 0), (12, 4, 2)]
)
async def test_a_holder_is_made_only_where_it_pays(sandboxes: int, at_once: int, holders: int) -> None:
    engine = Engine()
    await taken(pool(engine, sandboxes=sandboxes, at_once=at_once), sandboxes)
    assert engine.started == holders


@pytest.mark.parametrize("result", [None, replace(ENDED, reason=Reason.INTERRUPTED), replace(ENDED, finished_at=None)])
async def test_a_doubtful_end_ends_all_that_are_idle(result: SandboxResult | None) -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=2)
    one, two = [slot for slot in await taken(namespaces, 4) if slot]
    namespaces.give_back(one, is_empty=True)
    namespaces.give_back(two, is_empty=is_known_to_have_ended(result))
    await settled()
    assert engine.removed == 2
    assert await take(namespaces) is None
    assert engine.started == 3


async def test_holders_from_before_an_outage_are_not_used() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=1)
    await take(namespaces)
    engine.health.lost()
    engine.health.answered(NOW + timedelta(seconds=1))
    assert await take(namespaces) is None
    assert engine.removed == 1


async def test_an_engine_that_makes_no_holder_is_not_asked_again() -> None:
    engine = Engine()
    engine.fails = True
    namespaces = pool(engine, sandboxes=100, at_once=4)
    assert await taken(namespaces, 8) == [None] * 8
    engine.fails = False
    assert (await take(namespaces), engine.started, engine.removed) == (None, 0, 1)


async def test_the_next_one_is_known_where_there_is_no_choice() -> None:
    namespaces, held = await with_one_held(Engine())
    assert (namespaces.is_next_known, namespaces.probably_next) == (True, held)
    namespaces.give_back(held, is_empty=True)
    assert namespaces.probably_next == held
    two = pool(Engine(), sandboxes=100, at_once=2)
    assert (two.is_next_known, two.probably_next) == (True, None)
    taking = await taken(two, 4)
    assert len([slot for slot in taking if slot]) == 2
    assert not two.is_next_known


def test_the_holder_equals_its_golden_file() -> None:
    body = holder.create_body(holder.identity("e", "r", "namespace-1"), "sha256:1")
    security = body["HostConfig"].pop("SecurityOpt")
    assert security[0] == "no-new-privileges"
    assert body == json.loads((GOLDEN / "create_holder.json").read_text())


@pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))
def test_the_image_is_one_small_program_and_always_the_same(architecture: str) -> None:
    packed = archive(architecture)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        folder, entry = tar.getmembers()
        content = tar.extractfile(entry)
        assert content
        assert content.read() == program(architecture)
    assert (folder.name, folder.mode, folder.uid, folder.mtime) == (".dockersched", 0o555, 0, 0)
    assert (entry.name, entry.mode, entry.uid, entry.mtime) == (".dockersched/gate", 0o555, 0, 0)
    assert archive(architecture) == packed


def test_a_holder_is_not_taken_for_a_gate_with_a_command() -> None:
    body = holder.create_body(holder.identity("epic", "run", "x"), "sha256:1")
    sandbox = {"Entrypoint": ["/bin/true"], "Env": [], "HostConfig": {"Mounts": []}}
    assert not is_gated({"Config": body})
    assert is_gated({"Config": gated(sandbox, volume="v", search_path=None)})


def test_each_architecture_has_an_image_of_its_own() -> None:
    assert len({holder.image_tag(architecture) for architecture in ARCHITECTURES}) == len(ARCHITECTURES) == 2


async def test_one_that_nobody_waits_for_yet_waits_for_a_namespace() -> None:
    namespaces, held = await with_one_held(Engine())
    wanted = asyncio.Event()
    ahead = [asyncio.ensure_future(ask(namespaces, each)) for each in (asyncio.Event(), wanted)]
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in ahead)
    wanted.set()
    assert await asyncio.wait_for(ahead[1], 5) is None
    namespaces.give_back(held, is_empty=True)
    assert await asyncio.wait_for(ahead[0], 5) == held


async def test_where_no_namespace_is_shared_it_has_its_own() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=2, at_once=4, ahead=4)
    assert await asyncio.wait_for(ask(namespaces, asyncio.Event()), 5) is None
    assert engine.started == 0


@pytest.mark.parametrize("fails", [False, True])
async def test_all_but_the_first_wait_for_the_holder_that_is_made_for_them(fails: bool) -> None:
    engine = Engine()
    engine.fails = fails
    engine.may_start.clear()
    namespaces = pool(engine, sandboxes=100, at_once=4)
    assert await asyncio.wait_for(ask(namespaces), 5) is None
    others = [asyncio.ensure_future(ask(namespaces)) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert not any(each.done() for each in others)
    engine.may_start.set()
    slots = await asyncio.wait_for(asyncio.gather(*others), 5)
    assert [slot is None for slot in slots] == [fails] * 3


async def test_nobody_waits_for_a_holder_that_another_took() -> None:
    engine = Engine()
    engine.may_start.clear()
    namespaces = pool(engine, sandboxes=100, at_once=4)
    await ask(namespaces)
    waiting = [asyncio.ensure_future(ask(namespaces)) for _ in range(3)]
    await asyncio.sleep(0.01)
    engine.may_start.set()
    thieves = [asyncio.ensure_future(ask(namespaces)) for _ in range(4)]
    slots = await asyncio.wait_for(asyncio.gather(*waiting, *thieves), 5)
    assert len({slot.container_id for slot in slots if slot}) == 4


async def test_the_last_ones_leave_no_holder_behind() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=6, at_once=1)
    slots = await taken(namespaces, 2)
    for _ in range(4):
        held = slots[-1]
        assert held is not None
        namespaces.give_back(held, is_empty=True)
        slots.append(await take(namespaces))
    assert engine.removed == 0
    held = slots[-1]
    assert held is not None
    namespaces.give_back(held, is_empty=True)
    await settled()
    assert engine.removed == 1


async def test_those_that_the_last_one_does_not_take_go_while_it_runs() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=12, at_once=2)
    assert await take(namespaces) is None
    for _ in range(5):
        held = [slot for slot in await taken(namespaces, 2) if slot]
        for slot in held:
            namespaces.give_back(slot, is_empty=True)
    assert (engine.started, engine.removed) == (2, 0)
    assert await take(namespaces) is not None
    assert engine.removed == 1


async def test_more_are_made_for_those_behind_gates_only_while_the_engine_is_idle() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=1, ahead=2)
    await taken(namespaces, 2)
    ahead = [asyncio.ensure_future(ask(namespaces, asyncio.Event())) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert engine.started == 1
    engine.is_idle.set()
    await asyncio.wait(ahead, timeout=0.1)
    assert engine.started == 3
    assert [each.done() for each in ahead] == [True, True, False]
    ahead[2].cancel()


async def test_none_is_made_when_idle_if_nobody_waits_any_more() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=1, ahead=2)
    await taken(namespaces, 2)
    wanted = asyncio.Event()
    ahead = asyncio.ensure_future(ask(namespaces, wanted))
    await asyncio.sleep(0.01)
    wanted.set()
    assert await asyncio.wait_for(ahead, 5) is None
    engine.is_idle.set()
    await settled()
    assert engine.started == 1


async def test_one_that_nobody_waits_for_yet_takes_the_one_that_is_coming() -> None:
    engine = Engine()
    engine.may_start.clear()
    namespaces = pool(engine, sandboxes=100, at_once=4, ahead=4)
    assert await ask(namespaces) is None
    wanted = asyncio.Event()
    ahead = asyncio.ensure_future(ask(namespaces, wanted))
    await asyncio.sleep(0.01)
    wanted.set()
    await asyncio.sleep(0.01)
    assert not ahead.done()
    engine.may_start.set()
    assert await asyncio.wait_for(ahead, 5) is not None
    assert engine.started == 1


async def test_what_is_given_back_while_the_engine_is_busy_is_for_whoever_is_wanted() -> None:
    engine = Engine()
    namespaces, held = await with_one_held(engine)
    early = asyncio.ensure_future(ask(namespaces, asyncio.Event()))
    await asyncio.sleep(0.01)
    engine.has_core_to_spare.clear()
    namespaces.give_back(held, is_empty=True)
    await asyncio.sleep(0.01)
    assert not early.done()
    assert await take(namespaces) == held
    engine.has_core_to_spare.set()
    namespaces.give_back(held, is_empty=True)
    assert await asyncio.wait_for(early, 5) == held


async def test_nothing_more_is_made_once_the_run_has_ended() -> None:
    engine = Engine()
    namespaces = pool(engine, sandboxes=100, at_once=1, ahead=2)
    await taken(namespaces, 2)
    ahead = asyncio.ensure_future(ask(namespaces, asyncio.Event()))
    await asyncio.sleep(0.01)
    namespaces.end()
    await asyncio.wait_for(settled(), 5)
    assert engine.started == 1
    ahead.cancel()


async def test_one_that_is_given_up_leaves_its_turn_to_the_next() -> None:
    engine = Engine()
    namespaces, held = await with_one_held(engine)
    first, second = [asyncio.ensure_future(ask(namespaces, asyncio.Event())) for _ in range(2)]
    await asyncio.sleep(0.01)
    engine.has_core_to_spare.clear()
    namespaces.give_back(held, is_empty=True)
    await asyncio.sleep(0.01)
    first.cancel()
    engine.has_core_to_spare.set()
    assert await asyncio.wait_for(second, 5) == held
