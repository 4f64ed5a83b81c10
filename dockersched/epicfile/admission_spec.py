"""Keys of an epic file that say what may run side by side, and what starts first."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from dockersched.epicfile import values
from dockersched.epicfile.types import Given, Keys, key
from dockersched.model.options import OVERCOMMIT_CPUS, OVERCOMMIT_MEMORY
from dockersched.model.task import MAX_PRIORITY

Priority = Annotated[
    int,
    BeforeValidator(values.whole(-MAX_PRIORITY, MAX_PRIORITY)),
    WithJsonSchema({"type": "integer", "minimum": -MAX_PRIORITY, "maximum": MAX_PRIORITY}),
]
Overcommit = Annotated[
    float,
    BeforeValidator(values.factor(values.MIN_OVERCOMMIT)),
    WithJsonSchema({"type": "number", "minimum": values.MIN_OVERCOMMIT, "maximum": values.MAX_FACTOR}),
]


class OvercommitSpec(Keys):
    """What the quotas of the sandboxes side by side may add up to, in proportion to what the engine has."""

    cpus: Annotated[Overcommit | None, Given] = key("Times the engine's CPUs.", 2, default=OVERCOMMIT_CPUS)
    memory: Annotated[Overcommit | None, Given] = key("Times the engine's memory.", 1.5, default=OVERCOMMIT_MEMORY)
