"""What the command line says in place of what the epic file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from dockersched.epic import Epic
    from dockersched.epicfile.kinds import Kind


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Declares what all sandboxes may have together."""
    parser.add_argument("--max-parallel", metavar="N", help="sandboxes side by side (the epic's own number)")
    parser.add_argument("--max-cpus", metavar="N", help="CPUs of all sandboxes side by side (those of the engine)")
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="their memory, as 512m or 8g (80 %% of that of the engine)"
    )


def with_overrides(epic: Epic, args: argparse.Namespace) -> Epic:
    """The epic with the limits, and the time limit, that the arguments give, read as the same keys of its file.

    Raises:
        EpicError: an argument is none.
    """
    from dataclasses import replace  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.epicfile import types  # noqa: PLC0415
    from dockersched.epicfile.values import resolve  # noqa: PLC0415
    from dockersched.errors import EpicError, Problem  # noqa: PLC0415

    kinds: dict[str, tuple[str, Kind[Any]]] = {
        "max_parallel": ("max_parallel", types.COUNT),
        "prepare_ahead": ("prepare_ahead", types.WHOLE_NUMBER),
        "max_cpus": ("max_cpus", types.CPUS),
        "max_memory": ("max_memory", types.MEMORY_SIZE),
        "timeout": ("timeout_s", types.DURATION),
    }
    changes: dict[str, Any] = {}
    for argument, (name, kind) in kinds.items():
        value = getattr(args, argument, None)
        if value is None:
            continue
        try:
            changes[name] = kind.read(resolve(value))
        except ValueError as error:
            flag = f"--{argument.replace('_', '-')}"
            raise EpicError([Problem(f"dockersched: {flag} {value}: {error}")]) from error
    return replace(epic, options=replace(epic.options, **changes))
