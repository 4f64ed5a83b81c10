"""`result.json` and its schema."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, ValidationError

from dockersched.model import QuotaConfig
from dockersched.report.document import result_json, result_schema
from dockersched.report.files import write_atomically
from dockersched.results import EpicResult, LogSummary, OutputSummary, Phases, SandboxResult, TaskResult, Usage
from dockersched.states import EpicState, Reason, TaskState

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
TASK_KEYS = {
    "state", "reason", "detail", "root_cause", "failure_allowed", "exit_code", "started_at", "finished_at",
    "duration_s", "attempts", "phases", "image", "image_digest", "quota", "openings", "usage", "outputs", "values",
    "log", "log_bytes", "log_truncated", "log_complete",
}  # fmt: skip
EPIC_KEYS = {
    "schema_version", "epic", "run", "state", "exit_code", "started_at", "finished_at", "duration_s", "root_causes",
    "digest", "openings", "tasks",
}  # fmt: skip


def ran(task_id: str = "lint", reason: Reason | None = None, exit_code: int | None = 0) -> TaskResult:
    sandbox = SandboxResult(
        f"quick.{task_id}",
        exit_code,
        reason,
        started_at=START,
        finished_at=START + timedelta(seconds=1.5),
        image="dockersched/base",
        image_digest="sha256:abc",
        openings=("network: bridge",),
        usage=Usage(50 * 2**20, 1.25, 7, None, 3, START + timedelta(seconds=1)),
        outputs={"report": OutputSummary("ab", "/a/report", 2, 30)},
        values={"version": "1.2"},
        phases=Phases(1, 0.2, 60.1, 120.0, 1500.0, 4.5, 9.9),
        quota_requested=QuotaConfig(0.5, "64m", 32),
        quota_effective=QuotaConfig(0.5, "64m", 32),
        log=LogSummary("logs/lint.log", 17, truncated=True, complete=False),
    )
    state = TaskState.SUCCEEDED if sandbox.succeeded else TaskState.FAILED
    return TaskResult(task_id, state, sandbox.reason, "a detail", attempts=1, sandbox=sandbox)


def never_ran(task_id: str = "deploy") -> TaskResult:
    return TaskResult(task_id, TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "'test' failed", "test")


def epic(*tasks: TaskResult, state: EpicState = EpicState.FAILED) -> EpicResult:
    by_id = {task.task_id: task for task in tasks}
    return EpicResult("quick", "run-1", state, by_id, START, START + timedelta(seconds=3.25))


def task_of(document: dict[str, object], task_id: str) -> dict[str, object]:
    tasks = document["tasks"]
    assert isinstance(tasks, dict)
    task: dict[str, object] = tasks[task_id]
    return task


def text_of(result: EpicResult, exit_code: int | None = None) -> str:
    return b"".join(result_json(result, exit_code=exit_code)).decode("ascii")


def document_of(result: EpicResult, exit_code: int | None = None) -> dict[str, object]:
    document: dict[str, object] = json.loads(text_of(result, exit_code))
    return document


def test_document_tells_of_the_epic() -> None:
    document = document_of(epic(ran(), ran("test", exit_code=3), never_ran()))

    assert set(document) == EPIC_KEYS
    assert document | {"tasks": None, "digest": None} == {
        "schema_version": 1,
        "epic": "quick",
        "run": "run-1",
        "state": "failed",
        "exit_code": 1,
        "started_at": "2026-01-31T12:00:00.000000Z",
        "finished_at": "2026-01-31T12:00:03.250000Z",
        "duration_s": 3.25,
        "root_causes": ["test"],
        "digest": None,
        "openings": {"network: bridge": ["lint", "test"]},
        "tasks": None,
    }


def test_document_digests_the_failures() -> None:
    digest = document_of(epic(ran(), ran("test", exit_code=3), never_ran()))["digest"]

    limits = {"cpus": 0.5, "memory": 64 * 2**20, "pids": 32, "disk": None, "nofile": None, "fsize": None, "log": None}
    assert digest == {
        "max_bytes": 4096,
        "causes": [
            {
                "task": "test",
                "reason": "exit_code",
                "detail": "a detail",
                "meaning": "ended with exit code 3",
                "advice": "the task's own failure: read the end of its log",
                "rerun": "dockersched retry run-1 --only test",
                "quota": {"requested": limits, "effective": limits},
                "log_tail": [],
            }
        ],
        "left_out": 0,
    }


def test_document_tells_of_a_task_that_ran() -> None:
    task = task_of(document_of(epic(ran("test", Reason.OOM_KILLED, 137))), "test")

    limits = {"cpus": 0.5, "memory": 64 * 2**20, "pids": 32, "disk": None, "nofile": None, "fsize": None, "log": None}
    assert task == {
        "state": "failed",
        "reason": "oom_killed",
        "detail": "a detail",
        "root_cause": None,
        "failure_allowed": False,
        "exit_code": 137,
        "started_at": "2026-01-31T12:00:00.000000Z",
        "finished_at": "2026-01-31T12:00:01.500000Z",
        "duration_s": 1.5,
        "attempts": 1,
        "phases": [
            {
                "attempt": 1,
                "queued_ms": 0.2,
                "create_ms": 60.1,
                "start_ms": 120.0,
                "run_ms": 1500.0,
                "exit_seen_ms": 4.5,
                "collect_ms": 9.9,
                "remove_ms": None,
            }
        ],
        "image": "dockersched/base",
        "image_digest": "sha256:abc",
        "quota": {"requested": limits, "effective": limits},
        "openings": ["network: bridge"],
        "usage": {
            "memory_peak": 50 * 2**20,
            "cpu_s": 1.25,
            "pids_peak": 7,
            "written": None,
            "readings": 3,
            "last_read_at": "2026-01-31T12:00:01.000000Z",
        },
        "outputs": {"report": {"path": "/a/report", "entries": 2, "size_bytes": 30, "digest": "ab"}},
        "values": {"version": "1.2"},
        "log": "logs/lint.log",
        "log_bytes": 17,
        "log_truncated": True,
        "log_complete": False,
    }


def test_document_has_every_key_of_a_task_that_never_ran() -> None:
    task = task_of(document_of(epic(never_ran())), "deploy")

    unknown = dict.fromkeys(("cpus", "memory", "pids", "disk", "nofile", "fsize", "log"))
    assert set(task) == TASK_KEYS
    assert task["quota"] == {"requested": unknown, "effective": unknown}
    assert {key for key, value in task.items() if value is None} == TASK_KEYS - {
        "state", "reason", "detail", "root_cause", "failure_allowed", "attempts", "phases", "quota", "openings",
        "outputs", "values",
    }  # fmt: skip


def test_document_tells_where_the_time_of_every_attempt_went() -> None:
    first, second = (SandboxResult("s", code, phases=Phases(number, 1.5)) for number, code in ((2, 75), (3, 0)))
    task = TaskResult("flaky", TaskState.SUCCEEDED, attempts=2, sandbox=second, earlier=[first])

    phases = task_of(document_of(epic(task)), "flaky")["phases"]

    unknown = dict.fromkeys(("create_ms", "start_ms", "run_ms", "exit_seen_ms", "collect_ms", "remove_ms"))
    assert phases == [{"attempt": 2, "queued_ms": 1.5, **unknown}, {"attempt": 3, "queued_ms": 1.5, **unknown}]


def test_document_counts_attempts_of_which_no_phases_were_noted() -> None:
    task = TaskResult("old", TaskState.SUCCEEDED, attempts=1, sandbox=SandboxResult("s", 0))

    phases = task_of(document_of(epic(task)), "old")["phases"]

    assert isinstance(phases, list)
    assert [{key for key, value in each.items() if value is not None} for each in phases] == [{"attempt"}]


def test_document_takes_the_exit_code_of_the_program() -> None:
    assert document_of(epic(state=EpicState.CANCELLED), exit_code=143)["exit_code"] == 143


def test_document_keeps_declaration_order() -> None:
    tasks = document_of(epic(ran("b"), ran("a"), ran("c")))["tasks"]

    assert isinstance(tasks, dict)
    assert list(tasks) == ["b", "a", "c"]


def test_document_gives_no_negative_duration_when_the_clock_was_set_back() -> None:
    result = EpicResult("e", "r", EpicState.SUCCEEDED, {}, START, START - timedelta(hours=1))
    assert document_of(result)["duration_s"] == 0.0


def test_document_gives_times_in_utc_whatever_their_zone() -> None:
    east = datetime(2026, 1, 31, 14, 0, tzinfo=timezone(timedelta(hours=2)))
    result = EpicResult("quick", "run", EpicState.SUCCEEDED, {}, east, east)

    assert document_of(result)["started_at"] == "2026-01-31T12:00:00.000000Z"


@pytest.mark.parametrize("reason", [None, *Reason])
def test_documents_are_valid_by_the_schema(reason: Reason | None) -> None:
    document = document_of(epic(ran(reason=reason), ran("lost", exit_code=None), never_ran()))

    Draft202012Validator(result_schema()).validate(document)


@pytest.mark.parametrize("state", EpicState)
def test_documents_of_every_epic_state_are_valid(state: EpicState) -> None:
    Draft202012Validator(result_schema()).validate(document_of(epic(state=state)))


def test_schema_is_a_schema_and_describes_every_key() -> None:
    schema = result_schema()
    Draft202012Validator.check_schema(schema)
    properties = schema["properties"]

    assert isinstance(properties, dict)
    task = properties["tasks"]["additionalProperties"]
    assert set(properties) == EPIC_KEYS
    assert set(task["properties"]) == TASK_KEYS
    assert all(value["description"] for value in [*properties.values(), *task["properties"].values()])
    assert set(task["properties"]["reason"]["enum"]) == {None, *map(str, Reason)}


@pytest.mark.parametrize(
    ("key", "value"),
    [("state", "running"), ("reason", "bad luck"), ("started_at", "2026-01-31T12:00:00Z"), ("attempts", -1)],
)
def test_schema_refuses_what_a_document_never_holds(key: str, value: object) -> None:
    document = document_of(epic(ran()))
    task_of(document, "lint")[key] = value

    with pytest.raises(ValidationError):
        Draft202012Validator(result_schema()).validate(document)


@pytest.mark.parametrize("tasks", [[ran()], [ran("a"), ran("b", exit_code=3), never_ran()]])
def test_json_is_laid_out_as_ever(tasks: list[TaskResult]) -> None:
    text = text_of(epic(*tasks))

    assert text == json.dumps(json.loads(text), indent=2) + "\n"


def test_json_of_an_epic_without_tasks_is_whole() -> None:
    assert document_of(epic())["tasks"] == {}


def test_json_is_ascii_and_survives_any_id() -> None:
    hostile = "a\x1b[2J\u202e\ud800é"
    text = text_of(epic(ran(hostile)))

    assert text.isascii()
    assert "\x1b" not in text
    assert hostile in json.loads(text)["tasks"]


def test_writing_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    write_atomically(path, [b"n", b"ew"])

    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["result.json"]  # noqa: PTH208 - names alone


def test_failed_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError):
        write_atomically(path, (str(1 // number).encode() for number in (1, 0)))

    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
