"""What a sandbox asks for that an engine cannot give or enforce: found before anything starts, never left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dockersched.errors import Problem
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.features import EngineFeatures


def find_refusals(
    sandboxes: Iterable[SandboxRunOptions], features: EngineFeatures, defaults: SandboxDefaults
) -> list[Problem]:
    """Every reason why sandboxes must not be started on an engine, in their order."""
    return [problem for options in sandboxes for problem in refusals(defaults.fill(options), features)]


def refusals(options: SandboxRunOptions, features: EngineFeatures) -> Iterator[Problem]:
    """Every reason why a sandbox must not be started on an engine.

    Args:
        options: the sandbox, with the defaults filled in.
        features: of the engine.

    Yields:
        problems at `("tasks", id, key)`.
    """
    if options.runtime is not None and options.runtime not in features.runtimes:
        known = ", ".join(sorted(features.runtimes)) or "none"
        yield _problem(
            options,
            f"wants the runtime {options.runtime!r}, which the engine does not have (it has {known}): "
            "install it there and name it in the engine's daemon.json, or change runtime",
            "runtime",
        )


def _problem(options: SandboxRunOptions, message: str, *keys: str) -> Problem:
    return Problem(f"task {options.task_id!r} {message}", ("tasks", options.task_id, *keys))
