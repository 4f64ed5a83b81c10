"""The gate as an executable, for every architecture that it is there for. Pure."""

from __future__ import annotations

import io
import tarfile
from functools import cache

from dockersched.sandbox.docker.gate.aarch64 import Aarch64
from dockersched.sandbox.docker.gate.assembly import Encoder, assemble
from dockersched.sandbox.docker.gate.elf import executable
from dockersched.sandbox.docker.gate.source import source
from dockersched.sandbox.docker.gate.x86_64 import X8664

_ENCODERS: dict[str, Encoder] = {"x86_64": X8664(), "aarch64": Aarch64()}

ARCHITECTURES = frozenset(_ENCODERS)
"""As engines name them, which is as the kernel does."""


PROGRAM_NAME = "gate"
"""Of the file in the archive."""


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


def archive(architecture: str) -> bytes:
    """The executable alone in a tar archive, always the same: what an image or a volume with it holds.

    Args:
        architecture: one of `ARCHITECTURES`.
    """
    content = program(architecture)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo(PROGRAM_NAME)
        entry.size, entry.mode = len(content), 0o555
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
