"""A workspace put into a sandbox, against the plain tools that do the same, by turns."""

from __future__ import annotations

import random
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import yaml

from benchmarks import report
from benchmarks.command import Command
from benchmarks.graphs import IMAGE
from dockersched import ids
from dockersched.data.run_files import RunFiles
from dockersched.model import WORKSPACE_DIR, Workspace
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.connection import resolve_endpoint
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.volumes import HeldVolumes, TmpfsVolume

FILES = 5_000
SIZE_BYTES = 100 * 2**20
SANDBOXES = 10

_FOLDERS = 50
_USER = 65534
_API_VERSION = "1.41"
_TIMEOUT_S = 120
_RATIO_TARGET = 1.5
_NOISE_LIMIT = 0.25
_BARE, _PACK, _PUT = "tar c | docker cp -", "pack", "put"


@dataclass
class _Rounds:
    seconds: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds.setdefault(what, []).append(time.monotonic() - began)

    def of(self, *parts: str) -> list[float]:
        """The seconds of each round that some parts took together."""
        return [sum(each) for each in zip(*(self.seconds[part] for part in parts), strict=True)]


def run(rounds: int) -> None:
    """Measures, and prints tables and targets."""
    print(f"\n## files: {SIZE_BYTES // 2**20} MiB in {FILES:,} files, medians of {rounds} rounds, by turns\n")
    with tempfile.TemporaryDirectory(prefix="dockersched-bench-") as name:
        folder = Path(name)
        source = _write_tree(folder / "source")
        taken = _Rounds()
        for number in range(rounds):
            ways: list[Callable[[], None]] = [
                lambda: _copy_bare(source, taken),
                lambda: _pack_and_put(source, folder / f"store-{number}", taken),  # noqa: B023 - called at once
            ]
            for way in ways if number % 2 == 0 else reversed(ways):
                way()
        print(*_compared(taken), "", sep="\n")
        print(*_many(source, folder), sep="\n")


def _copy_bare(source: Path, taken: _Rounds) -> None:
    with _volume() as (_, volumes), taken.timed(_BARE):
        tar = subprocess.Popen(["tar", "-C", str(source), "-c", "."], stdout=subprocess.PIPE)
        subprocess.run(["docker", "cp", "-", f"{volumes.holder}:{WORKSPACE_DIR}"], stdin=tar.stdout, check=True)
        tar.wait()


def _pack_and_put(source: Path, store: Path, taken: _Rounds) -> None:
    files = RunFiles(store, store)
    with _volume() as (calls, volumes):
        with taken.timed(_PACK):
            packed = files.pack(Workspace(str(source)))
        with taken.timed(_PUT):
            volumes.put(calls, WORKSPACE_DIR, lambda: files.stream_workspace(packed.digest, uid=_USER, gid=_USER))


@contextmanager
def _volume() -> Iterator[tuple[EngineCalls, HeldVolumes]]:
    """A volume as a sandbox has it, in a container that runs; gone after the block."""
    http = EngineHttp(resolve_endpoint(), _API_VERSION, _TIMEOUT_S)
    calls = EngineCalls(http, threading.Event(), EngineHealth(lambda: datetime.now(UTC)))
    name = f"bench-files-{ids.new_run_id()}-workspace"
    volume = TmpfsVolume(name, WORKSPACE_DIR, 2**30, 2**18, owner=(_USER, _USER))
    volumes = HeldVolumes([volume], {"bench": name}, IMAGE)
    try:
        volumes.open(calls)
        yield calls, volumes
    finally:
        volumes.remove(calls)
        calls.close()


def _compared(taken: _Rounds) -> list[str]:
    bare = taken.of(_BARE)
    spread = (max(bare) - min(bare)) / median(bare)
    noisy = f"the bare copy's spread was {spread:.0%}" if spread > _NOISE_LIMIT else ""
    ways = {
        _BARE: bare,
        "pack, once a run": taken.of(_PACK),
        "put": taken.of(_PUT),
        "pack and put": taken.of(_PACK, _PUT),
    }
    rows = [
        (name, f"{median(seconds):.2f}", f"{min(seconds):.2f}", f"{max(seconds):.2f}", f"{_ratio(seconds, bare):.2f}")
        for name, seconds in ways.items()
    ]
    return [
        report.table(("way", "s", "least", "most", "ratio"), rows),
        report.target(
            "workspace of one sandbox, packed for it", _ratio(ways["pack and put"], bare), _RATIO_TARGET, noisy=noisy
        ),
        report.target("workspace of each further sandbox", _ratio(ways["put"], bare), _RATIO_TARGET, noisy=noisy),
    ]


def _many(source: Path, folder: Path) -> list[str]:
    """Sandboxes with one workspace, end to end, against the same without it."""
    plain, _ = _makespan({}, folder)
    seconds, packs = _makespan({"workspace": str(source)}, folder)
    head = (f"{SANDBOXES} sandboxes, 4 at once", "s", "s a sandbox", "packs")
    rows = [("without", plain, 0), ("with the workspace", seconds, packs)]
    lines = [(name, f"{took:.2f}", f"{took / SANDBOXES:.2f}", str(count)) for name, took, count in rows]
    return [report.table(head, lines), report.target("packs of one workspace", packs, 1, digits=0)]


def _makespan(keys: Mapping[str, str], folder: Path) -> tuple[float, int]:
    """Seconds of an epic, and how often it packed."""
    tasks = {f"t{number}": {"command": "true"} for number in range(SANDBOXES)}
    epic = {"epic": "bench-files", "max_parallel": 4, "defaults": dict(keys), "tasks": tasks}
    path = folder / "epic.yaml"
    path.write_text(yaml.safe_dump(epic))
    state = folder / f"state-{len(keys)}"
    began = time.monotonic()
    with Command(path, state, quiet=False) as command:
        command.result()
        took = time.monotonic() - began
        return took, command.errors().count(f"packed {keys.get('workspace')}:")


def _write_tree(folder: Path) -> Path:
    chance = random.Random(5)  # noqa: S311 - only noise
    for number in range(FILES):
        path = folder / f"folder-{number % _FOLDERS:02}" / f"file-{number:04}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(SIZE_BYTES // FILES))
    return folder


def _ratio(seconds: Sequence[float], bare: Sequence[float]) -> float:
    """The median of the rounds' ratios."""
    return median(mine / least for mine, least in zip(seconds, bare, strict=True))
