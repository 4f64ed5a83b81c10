"""Measures where the time of one attempt goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from msgspec.structs import replace

from dockersched.results import Phases, SandboxResult
from dockersched.units import to_ms


class PhaseClock:
    """Is told what becomes of an attempt, in its order and by one thread at a time, and tells what each phase took.

    Args:
        known: what is known of the attempt's phases by now, which is when it begins.
        engine_now: the time by the engine's clock.
    """

    def __init__(self, known: Phases, engine_now: Callable[[], datetime]) -> None:
        self._known = known
        self._engine_now = engine_now
        self._began = time.monotonic()
        self._start_asked: float | None = None
        self._start_answered: float | None = None
        self._is_launched = False
        self._noticed: tuple[float, datetime] | None = None
        self._removal_began: float | None = None
        self._removed: float | None = None

    @contextmanager
    def starting(self) -> Iterator[None]:
        """The engine is told to start the sandbox; more than once is one start that took longer."""
        self._start_asked = self._start_asked or time.monotonic()
        try:
            yield
        finally:
            self._start_answered = time.monotonic()

    def launched(self) -> None:
        """The sandbox was started; if not by us, then by an earlier process."""
        self._is_launched = True

    def exit_noticed(self) -> None:
        """The sandbox may have ended; the last time that this was noticed counts."""
        self._noticed = time.monotonic(), self._engine_now()

    @contextmanager
    def removing(self) -> Iterator[None]:
        """The sandbox is removed."""
        self._removal_began = time.monotonic()
        yield
        self._removed = time.monotonic()

    def timed(self, ended: SandboxResult) -> SandboxResult:
        """The result with the phases that are over."""
        return replace(ended, phases=self.phases(ended))

    def phases(self, ended: SandboxResult) -> Phases:
        """What the phases took that are over; the attempt's result is just known, or its sandbox just removed."""
        now = self._removal_began or time.monotonic()
        phases = replace(self._known, run_ms=_run_ms(ended))
        if self._start_asked is not None and self._start_answered is not None:
            phases = replace(
                phases,
                create_ms=to_ms(self._start_asked - self._began),
                start_ms=to_ms(self._start_answered - self._start_asked),
            )
        elif not self._is_launched:
            phases = replace(phases, create_ms=to_ms(now - self._began))
        if self._noticed is not None:
            noticed, noticed_at = self._noticed
            phases = replace(phases, collect_ms=to_ms(now - noticed))
            if ended.finished_at is not None:
                phases = replace(phases, exit_seen_ms=to_ms(max(0.0, (noticed_at - ended.finished_at).total_seconds())))
        if self._removed is not None:
            phases = replace(phases, remove_ms=to_ms(self._removed - now))
        return phases


def _run_ms(ended: SandboxResult) -> float | None:
    if ended.started_at is None or ended.finished_at is None:
        return None
    return to_ms((ended.finished_at - ended.started_at).total_seconds())
