"""Records that something has damaged, as the verbs see them that look at runs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.events import RunLaunched
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


def test_what_is_before_the_last_launch_may_be_damaged(run: RecordedRun, tmp_path: Path) -> None:
    run.tell(RunLaunched(AT, EPIC_ID, RUN, 1, tmp_path))
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


@pytest.mark.parametrize("document", ["{", "[]", "{}", '{"tasks": [], "finished_at": null}'])
def test_a_damaged_result_tells_nothing(run: RecordedRun, tmp_path: Path, document: str) -> None:
    run.end_without_owner()
    (run.folder / "result.json").write_text(document)

    assert main(["status", "--state-dir", str(tmp_path)]) == 0


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
