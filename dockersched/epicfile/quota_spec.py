"""The key `quota` of an epic file."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from dockersched.epicfile import values
from dockersched.epicfile.types import Count, Cpus, Given, Keys, MemorySize, key, size_schema
from dockersched.model.opening import MAX_NOFILE, MIN_NOFILE
from dockersched.model.quota import MIN_DISK_BYTES, MIN_FSIZE_BYTES, MIN_LOG_BYTES, QuotaConfig

DiskSize = Annotated[int, BeforeValidator(values.size(MIN_DISK_BYTES, "4k")), size_schema(MIN_DISK_BYTES)]
FileSize = Annotated[int, BeforeValidator(values.size(MIN_FSIZE_BYTES, "1")), size_schema(MIN_FSIZE_BYTES)]
LogSize = Annotated[int, BeforeValidator(values.size(MIN_LOG_BYTES, "64k")), size_schema(MIN_LOG_BYTES)]
OpenFiles = Annotated[
    int,
    BeforeValidator(values.whole(MIN_NOFILE, MAX_NOFILE)),
    WithJsonSchema({"type": "integer", "minimum": MIN_NOFILE, "maximum": MAX_NOFILE}),
]


class QuotaSpec(Keys):
    """What one sandbox may use; each key that is left out takes its default."""

    cpus: Annotated[Cpus | None, Given] = key("CPUs, fractions allowed: 0.5 is half of one core.", 0.5, 2, default=1)
    memory: Annotated[MemorySize | None, Given] = key(
        "Memory, at least 6m; no swap is given on top.", "512m", "2g", default="512m"
    )
    pids: Annotated[Count | None, Given] = key("Processes and threads together.", 64, default=128)
    disk: Annotated[DiskSize | None, Given] = key(
        "What can be written altogether: to the places in memory while the root file system is read-only, else to it,"
        " where the engine can limit that.",
        "64m",
    )
    nofile: Annotated[OpenFiles | None, Given] = key(
        "Files that each process may have open, from 16 to 1048576.", 256, default=4096
    )
    fsize: Annotated[FileSize | None, Given] = key("The largest file that can be written.", "100m", default="1g")
    log: Annotated[LogSize | None, Given] = key(
        "How much of the output is kept, the last part; at least 64k.", "1m", default="16m"
    )


def quota_of(spec: QuotaSpec | None, shared: QuotaSpec | None) -> QuotaConfig | None:
    """The quota of a task: its own limits, and those of the defaults where it has none."""
    if spec is None and shared is None:
        return None
    quotas = [QuotaConfig(**part.model_dump()) for part in (spec, shared) if part is not None]
    return quotas[0] if len(quotas) == 1 else quotas[0].or_default(quotas[1])
