"""`result.json`: a run's result for programs.

The document and its JSON Schema are made from the same tables of fields, so that they cannot drift apart.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from dockersched.report.digest import Digest, DigestSettings, RootCause, make_digest
from dockersched.report.fields import (
    COUNT,
    SECONDS,
    TEXT,
    TIME,
    Field,
    map_of,
    object_schema,
    timestamp,
    values_of,
)
from dockersched.report.files import write_atomically
from dockersched.report.task_fields import QUOTAS, TASK
from dockersched.states import EpicState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dockersched.results import EpicResult

SCHEMA_VERSION = 1


def write_result(path: Path, result: EpicResult, *, digest: Digest | None = None, exit_code: int | None = None) -> None:
    """Writes the file; a reader sees all of it or what was there before. The arguments are those of `result_json`."""
    write_atomically(path, result_json(result, digest=digest, exit_code=exit_code))


def result_json(result: EpicResult, *, digest: Digest | None = None, exit_code: int | None = None) -> Iterator[bytes]:
    """The content of `result.json`: every key is always there, null where the value is not known.

    It is in ASCII: what a task is called can upset no terminal and no encoding. And it comes in pieces: of a run with
    thousands of tasks, the whole text, or all that is in it, would be most of what the process ever holds.

    Args:
        result: of the run.
        digest: of its failures; None makes one.
        exit_code: of the program, where it differs from the result's own (143 after SIGTERM, for one).
    """
    code = result.exit_code if exit_code is None else exit_code
    run = _Run(result, code, digest or make_digest(result, DigestSettings()))
    yield _text(values_of(_RUN, run)).removesuffix("\n}").encode("ascii")
    yield f',\n  "{_TASKS.key}": {{'.encode("ascii")
    separator = ""
    for task in _task_documents(run):
        lines = _text(task).split("\n")[1:-1]  # without its own braces
        yield "\n  ".join((separator, *lines)).encode("ascii")
        separator = ","
    yield b"\n  }\n}\n"


def _text(document: dict[str, object]) -> str:
    """JSON with an indentation of two.

    The encoder of the standard library, the only one that writes ASCII, is slow where it indents, and each of its calls
    leaves garbage that only a full collection finds.
    """
    text = json.dumps(document)
    try:
        return msgspec.json.format(text, indent=2)
    except msgspec.DecodeError:  # what is called by half of a surrogate pair
        return json.dumps(document, indent=2)


def result_schema() -> dict[str, object]:
    """The JSON Schema (draft 2020-12) of `result.json`."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of a dockersched run",
        "description": "Every key is always there. Later versions may add keys: ignore those you do not know.",
        **object_schema((*_RUN, _TASKS)),
    }


_CAUSE: tuple[Field[RootCause], ...] = (
    Field("task", "Id of the task.", TEXT, lambda cause: cause.task.task_id),
    Field("reason", "Why it did not succeed.", {"enum": [*Reason, None]}, lambda cause: cause.task.reason),
    Field("detail", "One line for people, often empty.", TEXT, lambda cause: cause.detail),
    Field("meaning", "What happened, in a sentence that follows the task's id.", TEXT, lambda cause: cause.meaning),
    Field("advice", "Whose it is and what helps.", TEXT, lambda cause: cause.advice),
    Field("rerun", "The shell command that runs only this task again.", TEXT, lambda cause: cause.rerun),
    Field(
        "quota",
        "Limits of the sandbox.",
        object_schema(QUOTAS),
        lambda cause: values_of(QUOTAS, cause.task.sandbox),
    ),
    Field(
        "log_tail",
        "The last lines of its output that there is room for, with what could steer a terminal written out.",
        {"type": "array", "items": TEXT},
        lambda cause: list(cause.log_tail),
    ),
)

_DIGEST: tuple[Field[Digest], ...] = (
    Field("max_bytes", "Bytes that its text may have.", COUNT, lambda digest: digest.max_bytes),
    Field(
        "causes",
        "Tasks that failed themselves, in declaration order.",
        {"type": "array", "items": object_schema(_CAUSE)},
        lambda digest: [values_of(_CAUSE, cause) for cause in digest.causes],
    ),
    Field("left_out", "How many more there are.", COUNT, lambda digest: digest.left_out),
)


class _Run(NamedTuple):
    result: EpicResult
    exit_code: int
    digest: Digest


_RUN: tuple[Field[_Run], ...] = (
    Field("schema_version", "Version of this format.", {"const": SCHEMA_VERSION}, lambda _: SCHEMA_VERSION),
    Field("epic", "Name of the epic.", TEXT, lambda run: run.result.epic_id),
    Field("run", "Id of the run.", TEXT, lambda run: run.result.run_id),
    Field("state", "How the epic ended.", {"enum": [*EpicState]}, lambda run: run.result.state),
    Field("exit_code", "Of the program that ran it.", {"type": "integer"}, lambda run: run.exit_code),
    Field("started_at", "When the run began, UTC.", TIME, lambda run: timestamp(run.result.started_at)),
    Field("finished_at", "When the run ended, UTC.", TIME, lambda run: timestamp(run.result.finished_at)),
    Field(
        "duration_s",
        "Seconds the run took.",
        SECONDS,
        lambda run: max(0.0, (run.result.finished_at - run.result.started_at).total_seconds()),
    ),
    Field(
        "root_causes",
        "Ids of the tasks that failed themselves.",
        {"type": "array", "items": TEXT},
        lambda run: run.result.root_cause_ids,
    ),
    Field(
        "digest",
        "What must be known of each failure, in few bytes.",
        object_schema(_DIGEST),
        lambda run: values_of(_DIGEST, run.digest),
    ),
    Field(
        "openings",
        "What sandboxes of the run were given beyond what every sandbox gets, each with the ids of the tasks.",
        map_of({"type": "array", "items": TEXT}, "The tasks that had this opening."),
        lambda run: run.result.openings,
    ),
)


def _task_documents(run: _Run) -> Iterator[dict[str, object]]:
    return ({task_id: values_of(TASK, task)} for task_id, task in run.result.tasks.items())


_TASKS = Field(
    "tasks",
    "Every task of the epic by its id, in declaration order.",
    map_of(object_schema(TASK), "How one task ended."),
    _task_documents,
)
"""The last key, and most of the document."""
