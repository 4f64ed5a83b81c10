"""One node of an epic's graph."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from dockersched.model import files
from dockersched.model.arguments import check_size
from dockersched.model.checks import check_user, choice, flag, seconds, text, texts
from dockersched.model.condition import ValueIs, When, check_when
from dockersched.model.files import Input, Output, Workspace
from dockersched.model.image import check_image
from dockersched.model.opening import Mount, Profile, capabilities, mounts, tmpfs_sizes, ulimits
from dockersched.model.quota import QuotaConfig
from dockersched.model.references import OPENING, VALUE_KEY_PATTERN, Reference, parse_template
from dockersched.model.retry import RetryPolicy
from dockersched.model.secret import SecretSource, check_place, secrets

Network = Literal["none", "bridge"]
NetworkNamespace = Literal["auto", "own"]
PullPolicy = Literal["missing", "always", "never"]

MAX_PRIORITY = 1_000
"""In either direction; far more ranks than anybody tells apart."""

_DEFAULT_RETRY = RetryPolicy()
_NETWORKS, _NETWORK_NAMESPACES = get_args(Network), get_args(NetworkNamespace)
_PULL_POLICIES, _PROFILES = get_args(PullPolicy), get_args(Profile)


@dataclass(frozen=True, slots=True)
class ScheduledTask:
    """One node of an epic's graph: a command, and what must be done before it.

    Args:
        id: unique within the epic.
        depends_on: ids of the tasks that must have succeeded before this one starts.
        command: the program, looked up in the image's PATH; never passed through a shell.
        args: its arguments; they may hold references to values of other tasks, as `dockersched.model.references` says.
        quota: limits; what is left out takes the runner's default.
        image: the image to run in; None is the runner's default.
        environment: variables given to the program; their values may hold such references too.
        working_dir: directory the program starts in, absolute.
        user: `uid`, `uid:gid` or a name the image knows; None is nobody, or root for a trusted task.
        network: `none` (the default) or `bridge`.
        timeout_s: seconds until the sandbox is stopped; None is the runner's default.
        stop_grace_s: seconds between the polite stop and the kill; None is the runner's default.
        pull_policy: when to pull the image: `missing` (the default), `always` or `never`.
        retry: when to try again; by default up to twice, and only what was not the task's own doing.
        secrets: files below /run/secrets in the sandbox, by name, and where their content comes from.
        profile: `locked` (the default), or `trusted`: root, a root file system that can be written, and the
            capabilities that engines give by default.
        read_only: whether the root file system is; None follows the profile.
        cap_add: capabilities to give to root, of `dockersched.model.CAPABILITIES`.
        tmpfs: sizes of further places in memory, or of those that are there anyway, by path.
        ulimits: limits of single processes, of `dockersched.model.ULIMITS`.
        mounts: files and folders of the engine's host.
        runtime: the engine's OCI runtime to run in, such as `runsc`; None is the engine's default.
        network_namespace: `own`, or `auto` (the default): one in which another sandbox was before, where nothing can
            be left of that one and it makes the start shorter.
        when: whether it runs if all it depends on has succeeded (`success`), something of it failed (`failure`), or
            however it ended (`always`); or a `TaskIs`, or a `ValueIs`, which implies the dependency. Otherwise it is
            skipped.
        allow_failure: whether the epic can succeed, and dependents run, although this task failed.
        finally_: whether it runs at the end, once all tasks without it are final, however they ended and even if the
            run was stopped; what it depends on among those is only waited for.
        priority: of the ready tasks, those with a higher one start first.
        expected_duration_s: seconds that it will probably take; only the order of starts depends on it.
        workspace: the files that the sandbox begins with at /workspace, which is then where the command starts unless
            working_dir says otherwise.
        outputs: what is copied out of the workspace at the end, by name.
        inputs: outputs of earlier tasks that are put into the workspace; each implies the dependency, as does a
            reference to a value.
        values: keys of the small values that the task writes to the file that $DOCKERSCHED_OUTPUT names; None, or none,
            is what other tasks refer to.

    Raises:
        ValueError, TypeError: a field that cannot be right whatever the engine.
    """

    id: str
    depends_on: Sequence[str]
    command: str
    args: Sequence[str] = ()
    quota: QuotaConfig | None = None
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    working_dir: str | None = None
    user: str | None = None
    network: Network | None = None
    timeout_s: float | None = None
    stop_grace_s: float | None = None
    pull_policy: PullPolicy | None = None
    retry: RetryPolicy = _DEFAULT_RETRY
    secrets: Mapping[str, SecretSource] = field(default_factory=dict, hash=False)
    runtime: str | None = None
    profile: Profile | None = None
    read_only: bool | None = None
    cap_add: Sequence[str] = ()
    tmpfs: Mapping[str, int | str] = field(default_factory=dict, hash=False)
    ulimits: Mapping[str, int] = field(default_factory=dict, hash=False)
    mounts: Sequence[Mount] = ()
    network_namespace: NetworkNamespace | None = None
    when: When = "success"
    allow_failure: bool = False
    finally_: bool = False
    priority: int = 0
    expected_duration_s: float | None = None
    workspace: Workspace | None = None
    outputs: Mapping[str, Output] = field(default_factory=dict, hash=False)
    inputs: Sequence[Input] = ()
    values: Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Checks the fields and freezes the sequences."""
        text("id", self.id)
        text("command", self.command)
        object.__setattr__(self, "depends_on", texts("depends_on", self.depends_on))
        object.__setattr__(self, "args", texts("args", self.args))
        if self.environment:
            object.__setattr__(self, "environment", _environment(self.environment))
        check_size(self.command, self.args, self.environment)
        if self.secrets:
            object.__setattr__(self, "secrets", secrets(self.secrets))
        if self.image is not None:
            check_image(self.image)
        if self.user is not None:
            check_user(self.user)
        if self.runtime is not None:
            text("runtime", self.runtime)
        if self.quota is not None and not isinstance(self.quota, QuotaConfig):
            raise TypeError(f"quota must be a QuotaConfig, not {self.quota!r}")
        if not isinstance(self.retry, RetryPolicy):
            raise TypeError(f"retry must be a RetryPolicy, not {self.retry!r}")
        if self.working_dir is not None:
            text("working_dir", self.working_dir)
            if not self.working_dir.startswith("/"):
                raise ValueError(f"working_dir must be an absolute path, not {self.working_dir!r}")
        self._check_openings()
        self._check_files()
        choice("network", self.network, _NETWORKS)
        choice("network_namespace", self.network_namespace, _NETWORK_NAMESPACES)
        choice("pull_policy", self.pull_policy, _PULL_POLICIES)
        seconds("timeout_s", self.timeout_s)
        seconds("stop_grace_s", self.stop_grace_s)
        seconds("expected_duration_s", self.expected_duration_s)
        check_priority(self.priority)
        flag("allow_failure", self.allow_failure)
        flag("finally", self.finally_)
        check_when(self.when, self.depends_on)

    def _check_openings(self) -> None:
        choice("profile", self.profile, _PROFILES)
        if self.read_only is not None:
            flag("read_only", self.read_only)
        if self.cap_add:
            object.__setattr__(self, "cap_add", capabilities(texts("cap_add", self.cap_add)))
        if self.tmpfs:
            object.__setattr__(self, "tmpfs", tmpfs_sizes(self.tmpfs))
        if self.mounts:
            object.__setattr__(self, "mounts", mounts(self.mounts, self.tmpfs))
        if self.secrets:
            check_place(self.tmpfs, [mount.target for mount in self.mounts])
        if self.ulimits:
            object.__setattr__(self, "ulimits", ulimits(self.ulimits))
            for name in ("nofile", "fsize"):
                if name in self.ulimits and self.quota is not None and getattr(self.quota, name) is not None:
                    raise ValueError(f"quota and ulimits both give {name}: keep one of them")

    def _check_files(self) -> None:
        if self.workspace is not None and not isinstance(self.workspace, Workspace):
            raise TypeError(f"workspace must be a Workspace, not {self.workspace!r}")
        if self.outputs:
            object.__setattr__(self, "outputs", files.outputs(self.outputs))
        if self.inputs:
            object.__setattr__(self, "inputs", files.inputs(self.inputs))
        if self.values is not None:
            object.__setattr__(self, "values", _value_keys(self.values) or None)
        if self.tmpfs or self.mounts:
            files.check_place((*self.tmpfs, *(mount.target for mount in self.mounts)))
        if self.uses_others:
            object.__setattr__(self, "depends_on", tuple(dict.fromkeys((*self.depends_on, *self.implied))))

    @property
    def has_references(self) -> bool:
        """Whether the arguments or variables refer to values of other tasks, or hold an escape of one."""
        return bool(self.args and OPENING in "\0".join(self.args)) or bool(
            self.environment and OPENING in "\0".join(self.environment.values())
        )

    @property
    def uses_others(self) -> bool:
        """Whether inputs, the condition or references name what other tasks make."""
        return bool(self.inputs) or isinstance(self.when, ValueIs) or self.has_references

    @property
    def implied(self) -> list[str]:
        """Ids of the tasks that this one depends on because it uses what they make."""
        return [*(given.task for given in self.inputs), *(found.task_id for _, found in self.references())]

    def references(self) -> list[tuple[tuple[str | int, ...], Reference]]:
        """What the condition, arguments and variables refer to, each with where.

        That is `("when", "value")`, `("args", position)` or `("environment", name)`.

        Raises:
            ValueReferenceError: something that begins as a reference is none.
        """
        texts: list[tuple[tuple[str | int, ...], str]] = [
            *((("args", position), arg) for position, arg in enumerate(self.args)),
            *((("environment", name), value) for name, value in self.environment.items()),
        ]
        asked: list[tuple[tuple[str | int, ...], Reference]] = []
        if isinstance(self.when, ValueIs):
            asked.append((("when", "value"), self.when.reference))
        return asked + [(where, found) for where, value in texts for found in parse_template(value).references]


def _value_keys(values: object) -> tuple[str, ...]:
    keys = texts("values", values)
    for value in keys:
        if not re.fullmatch(VALUE_KEY_PATTERN, value):
            raise ValueError(f"values holds {value!r}, which cannot be a key: use letters, digits, _ and -")
    return keys


def check_priority(value: object) -> None:
    """Refuses what is no whole number within bounds; a bool is none."""
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > MAX_PRIORITY:
        raise ValueError(f"priority must be a whole number from {-MAX_PRIORITY} to {MAX_PRIORITY}, not {value!r}")


def _environment(environment: Mapping[Any, Any]) -> dict[str, str]:
    for name, value in environment.items():
        if not isinstance(name, str) or not name or "=" in name or "\0" in name:
            raise ValueError(f"environment holds {name!r}, which cannot be the name of a variable")
        if not isinstance(value, str) or "\0" in value:
            raise ValueError(f"environment[{name!r}] must be a text without NUL characters, not {value!r}")
    return dict(environment)
