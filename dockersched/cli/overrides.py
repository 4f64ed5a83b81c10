"""What the command line says in place of what the epic file says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from dockersched.epic import Epic


def add_limits(parser: argparse.ArgumentParser) -> None:
    """Declares what all sandboxes may have together."""
    parser.add_argument("--max-parallel", metavar="N", help="sandboxes side by side (the epic's own number)")
    parser.add_argument("--max-cpus", metavar="N", help="CPUs of all sandboxes side by side (those of the engine)")
    parser.add_argument(
        "--max-memory", metavar="SIZE", help="their memory, as 512m or 8g (80 %% of that of the engine)"
    )


def with_overrides(epic: Epic, args: argparse.Namespace) -> Epic:
    """The epic with the limits, and the time limit, that the arguments give.

    Raises:
        EpicError: an argument is none.
    """
    from dataclasses import replace  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from functools import partial  # noqa: PLC0415

    from dockersched.errors import EpicError, Problem  # noqa: PLC0415
    from dockersched.units import parse_duration  # noqa: PLC0415

    parsers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "max_parallel": ("max_parallel", partial(_whole_number, least=1)),
        "prepare_ahead": ("prepare_ahead", partial(_whole_number, least=0)),
        "max_cpus": ("max_cpus", _number),
        "max_memory": ("max_memory", str),
        "timeout": ("timeout_s", parse_duration),
    }
    options = epic.options
    for argument, (name, parse) in parsers.items():
        value = getattr(args, argument, None)
        if value is None:
            continue
        try:
            changes: dict[str, Any] = {name: parse(value)}
            options = replace(options, **changes)
        except ValueError as error:
            words = str(error).removeprefix(f"{name} ")
            flag = f"--{argument.replace('_', '-')}"
            raise EpicError([Problem(f"dockersched: {flag} {value}: {words}")]) from error
    return replace(epic, options=options)


def _whole_number(text: str, *, least: int) -> int:
    if not text.isdecimal():
        raise ValueError(f"must be a whole number of at least {least}")
    return int(text)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError("must be a number of CPUs, as 2 or 0.5") from None
