"""What goes into a sandbox and comes out of it: a workspace, inputs, outputs."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from dockersched import units
from dockersched.model.checks import choice, count, text, texts

WORKSPACE_DIR = "/workspace"
"""Where a sandbox has its files, and the only place from which something comes out."""

VALUES_DIR = "/run/dockersched"
VALUES_FILE = "output"
VALUES_VARIABLE = "DOCKERSCHED_OUTPUT"
"""Names the file to which a task writes small values."""

OUTPUT_NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}"
"""An output's name is that of a folder beside the run, and without a dot, so that `build.report` is one output."""

DEFAULT_WORKSPACE_BYTES = 2**30
MIN_WORKSPACE_BYTES = 2**16

MAX_OUTPUT_DEPTH = 256
"""Python's own functions, which remove an output's folder, give up at some 1,000 steps."""

_MAX_NAME_BYTES = 255

OutputWhen = Literal["success", "always"]

_NAME = re.compile(OUTPUT_NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder of which a sandbox gets a copy at `WORKSPACE_DIR`.

    Args:
        source: the folder beside dockersched; a relative one is relative to the working directory. None is no folder:
            the sandbox begins with an empty workspace.
        include: patterns by the rules of .gitignore of what is taken; everything when empty.
        exclude: patterns of what is left out.
        gitignore: whether the .gitignore files of the folder count.
        git: whether `.git` is taken along.
        size_bytes: how much the workspace may hold, the copy and all that the task writes there; None is the default.
        digest: SHA-256 of the packed folder, once a run has packed it.

    Raises:
        ValueError, TypeError: a field that cannot be right.
    """

    source: str | None = None
    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    gitignore: bool = True
    git: bool = False
    size_bytes: int | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        """Checks the fields."""
        if self.source is not None:
            text("source", self.source)
        elif self.include or self.exclude or self.git:
            raise ValueError("include, exclude and git choose from source: give that too, or remove them")
        for name in ("include", "exclude"):
            object.__setattr__(self, name, texts(name, getattr(self, name)))
        for name in ("gitignore", "git"):
            if not isinstance(getattr(self, name), bool):
                raise TypeError(f"{name} must be True or False, not {getattr(self, name)!r}")
        if self.size_bytes is not None:
            count("size_bytes", self.size_bytes)
            if self.size_bytes < MIN_WORKSPACE_BYTES:
                least = units.format_bytes(MIN_WORKSPACE_BYTES)
                raise ValueError(f"size_bytes must be at least {least}, not {self.size_bytes}")


@dataclass(frozen=True, slots=True)
class Output:
    """A file or folder of the workspace that is copied out when the task has ended.

    Args:
        path: of it, relative to `WORKSPACE_DIR`.
        required: whether its absence fails a task that would have succeeded.
        when: `success`, or `always`: after a failure too.
        max_bytes: content of all files together.
        max_entries: files and folders.
        max_depth: folders above a file, and the file; at most 256.

    Raises:
        ValueError, TypeError: a field that cannot be right.
    """

    path: str
    required: bool = True
    when: OutputWhen = "success"
    max_bytes: int = 2**30
    max_entries: int = 100_000
    max_depth: int = 64

    def __post_init__(self) -> None:
        """Checks the fields; of the path, what only writes it differently is dropped."""
        text("path", self.path)
        path = posixpath.normpath(self.path)
        if path.startswith(f"{WORKSPACE_DIR}/"):
            path = posixpath.relpath(path, WORKSPACE_DIR)
        if path in {".", WORKSPACE_DIR} or path.startswith(("/", "../")) or path == "..":
            raise ValueError(f"path must be below {WORKSPACE_DIR} and relative to it, not {self.path!r}")
        _check_names("path", path)
        object.__setattr__(self, "path", path)
        if not isinstance(self.required, bool):
            raise TypeError(f"required must be True or False, not {self.required!r}")
        choice("when", self.when, get_args(OutputWhen))
        for name in ("max_bytes", "max_entries", "max_depth"):
            count(name, getattr(self, name))
        if self.max_depth > MAX_OUTPUT_DEPTH:
            raise ValueError(f"max_depth must be at most {MAX_OUTPUT_DEPTH}, not {self.max_depth}")


@dataclass(frozen=True, slots=True)
class Input:
    """An output of an earlier task that is put into the workspace.

    Args:
        task: id of that task; to use its output is to depend on it.
        output: the output's name.
        at: folder in the sandbox, `WORKSPACE_DIR` or below it, that gets what the output holds.

    Raises:
        ValueError: a field that cannot be right.
    """

    task: str
    output: str
    at: str

    def __post_init__(self) -> None:
        """Checks the fields."""
        text("task", self.task)
        text("output", self.output)
        text("at", self.at)
        path = posixpath.normpath(self.at)
        if not is_in_workspace(self.at) or not is_in_workspace(path):
            raise ValueError(f"at must be {WORKSPACE_DIR} or below it, not {self.at!r}")
        _check_names("at", path)
        object.__setattr__(self, "at", path)


def _check_names(name: str, path: str) -> None:
    """Refuses a path that no file system could hold."""
    if any(len(step.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES for step in path.split("/")):
        raise ValueError(f"{name} must have at most {_MAX_NAME_BYTES} bytes between two slashes, not {path[:60]!r}...")


def is_in_workspace(path: str) -> bool:
    """Whether a path in the sandbox is the workspace or below it."""
    return path == WORKSPACE_DIR or path.startswith(f"{WORKSPACE_DIR}/")


def outputs(values: object) -> dict[str, Output]:
    """The outputs of a task; refuses what is no map of names to outputs."""
    if not isinstance(values, Mapping):
        raise TypeError(f"outputs must be a map of names to Output, not {values!r}")
    for name, output in values.items():
        if not isinstance(name, str) or not is_output_name(name):
            raise ValueError(f"outputs holds {name!r}, which cannot be the name of an output")
        if not isinstance(output, Output):
            raise TypeError(f"outputs[{name!r}] must be an Output, not {output!r}")
    return dict(values)


def inputs(values: object) -> tuple[Input, ...]:
    """The inputs of a task; refuses what is no list of inputs, and two at one place, of which one would be lost."""
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise TypeError(f"inputs must be a list of inputs, not {values!r}")
    for value in values:
        if not isinstance(value, Input):
            raise TypeError(f"inputs must be a list of Input, but holds {value!r}")
    if taken := [at for at, count in Counter(value.at for value in values).items() if count > 1]:
        raise ValueError(f"inputs put several outputs at {taken[0]!r}: give all but one of them another `at`")
    return tuple(values)


def check_place(taken: Iterable[str]) -> None:
    """Refuses what else would be where the workspace or the values are."""
    for path in taken:
        for place in (WORKSPACE_DIR, VALUES_DIR):
            if path == place or path.startswith(f"{place}/"):
                raise ValueError(f"tmpfs or mounts put something at {path!r}, in {place}: choose another path")


def is_output_name(name: str) -> bool:
    """Whether a text can be the name of an output."""
    return _NAME.fullmatch(name) is not None
