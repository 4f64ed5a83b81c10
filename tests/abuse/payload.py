"""Scripts that are run in sandboxes, as command lines."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "payloads"
_SHARED = "tests.abuse.payloads.probing"


def python(name: str, *args: str) -> tuple[str, ...]:
    """The command line that runs `payloads/<name>.py` where neither it nor what it imports is installed."""
    return ("python3", "-c", f"{_loader()}\n{_source(name)}", *args)


@cache
def _loader() -> str:
    """Makes the module that payloads share importable in a sandbox that has no files of ours."""
    lines = ("import sys, types", f"shared = sys.modules[{_SHARED!r}] = types.ModuleType({_SHARED!r})")
    return "\n".join((*lines, f"exec({_source('probing')!r}, shared.__dict__)"))


@cache
def _source(name: str) -> str:
    return (_FOLDER / f"{name}.py").read_text("utf-8")
