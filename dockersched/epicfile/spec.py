"""The models of an epic file: its keys, what they accept, and their JSON Schema."""

from __future__ import annotations

from typing import Any, ClassVar

from dockersched.epicfile import wording
from dockersched.epicfile.admission_spec import PRIORITY, OvercommitSpec
from dockersched.epicfile.files_spec import FilesKeys, WorkspaceKey
from dockersched.epicfile.keys import Keys, key, needed
from dockersched.epicfile.kinds import Kind, choice_of, list_of, map_of
from dockersched.epicfile.matrix import MATRIX
from dockersched.epicfile.opening_spec import OpeningKeys
from dockersched.epicfile.quota_spec import QuotaSpec
from dockersched.epicfile.retry_spec import RETRY
from dockersched.epicfile.secret_spec import SECRETS
from dockersched.epicfile.types import (
    ABSOLUTE_PATH,
    COMMAND,
    COUNT,
    CPUS,
    DEPENDS_ON,
    DURATION,
    EPIC_ID,
    IMAGE,
    MEMORY_SIZE,
    SCRIPT,
    SWITCH,
    TASK_KEY,
    TEXT,
    USER,
    VARIABLE,
    WHOLE_NUMBER,
    WORD,
)
from dockersched.epicfile.when_spec import CONDITION
from dockersched.model import Network, PullPolicy

NETWORK: Kind[Network] = choice_of(Network)
PULL_POLICY: Kind[PullPolicy] = choice_of(PullPolicy)


class Defaults(OpeningKeys, WorkspaceKey):
    """What tasks share: a task's own key wins; quota, environment, secrets and retry merge key by key."""

    image = key(IMAGE, "The image to run in.", "dockersched/python", "alpine:3.20", default="dockersched/base")
    environment = key(
        map_of(VARIABLE, WORD),
        "Variables for the command; values stay as they are written.",
        {"LANG": "C.UTF-8", "VERSION": "1.10"},
    )
    working_dir = key(ABSOLUTE_PATH, "Directory the command starts in; the image's when left out.", "/usr/src")
    user = key(USER, "uid, uid:gid or a name that the image knows.", "1000:1000", default="65534:65534")
    quota = key(QuotaSpec.kind(), "Limits of the sandbox.", {"cpus": 0.5, "memory": "512m"})
    network = key(NETWORK, "none: no network at all; bridge: the engine's default network.", default="none")
    timeout = key(DURATION, "How long the sandbox may run before it is stopped.", "90s", "1h30m", default="10m")
    stop_grace_period = key(
        DURATION, "How long a sandbox that is being stopped has between SIGTERM and SIGKILL.", "500ms", default="5s"
    )
    pull_policy = key(
        PULL_POLICY, "When to pull the image; images named dockersched/… are built, never pulled.", default="missing"
    )
    retry = key(
        RETRY, "When a task that failed is tried again, in a new container.", {"limit": 3, "on": ["infra", "timed_out"]}
    )
    secrets = key(
        SECRETS,
        "Files below /run/secrets that only the task's user can read, by name.",
        {"API_KEY": {"env": "API_KEY"}},
    )
    priority = key(
        PRIORITY,
        "Of the tasks that may start, those with a higher one start first; before expected_duration.",
        10,
        default=0,
    )
    expected_duration = key(
        DURATION,
        "How long the task will probably take; orders the starts, longest remaining path first. When left out, what it"
        " took in earlier runs.",
        "10m",
    )

    @classmethod
    def refusal(cls, name: str) -> str:
        """Words for what only tasks can have, and for what nobody can."""
        return "is a key of tasks only: defaults cannot hold it" if name in TaskSpec.declared else wording.never(name)


class TaskSpec(Defaults, FilesKeys):
    """One task: a command with args, or a script to run, in a sandbox of its own."""

    more_schema: ClassVar[dict[str, Any]] = {
        "oneOf": [{"required": ["command"]}, {"required": ["run"]}],
        "dependentRequired": {"args": ["command"]},
    }

    command = key(COMMAND, "The program, looked up in the image's PATH; never passed through a shell.", "pytest")
    args = key(list_of(WORD), "Arguments of command, one by one.", ["-q", "tests"])
    run = key(SCRIPT, "A script for sh -eu, instead of command and args.", "pytest -q | tail")
    depends_on = key(DEPENDS_ON, "Tasks that must have succeeded before this one starts.", ["lint", "build"])
    when = key(
        CONDITION,
        "Whether it runs, by how those ended that it depends on, or by a value; else it is skipped.",
        "always",
        {"is": "failed", "task": "build"},
        {"equals": "yes", "value": "tasks.build.values.flag"},
        default="success",
    )
    allow_failure = key(
        SWITCH, "Whether the epic can succeed, and dependents run, although this task failed.", default=False
    )
    finally_ = key(
        SWITCH,
        "Whether it runs at the end, once all other tasks have ended, however that was.",
        default=False,
        name="finally",
    )
    matrix = key(
        MATRIX, "Lists of values: the task becomes several, one for each combination.", {"python": ["3.11", "3.12"]}
    )


class EpicFile(Keys):
    """A graph of tasks, each run in a sandbox of its own as soon as the tasks it depends on have succeeded."""

    noun = "epic"
    more_schema: ClassVar[dict[str, Any]] = {"patternProperties": {"^x-": {}}, "title": "dockersched epic"}

    schema_ = key(TEXT, "Where editors find this schema; otherwise ignored.", name="$schema")
    epic = needed(EPIC_ID, "Name of the epic.", "checkout-service")
    defaults = key(Defaults.kind(), "What tasks share.", {"image": "dockersched/python"})
    max_parallel = key(COUNT, "Sandboxes that may run side by side.", 8, default=4)
    max_cpus = key(
        CPUS, "What quota.cpus of the sandboxes side by side may add up to; the engine's CPUs when left out.", 4
    )
    max_memory = key(
        MEMORY_SIZE,
        "What quota.memory of the sandboxes side by side may add up to; 80 % of the engine's memory when left out.",
        "8g",
    )
    overcommit = key(
        OvercommitSpec.kind(), "The same in proportion to the engine, instead of max_cpus and max_memory.", {"cpus": 2}
    )
    prepare_ahead = key(
        WHOLE_NUMBER,
        "Sandboxes that may be started behind a gate before their tasks may run; see docs/planning.md.",
        4,
        default=0,
    )
    fail_fast = key(
        SWITCH, "Stop everything at the first failure; by default independent branches go on.", default=False
    )
    timeout = key(DURATION, "Limit for the whole epic; none when left out.", "2h")
    tasks = needed(
        map_of(TASK_KEY, TaskSpec.kind(), empty="holds nothing: an epic needs at least one task"),
        "The tasks by their ids.",
        {"lint": {"run": "ruff check ."}},
    )
