"""Where the time of an attempt went, as all documents have it."""

from __future__ import annotations

from dockersched.report.fields import COUNT, SECONDS, Field, nullable
from dockersched.results import Phases

_MILLISECONDS = nullable({**SECONDS, "minimum": 0})

PHASES: tuple[Field[Phases], ...] = (
    Field("attempt", "Number of the attempt, as in the name of its log.", COUNT, lambda phases: phases.attempt),
    Field(
        "queued_ms",
        "From the moment at which it could have started until it was started.",
        _MILLISECONDS,
        lambda phases: phases.queued_ms,
    ),
    Field(
        "create_ms",
        "Until the engine was told to start it: container, volumes, limits read back, files put in.",
        _MILLISECONDS,
        lambda phases: phases.create_ms,
    ),
    Field("start_ms", "The engine's call to start it.", _MILLISECONDS, lambda phases: phases.start_ms),
    Field(
        "run_ms",
        "From its process' start to its end, by the engine's clock.",
        _MILLISECONDS,
        lambda phases: phases.run_ms,
    ),
    Field("exit_seen_ms", "From that end until it was noticed.", _MILLISECONDS, lambda phases: phases.exit_seen_ms),
    Field(
        "collect_ms",
        "Finding out how it ended, and taking its log, outputs and values.",
        _MILLISECONDS,
        lambda phases: phases.collect_ms,
    ),
    Field(
        "remove_ms",
        "Removing its container and volumes; known once the run has ended.",
        _MILLISECONDS,
        lambda phases: phases.remove_ms,
    ),
)


DURATIONS = {field.key.removesuffix("_ms").replace("_", "-"): field.value for field in PHASES[1:]}
"""The phases by their names for people, in order."""


def phase_words(phases: Phases) -> list[str]:
    """The phases that are known, each in words: `create 41.2 ms`."""
    return [f"{name} {took_ms} ms" for name, value in DURATIONS.items() if (took_ms := value(phases)) is not None]
