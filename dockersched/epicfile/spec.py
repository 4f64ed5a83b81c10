"""The models of an epic file: its keys, what they accept, and their JSON Schema."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
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
from dockersched.ids import TASK_ID_PATTERN
from dockersched.model import MIN_CPUS, MIN_MEMORY_BYTES, RETRY_CAUSES, Network, PullPolicy
from dockersched.units import DURATION_PATTERN, SIZE_PATTERN

UNKNOWN_CAUSE = "unknown_cause"
"""The kind of the error for what is no cause of a retry."""

_Item = TypeVar("_Item", bound=Hashable)


def _text(pattern: str = r"[\s\S]+") -> dict[str, Any]:
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def _either(*schemas: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": list(schemas)})


def _check_unique(items: Iterable[Hashable]) -> None:
    seen: set[Hashable] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{item!r} is listed twice: remove one")
        seen.add(item)


def _unique(items: list[_Item]) -> list[_Item]:
    _check_unique(items)
    return items


def _one_or_more(value: object, read_list: ValidatorFunctionWrapHandler) -> Any:
    if not isinstance(value, list):
        return [values.exit_code(value)]
    if not value:
        raise ValueError("holds nothing: list at least one exit code, or write exit_code alone for all of them")
    return read_list(value)


def _map_of_retry(value: object) -> object:
    if isinstance(value, values.Number):
        raise ValueError(f"is the value {values.shown(value)}, not a map: write it like {{limit: 2}}")
    return value


_Given = BeforeValidator(values.given)

EpicId = Annotated[str, BeforeValidator(values.epic_id), WithJsonSchema(_text(TASK_ID_PATTERN))]
TaskKey = Annotated[str, BeforeValidator(values.task_id), WithJsonSchema(_text(TASK_ID_PATTERN))]
TaskId = Annotated[
    str, BeforeValidator(values.task_id), _either(_text(TASK_ID_PATTERN), {"type": "number", "minimum": 0})
]
Text = Annotated[str, BeforeValidator(values.text), WithJsonSchema(_text())]
Command = Annotated[str, BeforeValidator(values.program), WithJsonSchema(_text())]
Word = Annotated[str, BeforeValidator(values.word), WithJsonSchema({"type": ["string", "number", "boolean"]})]
Name = Annotated[str, BeforeValidator(values.name), WithJsonSchema(_text(r"\S+"))]
User = Annotated[
    str,
    BeforeValidator(values.user),
    _either(_text(r"\S+"), {"type": "integer", "minimum": 0, "maximum": values.MAX_UID}),
]
AbsolutePath = Annotated[str, BeforeValidator(values.absolute_path), WithJsonSchema(_text(r"/[\s\S]*"))]
Variable = Annotated[str, BeforeValidator(values.variable), WithJsonSchema(_text("[^=]+"))]
Switch = Annotated[bool, BeforeValidator(values.boolean)]
Count = Annotated[
    int,
    BeforeValidator(values.whole(1)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": values.MAX_COUNT}),
]
Cpus = Annotated[
    float,
    BeforeValidator(values.cpus),
    _either({"type": "number", "minimum": MIN_CPUS, "maximum": values.MAX_CPUS}, _text(values.NUMBER_PATTERN)),
]
Size = Annotated[
    int,
    BeforeValidator(values.size),
    _either(
        {"type": "integer", "minimum": MIN_MEMORY_BYTES, "maximum": values.MAX_MEMORY_BYTES},
        _text(rf"\s*(?:{SIZE_PATTERN})\s*"),
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(values.duration),
    _either(
        {"type": "number", "exclusiveMinimum": 0, "maximum": values.MAX_SECONDS},
        _text(rf"\s*(?:{DURATION_PATTERN})\s*"),
    ),
]
Retries = Annotated[
    int,
    BeforeValidator(values.whole(0, values.MAX_RETRIES)),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": values.MAX_RETRIES}),
]
Factor = Annotated[
    float,
    BeforeValidator(values.factor),
    WithJsonSchema({"type": "number", "minimum": 1, "maximum": values.MAX_FACTOR}),
]
_EXIT_CODE = {"type": "integer", "minimum": 1, "maximum": values.MAX_EXIT_CODE}
ExitCode = Annotated[int, BeforeValidator(values.exit_code)]
ExitCodes = Annotated[
    list[ExitCode],
    AfterValidator(_unique),
    WrapValidator(_one_or_more),
    _either(_EXIT_CODE, {"type": "array", "items": _EXIT_CODE, "minItems": 1, "uniqueItems": True}),
]
DependsOn = Annotated[list[TaskId], AfterValidator(_unique), Field(json_schema_extra={"uniqueItems": True})]


def _key(description: str, *examples: Any, default: Any = None) -> Any:
    shown: dict[str, Any] = {} if default is None else {"default": default}
    return Field(default=None, description=description, examples=list(examples) or None, json_schema_extra=shown)


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class QuotaSpec(_Keys):
    """What one sandbox may use; each key that is left out takes its default."""

    cpus: Annotated[Cpus | None, _Given] = _key("CPUs, fractions allowed: 0.5 is half of one core.", 0.5, 2, default=1)
    memory: Annotated[Size | None, _Given] = _key(
        "Memory, at least 6m; no swap is given on top.", "512m", "2g", default="512m"
    )
    pids: Annotated[Count | None, _Given] = _key("Processes and threads together.", 64, default=128)


class ExitCodesSpec(_Keys):
    """Some exit codes of the task's process."""

    model_config = ConfigDict(json_schema_extra={"required": ["exit_code"]})

    exit_code: Annotated[ExitCodes | None, _Given] = _key(
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
    _check_unique(cause for cause in causes if isinstance(cause, str))
    _check_unique(code for cause in causes if isinstance(cause, ExitCodesSpec) for code in cause.exit_code or ())
    return causes


CauseName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(RETRY_CAUSES)})]
Cause = Annotated[CauseName | ExitCodesSpec, BeforeValidator(_cause)]
Causes = Annotated[list[Cause], AfterValidator(_unique_causes), Field(json_schema_extra={"uniqueItems": True})]


