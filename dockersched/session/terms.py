"""What a session is told, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field

from dockersched.events import Observer
from dockersched.report.digest import Digest, DigestSettings
from dockersched.results import EpicResult
from dockersched.sandbox.docker.connect import Engine, Meeting


class SessionSettings(Struct, frozen=True):
    """Where a run keeps its files and whom it tells what.

    Args:
        state_dir: folder with the state database and `runs/<run>/`.
        observers: see every event.
        on_output: gets tasks' output while they run; display only.
        allow_mounts: folders below which the sources of mounts may lie.
        progress: gets a line about each image that is built or pulled.
        digest: how the failures are digested.
        engine: that other runs use too, and that stays connected; None connects to the one of the environment.
        met: the one of the environment, if it is being asked what it is already.
        handle_signals: whether SIGINT, SIGTERM and SIGHUP stop the run while it is owned; a hangup that is ignored
            stays so. Off, no handler is touched.
    """

    state_dir: Path
    observers: Sequence[Observer] = ()
    on_output: Callable[[str, bytes], None] | None = None
    progress: Callable[[str], None] | None = None
    allow_mounts: Sequence[str] = ()
    digest: DigestSettings = field(default_factory=DigestSettings)
    engine: Engine | None = None
    met: Meeting | None = None
    handle_signals: bool = False


class SessionResult(Struct, frozen=True):
    """How a run ended.

    Args:
        result: of the epic.
        exit_code: for the program that ran it; 128 + number after a signal.
        digest: of its failures.
        path: of `result.json`.
        leaked: what could not be removed from the engine, in words.
    """

    result: EpicResult
    exit_code: int
    digest: Digest
    path: Path
    leaked: Sequence[str]
