"""The key `retry` of an epic file."""

from __future__ import annotations

from typing import Any, ClassVar

from dockersched.epicfile import values, wording
from dockersched.epicfile.keys import Keys, key
from dockersched.epicfile.kinds import Fault, Kind, RefusedError, check_unique, list_of
from dockersched.epicfile.types import DURATION, FACTOR, MEMORY_SIZE, SWITCH, either, number_schema, whole
from dockersched.model import RETRY_CAUSES

RETRIES = whole(0, values.MAX_RETRIES)
EXIT_CODE = Kind(values.exit_code, {**number_schema(1, values.MAX_EXIT_CODE), "not": {"const": 137}})
_SOME_CODES = list_of(EXIT_CODE, unique=True)


def _exit_codes(value: object) -> list[int]:
    if not isinstance(value, list):
        return [values.exit_code(value)]
    if not value:
        raise ValueError("holds nothing: list at least one exit code, or write exit_code alone for all of them")
    return _SOME_CODES.read(value)


EXIT_CODES = Kind(_exit_codes, either(EXIT_CODE.schema, dict(sorted({**_SOME_CODES.schema, "minItems": 1}.items()))))


class ExitCodesSpec(Keys):
    """Some exit codes of the task's process."""

    more_schema: ClassVar[dict[str, Any]] = {"required": ["exit_code"]}

    exit_code = key(
        EXIT_CODES, "The codes: one, or a list. 137 is never among them: that is killed or oom_killed.", 75, [75, 111]
    )

    def check(self) -> None:
        """Refuses an empty map."""
        if self.exit_code is None:
            raise ValueError("is empty: name a cause, or write exit_code: [75]")

    @classmethod
    def refusal(cls, name: str) -> str:
        """Words for another cause, written as if it took a value."""
        return "is a cause that takes no value: write it alone" if name in RETRY_CAUSES else ""


def _cause(value: object) -> str | ExitCodesSpec:
    if isinstance(value, dict):
        return ExitCodesSpec.read(value)
    if type(value) is str and value in RETRY_CAUSES:
        return value
    raise RefusedError(Fault(lambda suggest: wording.unknown_cause(value, suggest=suggest)))


CAUSE = Kind(
    _cause,
    either({"enum": list(RETRY_CAUSES), "type": "string"}, ExitCodesSpec.kind().schema),
    (ExitCodesSpec,),
)
_SOME_CAUSES = list_of(CAUSE)


def _causes(value: object) -> list[str | ExitCodesSpec]:
    causes = _SOME_CAUSES.read(value)
    check_unique(cause for cause in causes if isinstance(cause, str))
    check_unique(code for cause in causes if isinstance(cause, ExitCodesSpec) for code in cause.exit_code or ())
    return causes


CAUSES = Kind(_causes, {**_SOME_CAUSES.schema, "uniqueItems": True}, _SOME_CAUSES.maps)


class BackoffSpec(Keys):
    """The pauses between attempts; each key that is left out takes its default."""

    initial = key(DURATION, "Pause before the second attempt.", "5s", default="1s")
    factor = key(FACTOR, "By how much each further pause is longer; 1 keeps them all alike.", 1.5, default=2)
    max = key(DURATION, "Longest pause; not shorter than initial.", "30s", "2m", default="30s")
    jitter = key(
        SWITCH, "Wait only a random part of each pause, so that many tasks do not come back in step.", default=True
    )


class MemorySpec(Keys):
    """How the memory limit grows from one attempt to the next."""

    factor = key(FACTOR, "By how much.", 1.5, default=2)
    max = key(MEMORY_SIZE, "The highest limit; what all tasks of the run may have together when left out.", "4g")


class RetrySpec(Keys):
    """When a task that failed is tried again; each key that is left out takes its default."""

    limit = key(RETRIES, "Attempts beside the first; 0 is no retries.", 0, 3, default=2)
    on = key(
        CAUSES,
        "What is tried again. infra: the engine failed, or the container or an output was lost"
        " (engine_error, interrupted, output_lost);"
        " exit_code: any exit code of the task's process, or those that follow; the others are reasons of results.",
        ["infra", "timed_out", {"exit_code": [75]}],
        default=["infra"],
    )
    backoff = key(
        BackoffSpec.kind(),
        "The pauses between attempts; a waiting retry holds no slot.",
        {"initial": "5s", "jitter": False},
    )
    memory = key(
        MemorySpec.kind(),
        "More memory for the attempt after one that was oom_killed; {} doubles it.",
        {"factor": 2, "max": "4g"},
    )


def _no_number(value: object) -> object:
    """Refuses a number with the words that help: `retry: 2` means a limit."""
    if isinstance(value, values.Number):
        raise ValueError(f"is the value {values.shown(value)}, not a map: write it like {{limit: 2}}")
    return value


RETRY = RetrySpec.kind().after(_no_number)
