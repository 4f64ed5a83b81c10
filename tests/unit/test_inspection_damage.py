"""Records that something has damaged, as the verbs see them that look at runs."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.events import EpicStarted, RunLaunched
from dockersched.model import ScheduledTask
from tests.support.recorded_runs import AT, EPIC_ID, RecordedRun

RUN = "20260131-000000-aaaaaa"
TASKS = [ScheduledTask("build", [], "make"), ScheduledTask("test", ["build"], "pytest")]


@pytest.fixture
def run(tmp_path: Path) -> RecordedRun:
    made = RecordedRun(tmp_path, RUN, TASKS)
    made.start("build")
    made.end("build")
    return made


def replace_line(run: RecordedRun, number: int, line: bytes) -> Path:
    """Puts a line in place of one of the run's events."""
    path = run.folder / "events.jsonl"
    lines = path.read_bytes().splitlines()
    lines[number - 1] = line
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def replace_epic(state_dir: Path, text: str) -> None:
    with closing(sqlite3.connect(state_dir / "state.db", isolation_level=None)) as database:
        database.execute("UPDATE runs SET epic = ?", (text,))


@pytest.mark.parametrize("verb", [["status", RUN], ["explain", RUN, "test"], ["graph", RUN]])
@pytest.mark.parametrize("line", [b'{"type":', b"", b"[]", b"3", b'{"type":"task_started"}', b"\x00\xff", b"a\rb"])
def test_a_damaged_line_of_the_events_is_named(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: bytes, verb: list[str]
) -> None:
    path = replace_line(run, 3, line)

    assert main([*verb, "--state-dir", str(tmp_path)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: {path}:3: this line is damaged (")
    assert said.err.endswith("): remove it; the run itself does not need it\n")


def test_a_damaged_line_is_counted_from_the_beginning_of_the_file(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run.tell(RunLaunched(AT, EPIC_ID, RUN, 1, tmp_path))
    run.start("test")
    path = replace_line(run, 6, b"oops")

    assert main(["status", "--state-dir", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"dockersched: {path}:6: ")


def test_what_is_before_the_last_beginning_may_be_damaged(run: RecordedRun, tmp_path: Path) -> None:
    run.tell(RunLaunched(AT, EPIC_ID, RUN, 1, tmp_path), EpicStarted(AT, EPIC_ID, RUN, ("build", "test")))
    replace_line(run, 3, b"oops")

    assert main(["status", "--state-dir", str(tmp_path)]) == 0


@pytest.mark.parametrize("verb", [["status", RUN], ["explain", RUN, "test"], ["graph", RUN], ["logs", RUN, "build"]])
@pytest.mark.parametrize("epic", ["{}", "[]", '{"tasks": [{}], "options": {}}', '{"tasks": []}'])
def test_a_damaged_epic_is_named(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], epic: str, verb: list[str]
) -> None:
    replace_epic(tmp_path, epic)

    assert main([*verb, "--state-dir", str(tmp_path)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: the epic of run {RUN} in {tmp_path / 'state.db'} cannot be read (")
    assert "--state-dir" in said.err


@pytest.mark.parametrize("verb", ["status", "timeline"])
@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[]",
        "{}",
        "null",
        '{"tasks": [], "finished_at": null}',
        '{"tasks": null}',
        '{"tasks": {"build": {"phases": [{"attempt": 1, "remove_ms": "x"}]}}}',
        "[" * 100_000,
    ],
    ids=lambda document: document[:20],
)
def test_a_damaged_result_tells_nothing(run: RecordedRun, tmp_path: Path, document: str, verb: str) -> None:
    run.end_without_owner()
    (run.folder / "result.json").write_text(document)

    assert main([verb, RUN, "--state-dir", str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("change", "verb"),
    [
        ("runs SET created_at = 'x'", ["status", RUN]),
        ("runs SET created_at = x'00ff'", ["status", RUN]),
        ("runs SET epic_id = x'ff'", ["status", RUN]),
        ("runs SET finished_at = 'x'", ["wait", RUN]),
        ("runs SET exit_code = 'x'", ["graph", RUN]),
        ("attempts SET intended_at = 'x'", ["timeline", RUN]),
        ("attempts SET result = json_set(result, '$.started_at', 5)", ["timeline", RUN]),
        ("attempts SET result = json_set(result, '$.phases', 'x')", ["timeline", RUN]),
        ("attempts SET result = json_set(result, '$.phases', json('{}'))", ["explain", RUN, "build"]),
        ("attempts SET result = json_set(result, '$.log.path', 5)", ["logs", RUN, "build"]),
        ("attempts SET result = json_set(result, '$.log.path', 5)", ["explain", RUN, "build"]),
        ("runs SET epic = json_set(epic, '$.tasks[1].depends_on', json('[\"nope\"]'))", ["graph", RUN]),
        ("runs SET epic = json_set(epic, '$.tasks[0].depends_on', json('[\"test\"]'))", ["timeline", RUN]),
    ],
)
def test_a_damaged_value_in_the_database_is_told_in_a_line(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str, verb: list[str]
) -> None:
    run.end_without_owner()
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as database:
        database.execute(f"UPDATE {change}")

    assert main([*verb, "--state-dir", str(tmp_path)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "state.db" in said.err or "state database" in said.err
    assert "cannot be read (" in said.err


@pytest.mark.parametrize("verb", [["explain", RUN, "test"], ["rightsize", RUN]])
def test_an_option_that_is_not_known_is_told_in_a_line(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: list[str]
) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as database:
        database.execute("UPDATE runs SET epic = json_set(epic, '$.options.nope', 1)")

    assert main([*verb, "--state-dir", str(run.folder.parents[1])]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "a record in the state database cannot be read (" in said.err


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def _a_file(path: Path) -> None:
    shutil.rmtree(path)
    path.touch()


@pytest.mark.parametrize(
    ("name", "damage", "verb"),
    [
        ("events.jsonl", _a_folder, ["status", RUN]),
        ("events.jsonl", _a_circle, ["explain", RUN, "build"]),
        ("owner.lock", _a_circle, ["status", RUN]),
        ("logs/build.log", _a_folder, ["logs", RUN, "build"]),
        ("logs", _a_file, ["logs", RUN, "build"]),
        ("", _a_file, ["status", RUN]),
        ("", _a_file, ["logs", RUN, "build"]),
    ],
)
def test_a_file_that_is_none_is_told_in_a_line(
    run: RecordedRun,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], None],
    verb: list[str],
) -> None:
    damage(run.folder / name)

    assert main([*verb, "--state-dir", str(run.folder.parents[1])]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert " cannot be read (" in said.err
    assert str(run.folder) in said.err


def test_ps_leaves_out_a_run_that_cannot_be_read(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RecordedRun(tmp_path, "20260201-000000-bbbbbb", TASKS)
    _a_file(run.folder)

    assert main(["ps", "--output", "json", "--state-dir", str(tmp_path)]) == 0

    said = capsys.readouterr()
    assert [row["run"] for row in json.loads(said.out)["runs"]] == [other.run_id]
    assert said.err.startswith(f"dockersched: run {RUN} is left out: run {RUN} cannot be read (Not a directory)")


@pytest.mark.parametrize(
    "line",
    ["[]", "{", "3", '{"epic": 3, "at": "2026-01-31T12:00:00Z"}', '{"epic": "e", "at": "then"}', '{"epic": "e"}'],
)
def test_ps_lists_runs_with_damaged_records(
    run: RecordedRun, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    other = tmp_path / "runs" / "20260201-000000-bbbbbb"
    other.mkdir()
    (other / "owner.lock").touch()
    (other / "events.jsonl").write_text(f"{line}\n")
    replace_epic(tmp_path, "{}")

    assert main(["ps", "--output", "json", "--state-dir", str(tmp_path)]) == 0

    listed = json.loads(capsys.readouterr().out)["runs"]
    assert [(row["run"], row["tasks_total"]) for row in listed] == [(other.name, 0), (RUN, 0)]
    assert main(["ps", "--state-dir", str(tmp_path)]) == 0
