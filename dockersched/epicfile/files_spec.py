"""The keys with which files and values come into a sandbox and out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from dockersched.data.patterns import pattern_problem
from dockersched.epicfile import values
from dockersched.epicfile.findings import Finding
from dockersched.epicfile.keys import Keys, key, needed
from dockersched.epicfile.kinds import Fault, Kind, RefusedError, choice_of, list_of, map_of
from dockersched.epicfile.placeholders import placeholders
from dockersched.epicfile.types import COUNT, SWITCH, TEXT, map_or_text, size, text_schema, whole
from dockersched.errors import ValueReferenceError
from dockersched.model import WORKSPACE_DIR, Input, Output, OutputWhen, Workspace, is_output_name
from dockersched.model.files import MAX_OUTPUT_DEPTH, MIN_WORKSPACE_BYTES, OUTPUT_NAME_PATTERN
from dockersched.model.references import VALUE_KEY_PATTERN, parse_template


def _pattern(value: object) -> str:
    pattern = values.text(value)
    if problem := pattern_problem(pattern):
        raise ValueError(f"{values.shown(value)} {problem}")
    return pattern


PATTERN = Kind(_pattern, text_schema())
WORKSPACE_SIZE = size(MIN_WORKSPACE_BYTES, "64k")
OUTPUT_SIZE = size(1, "1 byte")
OUTPUT_DEPTH = whole(1, MAX_OUTPUT_DEPTH)
OUTPUT_WHEN: Kind[OutputWhen] = choice_of(OutputWhen)


def _path(value: object) -> str:
    path = values.text(value)
    try:
        return Output(path).path
    except ValueError as error:
        raise ValueError(str(error).removeprefix("path ")) from None


OUTPUT_PATH = Kind(_path, text_schema())


class WorkspaceSpec(Keys):
    """A folder of which the sandbox gets a copy at /workspace, for its user to write to."""

    more_schema: ClassVar[dict[str, Any]] = {
        "dependentRequired": {name: ["source"] for name in ("include", "exclude", "gitignore", "git")}
    }

    source = key(
        TEXT,
        "The folder, from the epic file's folder if it does not begin with /; an empty workspace when left out.",
        ".",
    )
    include = key(
        list_of(PATTERN), "What is taken, by the rules of .gitignore; everything when left out.", ["src/", "*.toml"]
    )
    exclude = key(list_of(PATTERN), "What is left out.", ["*.log", "node_modules/"])
    gitignore = key(SWITCH, "Whether .gitignore files count.", default=True)
    git = key(SWITCH, "Whether .git is taken along.", default=False)
    size = key(WORKSPACE_SIZE, "How much the workspace may hold; it is in memory.", "2g", default="1g")

    def check(self) -> None:
        """Refuses to choose from no folder."""
        for name in self.more_schema["dependentRequired"]:
            if self.source is None and getattr(self, name) is not None:
                raise RefusedError(Fault("needs source, the folder: write source: . beside it", (name,), at_key=True))

    def workspace(self, folder: PurePath) -> Workspace:
        """The workspace; a relative source is one below `folder`."""
        return Workspace(
            source=None if self.source is None else os.path.abspath(folder / os.path.expanduser(self.source)),  # noqa: PTH100, PTH111 - no `..` left, and no error without a home
            include=self.include or (),
            exclude=self.exclude or (),
            gitignore=self.gitignore is not False,
            git=bool(self.git),
            size_bytes=self.size,
        )


class OutputSpec(Keys):
    """A file or folder of the workspace that is copied out when the task has ended."""

    noun = "output"

    path = needed(OUTPUT_PATH, "Of it, in /workspace.", "out/")
    required = key(SWITCH, "Whether the task fails if it is not there (output_missing).", default=True)
    when = key(OUTPUT_WHEN, "success, or always: after a failure too.", default="success")
    max_size = key(OUTPUT_SIZE, "Content of all its files together.", "10m", default="1g")
    max_entries = key(COUNT, "Files and folders in it.", default=100_000)
    max_depth = key(OUTPUT_DEPTH, "Folders above a file, and the file.", default=64)

    def output(self) -> Output:
        """The output."""
        limits = {"max_bytes": self.max_size, "max_entries": self.max_entries, "max_depth": self.max_depth}
        given = {"required": self.required, "when": self.when, **limits}
        return Output(self.path, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]


def _from(value: object) -> str:
    text = values.text(value)
    task, dot, output = text.rpartition(".")
    if not dot or not task or not is_output_name(output):
        raise ValueError(f"{values.shown(value)} is no output of a task: write TASK.OUTPUT, such as build.report")
    return text


def _at(value: object) -> str:
    try:
        return Input("task", "output", values.text(value)).at
    except ValueError as error:
        raise ValueError(str(error).removeprefix("at ")) from None


FROM_PATTERN = rf"[\s\S]+\.{OUTPUT_NAME_PATTERN}"

FROM = Kind(_from, text_schema(FROM_PATTERN))
AT = Kind(_at, text_schema(rf"{WORKSPACE_DIR}(?:/[\s\S]*)?"))


class InputSpec(Keys):
    """An output of an earlier task that is put into the workspace; it implies the dependency."""

    noun = "input"

    from_ = needed(FROM, "TASK.OUTPUT.", "build.report", name="from")
    at = key(AT, "Folder that gets what the output holds; /workspace/OUTPUT when left out.", "/workspace/in")

    def input(self) -> Input:
        """The input."""
        task, _, output = self.from_.rpartition(".")
        return Input(task, output, self.at or f"{WORKSPACE_DIR}/{output}")


def _output_name(value: object) -> str:
    name = values.text(value)
    if not is_output_name(name):
        raise ValueError(
            f"{values.shown(name)} is not the name of an output: use up to 63 letters, digits, '_' and '-',"
            " and begin with another than '-'"
        )
    return name


def _value_key(value: object) -> str:
    text = values.text(value)
    if not re.fullmatch(VALUE_KEY_PATTERN, text):
        raise ValueError(
            f"{values.shown(text)} is no key: use up to 100 letters, digits, '_' and '-', first a letter or '_'"
        )
    return text


WORKSPACE = map_or_text(WorkspaceSpec.kind(), "source")
OUTPUT_NAME = Kind(_output_name, text_schema(OUTPUT_NAME_PATTERN))
OUTPUT = map_or_text(OutputSpec.kind(), "path")
INPUT = map_or_text(InputSpec.kind(), "from", FROM_PATTERN)
VALUE_KEY = Kind(_value_key, text_schema(VALUE_KEY_PATTERN))


class WorkspaceKey(Keys):
    """The key that tasks can share."""

    workspace = key(
        WORKSPACE,
        "Files that the sandbox begins with at /workspace: a folder, or a map of what is taken of it.",
        ".",
        {"exclude": ["*.log"], "source": "."},
    )


class FilesKeys(WorkspaceKey):
    """What comes out of a task, and goes into it from others."""

    outputs = key(
        map_of(OUTPUT_NAME, OUTPUT),
        "What is copied out of /workspace when the task has ended, by name.",
        {"report": {"path": "out/"}},
    )
    inputs = key(
        list_of(INPUT),
        "Outputs of earlier tasks that are put into /workspace.",
        [{"at": "/workspace/in", "from": "build.report"}],
    )
    values = key(
        list_of(VALUE_KEY),
        "Keys of the small values that the task writes to $DOCKERSCHED_OUTPUT; those that others refer to when left"
        " out.",
        ["version"],
    )


def files_fields(spec: FilesKeys, shared: WorkspaceKey, folder: PurePath) -> dict[str, Any]:
    """The fields of a task: its own workspace, or that of the defaults as a whole, and what only it can have.

    Args:
        spec: the task's keys.
        shared: the keys of the defaults.
        folder: of the epic file, which relative sources start from.
    """
    workspace = spec.workspace or shared.workspace
    return {
        "workspace": workspace.workspace(folder) if workspace else None,
        "outputs": {name: output.output() for name, output in (spec.outputs or {}).items()},
        "inputs": tuple(given.input() for given in spec.inputs or ()),
        "values": None if spec.values is None else tuple(spec.values),
    }


def check_references(tasks: Mapping[str, Mapping[str, Any]], shared: object) -> Iterator[Finding]:
    """What begins as a reference to a value and is none, or stands where none may.

    A value is what code wrote that nobody has read. In a script it would be code of the next task; in an argument or a
    variable it is a text.
    """
    variables = shared.get("environment") if isinstance(shared, dict) else None
    for name, text in variables.items() if isinstance(variables, dict) else ():
        if found := next((one for one in placeholders(text) if one.axis is not None), None):
            message = f"{found.written} has no matrix here: give the variable to each task whose matrix it is"
            yield Finding(message, ("defaults", "environment", name))
    yield from _no_references(variables, ("defaults", "environment"))
    for task_id, task in tasks.items():
        path = ("tasks", task_id)
        yield from _no_references(task.get("args"), (*path, "args"))
        yield from _no_references(task.get("environment"), (*path, "environment"))
        # Whatever else looks like the beginning of a reference in a script belongs to the shell.
        for written, _ in (found for found in placeholders(task.get("run")) if found.axis is None):
            message = (
                f"{written} would put what another task wrote into a script, as code: "
                f'give it to a variable (environment: VERSION: {written!r}), and use "$VERSION" here'
            )
            yield Finding(message, (*path, "run"))
            break


def _no_references(texts: object, path: tuple[str, ...]) -> Iterator[Finding]:
    entries: Iterable[tuple[Any, Any]] = ()
    if isinstance(texts, list):
        entries = enumerate(texts)
    elif isinstance(texts, dict):
        entries = texts.items()
    for where, text in entries:
        if isinstance(text, str):
            try:
                parse_template(text)
            except ValueReferenceError as error:
                yield Finding(str(error), (*path, where))