class BackoffSpec(_Keys):
    """The pauses between attempts; each key that is left out takes its default."""

    initial: Annotated[Duration | None, _Given] = _key("Pause before the second attempt.", "5s", default="1s")
    factor: Annotated[Factor | None, _Given] = _key(
        "By how much each further pause is longer; 1 keeps them all alike.", 1.5, default=2
    )
    max: Annotated[Duration | None, _Given] = _key(
        "Longest pause; not shorter than initial.", "30s", "2m", default="30s"
    )
    jitter: Annotated[Switch | None, _Given] = _key(
        "Wait only a random part of each pause, so that many tasks do not come back in step.", default=True
    )


class RetrySpec(_Keys):
    """When a task that failed is tried again; each key that is left out takes its default."""

    limit: Annotated[Retries | None, _Given] = _key("Attempts beside the first; 0 is no retries.", 0, 3, default=2)
    on: Annotated[Causes | None, _Given] = _key(
        "What is tried again. infra: the engine failed or the container was lost (engine_error, interrupted);"
        " exit_code: any exit code of the task's process, or those that follow; the others are reasons of results.",
        ["infra", "timed_out", {"exit_code": [75]}],
        default=["infra"],
    )
    backoff: Annotated[BackoffSpec | None, _Given] = _key(
        "The pauses between attempts; a waiting retry holds no slot.", {"initial": "5s", "jitter": False}
    )


class Defaults(_Keys):
    """What tasks share: a task's own key wins; quota, environment and retry merge key by key."""

    image: Annotated[Name | None, _Given] = _key(
        "The image to run in.", "dockersched/python", "alpine:3.20", default="dockersched/base"
    )
    environment: Annotated[dict[Variable, Word] | None, _Given] = _key(
        "Variables for the command; values stay as they are written.", {"LANG": "C.UTF-8", "VERSION": "1.10"}
    )
    working_dir: Annotated[AbsolutePath | None, _Given] = _key(
        "Directory the command starts in; the image's when left out.", "/usr/src"
    )
    user: Annotated[User | None, _Given] = _key(
        "uid, uid:gid or a name that the image knows.", "1000:1000", default="65534:65534"
    )
    quota: Annotated[QuotaSpec | None, _Given] = _key("Limits of the sandbox.", {"cpus": 0.5, "memory": "512m"})
    network: Annotated[Network | None, _Given] = _key(
        "none: no network at all; bridge: the engine's default network.", default="none"
    )
    timeout: Annotated[Duration | None, _Given] = _key(
        "How long the sandbox may run before it is stopped.", "90s", "1h30m", default="10m"
    )
    stop_grace_period: Annotated[Duration | None, _Given] = _key(
        "How long a sandbox that is being stopped has between SIGTERM and SIGKILL.", "500ms", default="5s"
    )
    pull_policy: Annotated[PullPolicy | None, _Given] = _key(
        "When to pull the image; images named dockersched/… are built, never pulled.", default="missing"
    )
    retry: Annotated[RetrySpec | None, BeforeValidator(_map_of_retry), _Given] = _key(
        "When a task that failed is tried again, in a new container.", {"limit": 3, "on": ["infra", "timed_out"]}
    )


class TaskSpec(Defaults):
    """One task: a command with args, or a script to run, in a sandbox of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["command"]}, {"required": ["run"]}],
            "dependentRequired": {"args": ["command"]},
        }
    )

    command: Annotated[Command | None, _Given] = _key(
        "The program, looked up in the image's PATH; never passed through a shell.", "pytest"
    )
    args: Annotated[list[Word] | None, _Given] = _key("Arguments of command, one by one.", ["-q", "tests"])
    run: Annotated[Text | None, _Given] = _key("A script for sh -eu, instead of command and args.", "pytest -q | tail")
    depends_on: Annotated[DependsOn | None, _Given] = _key(
        "Tasks that must have succeeded before this one starts.", ["lint", "build"]
    )


class EpicFile(_Keys):
    """A graph of tasks, each run in a sandbox of its own as soon as the tasks it depends on have succeeded."""

    model_config = ConfigDict(title="dockersched epic", json_schema_extra={"patternProperties": {"^x-": {}}})

    schema_: Annotated[Text | None, _Given] = Field(
        default=None, alias="$schema", description="Where editors find this schema; otherwise ignored."
    )
    epic: EpicId = Field(description="Name of the epic.", examples=["checkout-service"])
    defaults: Annotated[Defaults | None, _Given] = _key("What tasks share.", {"image": "dockersched/python"})
    max_parallel: Annotated[Count | None, _Given] = _key("Sandboxes that may run side by side.", 8, default=4)
    fail_fast: Annotated[Switch | None, _Given] = _key(
        "Stop everything at the first failure; by default independent branches go on.", default=False
    )
    timeout: Annotated[Duration | None, _Given] = _key("Limit for the whole epic; none when left out.", "2h")
    tasks: Annotated[dict[TaskKey, TaskSpec], _Given] = Field(
        min_length=1, description="The tasks by their ids.", examples=[{"lint": {"run": "ruff check ."}}]
    )
