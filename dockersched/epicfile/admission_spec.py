"""Keys of an epic file that say what may run side by side, and what starts first."""

from __future__ import annotations

from dockersched.epicfile import values
from dockersched.epicfile.keys import Keys, key
from dockersched.epicfile.types import factor, whole
from dockersched.model.options import OVERCOMMIT_CPUS, OVERCOMMIT_MEMORY
from dockersched.model.task import MAX_PRIORITY

PRIORITY = whole(-MAX_PRIORITY, MAX_PRIORITY)
OVERCOMMIT = factor(values.MIN_OVERCOMMIT)


class OvercommitSpec(Keys):
    """What the quotas of the sandboxes side by side may add up to, in proportion to what the engine has."""

    cpus = key(OVERCOMMIT, "Times the engine's CPUs.", 2, default=OVERCOMMIT_CPUS)
    memory = key(OVERCOMMIT, "Times the engine's memory.", 1.5, default=OVERCOMMIT_MEMORY)
