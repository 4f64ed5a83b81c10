"""The key `retry` of an epic file."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from dockersched.epicfile import values
from dockersched.epicfile.types import (
    Duration,
    Factor,
    Given,
    Keys,
    MemorySize,
    Switch,
    check_unique,
    either,
    key,
    unique,
)
from dockersched.model import RETRY_CAUSES

UNKNOWN_CAUSE = "unknown_cause"
"""The kind of the error for what is no cause of a retry."""


def _one_or_more(value: object, read_list: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, list):
        return [values.exit_code(value)]
    if not value:
        raise ValueError("holds nothing: list at least one exit code, or write exit_code alone for all of them")
    return read_list(value)


Retries = Annotated[
    int,
    BeforeValidator(values.whole(0, values.MAX_RETRIES)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": values.MAX_RETRIES}),
]
_EXIT_CODE = {"type": "integer", "minimum": 1, "maximum": values.MAX_EXIT_CODE}
ExitCode = Annotated[int, BeforeValidator(values.exit_code)]
ExitCodes = Annotated[
    list[ExitCode],
    AfterValidator(unique),
    WrapValidator(_one_or_more),
    either(_EXIT_CODE, {"type": "array", "items": _EXIT_CODE, "minItems": 1, "uniqueItems": True}),
]


class ExitCodesSpec(Keys):
    """Some exit codes of the task's process."""

    model_config = ConfigDict(json_schema_extra={"required": ["exit_code"]})

    exit_code: Annotated[ExitCodes | None, Given] = key(
        "The codes: one, or a list. 137 is never among them: that is killed or oom_killed.", 75, [75, 111]
    )

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.exit_code is None:
            raise ValueError("is empty: name a cause, or write exit_code: [75]")
        return self


def _cause(value: object) -> object:
    if isinstance(value, dict):
        return ExitCodesSpec.model_validate(value)
    if type(values.given(value)) is str and value in RETRY_CAUSES:
        return value
    raise PydanticCustomError(UNKNOWN_CAUSE, "no cause of a retry")


def _unique_causes(causes: list[str | ExitCodesSpec]) -> list[str | ExitCodesSpec]:
    check_unique(cause for cause in causes if isinstance(cause, str))
    check_unique(code for cause in causes if isinstance(cause, ExitCodesSpec) for code in cause.exit_code or ())
    return causes


CauseName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(RETRY_CAUSES)})]
Cause = Annotated[CauseName | ExitCodesSpec, BeforeValidator(_cause)]
Causes = Annotated[list[Cause], AfterValidator(_unique_causes), Field(json_schema_extra={"uniqueItems": True})]


class BackoffSpec(Keys):
    """The pauses between attempts; each key that is left out takes its default."""

    initial: Annotated[Duration | None, Given] = key("Pause before the second attempt.", "5s", default="1s")
    factor: Annotated[Factor | None, Given] = key(
        "By how much each further pause is longer; 1 keeps them all alike.", 1.5, default=2
    )
    max: Annotated[Duration | None, Given] = key("Longest pause; not shorter than initial.", "30s", "2m", default="30s")
    jitter: Annotated[Switch | None, Given] = key(
        "Wait only a random part of each pause, so that many tasks do not come back in step.", default=True
    )


class MemorySpec(Keys):
    """How the memory limit grows from one attempt to the next."""

    factor: Annotated[Factor | None, Given] = key("By how much.", 1.5, default=2)
    max: Annotated[MemorySize | None, Given] = key(
        "The highest limit; what all tasks of the run may have together when left out.", "4g"
    )


class RetrySpec(Keys):
    """When a task that failed is tried again; each key that is left out takes its default."""

    limit: Annotated[Retries | None, Given] = key("Attempts beside the first; 0 is no retries.", 0, 3, default=2)
    on: Annotated[Causes | None, Given] = key(
        "What is tried again. infra: the engine failed or the container was lost (engine_error, interrupted);"
        " exit_code: any exit code of the task's process, or those that follow; the others are reasons of results.",
        ["infra", "timed_out", {"exit_code": [75]}],
        default=["infra"],
    )
    backoff: Annotated[BackoffSpec | None, Given] = key(
        "The pauses between attempts; a waiting retry holds no slot.", {"initial": "5s", "jitter": False}
    )
    memory: Annotated[MemorySpec | None, Given] = key(
        "More memory for the attempt after one that was oom_killed; {} doubles it.", {"factor": 2, "max": "4g"}
    )


def map_of_retry(value: object) -> object:
    """Refuses a number with the words that help: `retry: 2` means a limit."""
    if isinstance(value, values.Number):
        raise ValueError(f"is the value {values.shown(value)}, not a map: write it like {{limit: 2}}")
    return value
