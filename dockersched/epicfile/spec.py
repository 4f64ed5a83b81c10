"""The models of an epic file: its keys, what they accept, and their JSON Schema."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from dockersched.epicfile.admission_spec import OvercommitSpec, Priority
from dockersched.epicfile.files_spec import FilesKeys, WorkspaceKey
from dockersched.epicfile.matrix import Matrix
from dockersched.epicfile.opening_spec import OpeningKeys
from dockersched.epicfile.quota_spec import QuotaSpec
from dockersched.epicfile.retry_spec import RetrySpec, map_of_retry
from dockersched.epicfile.secret_spec import Secrets, map_of_secrets
from dockersched.epicfile.types import (
    AbsolutePath,
    Command,
    Count,
    Cpus,
    DependsOn,
    Duration,
    EpicId,
    Given,
    Keys,
    MemorySize,
    Name,
    Switch,
    TaskKey,
    Text,
    User,
    Variable,
    WholeNumber,
    Word,
    key,
)
from dockersched.epicfile.when_spec import Condition
from dockersched.model import Network, PullPolicy


class Defaults(OpeningKeys, WorkspaceKey):
    """What tasks share: a task's own key wins; quota, environment, secrets and retry merge key by key."""

    image: Annotated[Name | None, Given] = key(
        "The image to run in.", "dockersched/python", "alpine:3.20", default="dockersched/base"
    )
    environment: Annotated[dict[Variable, Word] | None, Given] = key(
        "Variables for the command; values stay as they are written.", {"LANG": "C.UTF-8", "VERSION": "1.10"}
    )
    working_dir: Annotated[AbsolutePath | None, Given] = key(
        "Directory the command starts in; the image's when left out.", "/usr/src"
    )
    user: Annotated[User | None, Given] = key(
        "uid, uid:gid or a name that the image knows.", "1000:1000", default="65534:65534"
    )
    quota: Annotated[QuotaSpec | None, Given] = key("Limits of the sandbox.", {"cpus": 0.5, "memory": "512m"})
    network: Annotated[Network | None, Given] = key(
        "none: no network at all; bridge: the engine's default network.", default="none"
    )
    timeout: Annotated[Duration | None, Given] = key(
        "How long the sandbox may run before it is stopped.", "90s", "1h30m", default="10m"
    )
    stop_grace_period: Annotated[Duration | None, Given] = key(
        "How long a sandbox that is being stopped has between SIGTERM and SIGKILL.", "500ms", default="5s"
    )
    pull_policy: Annotated[PullPolicy | None, Given] = key(
        "When to pull the image; images named dockersched/… are built, never pulled.", default="missing"
    )
    retry: Annotated[RetrySpec | None, BeforeValidator(map_of_retry), Given] = key(
        "When a task that failed is tried again, in a new container.", {"limit": 3, "on": ["infra", "timed_out"]}
    )
    secrets: Annotated[Secrets | None, BeforeValidator(map_of_secrets), Given] = key(
        "Files below /run/secrets that only the task's user can read, by name.", {"API_KEY": {"env": "API_KEY"}}
    )
    priority: Annotated[Priority | None, Given] = key(
        "Of the tasks that may start, those with a higher one start first; before expected_duration.", 10, default=0
    )
    expected_duration: Annotated[Duration | None, Given] = key(
        "How long the task will probably take; orders the starts, longest remaining path first. When left out, what it"
        " took in earlier runs.",
        "10m",
    )


class TaskSpec(Defaults, FilesKeys):
    """One task: a command with args, or a script to run, in a sandbox of its own."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [{"required": ["command"]}, {"required": ["run"]}],
            "dependentRequired": {"args": ["command"]},
        }
    )

    command: Annotated[Command | None, Given] = key(
        "The program, looked up in the image's PATH; never passed through a shell.", "pytest"
    )
    args: Annotated[list[Word] | None, Given] = key("Arguments of command, one by one.", ["-q", "tests"])
    run: Annotated[Text | None, Given] = key("A script for sh -eu, instead of command and args.", "pytest -q | tail")
    depends_on: Annotated[DependsOn | None, Given] = key(
        "Tasks that must have succeeded before this one starts.", ["lint", "build"]
    )
    when: Annotated[Condition | None, Given] = key(
        "Whether it runs, by how those ended that it depends on, or by a value; else it is skipped.",
        "always",
        {"task": "build", "is": "failed"},
        {"value": "tasks.build.values.flag", "equals": "yes"},
        default="success",
    )
    allow_failure: Annotated[Switch | None, Given] = key(
        "Whether the epic can succeed, and dependents run, although this task failed.", default=False
    )
    finally_: Annotated[Switch | None, Given] = Field(
        default=None,
        alias="finally",
        description="Whether it runs at the end, once all other tasks have ended, however that was.",
        json_schema_extra={"default": False},
    )
    matrix: Annotated[Matrix | None, Given] = key(
        "Lists of values: the task becomes several, one for each combination.", {"python": ["3.11", "3.12"]}
    )


class EpicFile(Keys):
    """A graph of tasks, each run in a sandbox of its own as soon as the tasks it depends on have succeeded."""

    model_config = ConfigDict(title="dockersched epic", json_schema_extra={"patternProperties": {"^x-": {}}})

    schema_: Annotated[Text | None, Given] = Field(
        default=None, alias="$schema", description="Where editors find this schema; otherwise ignored."
    )
    epic: EpicId = Field(description="Name of the epic.", examples=["checkout-service"])
    defaults: Annotated[Defaults | None, Given] = key("What tasks share.", {"image": "dockersched/python"})
    max_parallel: Annotated[Count | None, Given] = key("Sandboxes that may run side by side.", 8, default=4)
    max_cpus: Annotated[Cpus | None, Given] = key(
        "What quota.cpus of the sandboxes side by side may add up to; the engine's CPUs when left out.", 4
    )
    max_memory: Annotated[MemorySize | None, Given] = key(
        "What quota.memory of the sandboxes side by side may add up to; 80 % of the engine's memory when left out.",
        "8g",
    )
    overcommit: Annotated[OvercommitSpec | None, Given] = key(
        "The same in proportion to the engine, instead of max_cpus and max_memory.", {"cpus": 2}
    )
    prepare_ahead: Annotated[WholeNumber | None, Given] = key(
        "Sandboxes that may be started behind a gate before their tasks may run; see docs/planning.md.", 4, default=0
    )
    fail_fast: Annotated[Switch | None, Given] = key(
        "Stop everything at the first failure; by default independent branches go on.", default=False
    )
    timeout: Annotated[Duration | None, Given] = key("Limit for the whole epic; none when left out.", "2h")
    tasks: Annotated[dict[TaskKey, TaskSpec], Given] = Field(
        min_length=1, description="The tasks by their ids.", examples=[{"lint": {"run": "ruff check ."}}]
    )
