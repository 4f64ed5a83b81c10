"""The key `quota` of an epic file."""

from __future__ import annotations

from dockersched.epicfile.keys import Keys, key
from dockersched.epicfile.types import CPUS, MEMORY_SIZE, size, whole
from dockersched.model.opening import MAX_NOFILE, MIN_NOFILE
from dockersched.model.quota import MAX_PIDS, MIN_DISK_BYTES, MIN_FSIZE_BYTES, MIN_LOG_BYTES, QuotaConfig

DISK_SIZE = size(MIN_DISK_BYTES, "4k")
FILE_SIZE = size(MIN_FSIZE_BYTES, "1")
LOG_SIZE = size(MIN_LOG_BYTES, "64k")
PIDS = whole(1, MAX_PIDS)
OPEN_FILES = whole(MIN_NOFILE, MAX_NOFILE)


class QuotaSpec(Keys):
    """What one sandbox may use; each key that is left out takes its default."""

    cpus = key(CPUS, "CPUs, fractions allowed: 0.5 is half of one core.", 0.5, 2, default=1)
    memory = key(MEMORY_SIZE, "Memory, at least 6m; no swap is given on top.", "512m", "2g", default="512m")
    pids = key(PIDS, "Processes and threads together.", 64, default=128)
    disk = key(
        DISK_SIZE,
        "What can be written altogether: to the places in memory while the root file system is read-only, else to it,"
        " where the engine can limit that.",
        "64m",
    )
    nofile = key(OPEN_FILES, "Files that each process may have open, from 16 to 1048576.", 256, default=4096)
    fsize = key(FILE_SIZE, "The largest file that can be written.", "100m", default="1g")
    log = key(LOG_SIZE, "How much of the output is kept, the last part; at least 64k.", "1m", default="16m")


def quota_of(spec: QuotaSpec | None, shared: QuotaSpec | None) -> QuotaConfig | None:
    """The quota of a task: its own limits, and those of the defaults where it has none."""
    if spec is None and shared is None:
        return None
    quotas = [QuotaConfig(**vars(part)) for part in (spec, shared) if part is not None]
    return quotas[0] if len(quotas) == 1 else quotas[0].or_default(quotas[1])
