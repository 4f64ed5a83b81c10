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


GATE_DIR = "/.dockersched"
"""Where the executable is in images and sandboxes."""

PROGRAM = f"{GATE_DIR}/gate"
"""The executable's path there."""


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
    """An image's root with nothing but the executable, in its folder, as a tar archive; always the same.

    Args:
        architecture: one of `ARCHITECTURES`.
    """
    content = program(architecture)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        folder = tarfile.TarInfo(GATE_DIR.lstrip("/"))
        folder.type, folder.mode = tarfile.DIRTYPE, 0o555
        tar.addfile(folder)
        entry = tarfile.TarInfo(PROGRAM.lstrip("/"))
        entry.size, entry.mode = len(content), 0o555
        tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
