"""The gate as an executable, for every architecture that it is there for. Pure."""

from __future__ import annotations

from functools import cache

from dockersched.sandbox.docker.gate.aarch64 import Aarch64
from dockersched.sandbox.docker.gate.assembly import Encoder, assemble
from dockersched.sandbox.docker.gate.elf import executable
from dockersched.sandbox.docker.gate.source import source
from dockersched.sandbox.docker.gate.x86_64 import X8664

_ENCODERS: dict[str, Encoder] = {"x86_64": X8664(), "aarch64": Aarch64()}

ARCHITECTURES = frozenset(_ENCODERS)
"""As engines name them, which is as the kernel does."""


@cache
def program(architecture: str) -> bytes:
    """The executable, always the same bytes.

    Args:
        architecture: one of `ARCHITECTURES`.

    Raises:
        KeyError: there is no gate for the architecture.
    """
    encoder = _ENCODERS[architecture]
    return executable(encoder.machine, assemble(source(encoder)))
