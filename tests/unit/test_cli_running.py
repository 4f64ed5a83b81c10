"""What the verbs that run an epic have in common."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO, cast

import pytest
from msgspec.structs import replace

from dockersched.cli import main, running
from dockersched.cli.ending import write_reports
from dockersched.cli.failures import report_failure
from dockersched.cli.running import add_display, add_mounts, add_state_dir, digest_settings, program_words, show_session
from dockersched.events import TaskStarted
from dockersched.report.digest import DEFAULT_BYTES, DigestSettings, make_digest
from dockersched.results import EpicResult, SandboxResult, TaskResult
from dockersched.session import Session, SessionResult, SessionSettings
from dockersched.states import EpicState, TaskState

NOW = datetime.now(UTC)


@pytest.mark.parametrize("name", ["missing/report.xml", "epic.yaml/report.xml", "folder", "/dev/null"])
def test_a_junit_file_that_cannot_be_written_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "epic.yaml").write_text("epic: e\ntasks: {a: {command: 'true'}}\n")
    (tmp_path / "folder").mkdir()
    junit, state_dir = str(tmp_path / name), str(tmp_path / "state")

    assert main(["run", str(tmp_path / "epic.yaml"), "--junit", junit, "--state-dir", state_dir]) == 2

    said = capsys.readouterr()
    assert said.err.startswith(f"dockersched: --junit {junit}: cannot be written: ")
    assert said.err.count("\n") == 1
    assert not (tmp_path / "state" / "runs").exists()


def result_of(tmp_path: Path, *, code: int = 0) -> SessionResult:
    """A run that has ended."""
    sandbox = SandboxResult("e.a", code)
    state = TaskState.FAILED if code else TaskState.SUCCEEDED
    task = TaskResult("a", state, sandbox.reason, attempts=1, sandbox=sandbox)
    epic_state = EpicState.FAILED if code else EpicState.SUCCEEDED
    result = EpicResult("e", "run-1", epic_state, {"a": task}, NOW, NOW)
    digest = make_digest(result, DigestSettings())
    return SessionResult(result, result.exit_code, digest, tmp_path / "result.json", [])


def test_what_was_asked_for_is_written_at_the_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "link.xml").symlink_to(tmp_path / "report.xml")
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "page.md")}

    assert write_reports(result_of(tmp_path, code=3), str(tmp_path / "link.xml"), environ)

    assert b'failures="1"' in (tmp_path / "report.xml").read_bytes()
    assert (tmp_path / "link.xml").is_symlink()
    assert "### Epic e: failed" in (tmp_path / "page.md").read_text()
    said = capsys.readouterr()
    assert (said.out, said.err.count("::error title=epic e%3A task a::")) == ("", 1)


def test_what_could_not_be_written_is_told_and_the_rest_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "gone" / "page.md")}

    assert not write_reports(result_of(tmp_path), str(tmp_path / "report.xml"), environ)

    assert (tmp_path / "report.xml").exists()
    assert "page.md cannot be written: No such file or directory" in capsys.readouterr().err


def program(folder: Path) -> Path:
    path = folder / "bin" / "dockersched"
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


def test_the_program_is_called_by_its_name_only_where_that_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = program(tmp_path / "mine"), program(tmp_path / "other")
    monkeypatch.chdir(tmp_path / "mine")

    monkeypatch.setenv("PATH", str(mine.parent))
    assert program_words(str(mine), "/usr/bin/python3") == ("dockersched",)
    monkeypatch.setenv("PATH", str(other.parent))
    assert program_words(str(mine), "/usr/bin/python3") == ("bin/dockersched",)
    monkeypatch.chdir(tmp_path / "other")
    assert program_words(str(mine), "/usr/bin/python3") == (str(mine),)
    main = "/lib/dockersched/__main__.py"
    assert program_words(main, "/usr/bin/python3") == ("/usr/bin/python3", "-m", "dockersched")


def test_commands_name_the_state_directory_where_it_is_not_the_usual_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    usual = digest_settings(Namespace(state_dir=".dockersched", digest_bytes=None))
    other = digest_settings(Namespace(state_dir="runs", digest_bytes=0), ["data"])

    assert (usual.max_bytes, usual.commands.state_dir) == (DEFAULT_BYTES, None)
    assert (other.max_bytes, other.commands.state_dir) == (0, str(tmp_path / "runs"))
    assert other.commands.allow_mounts == (str(tmp_path / "data"),)


class EndedSession:
    """A session that has nothing left to do but to tell of it."""

    def __init__(self, settings: SessionSettings, ended: SessionResult) -> None:
        self._observers = settings.observers
        self._ended = ended

    async def run(self) -> SessionResult:
        for observe in self._observers:
            observe(TaskStarted(NOW, "a", "e.a", 1))
        return self._ended


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, TextIO], int]:
    """Shows a run that has succeeded, with one of its containers left, on a stdout."""
    monkeypatch.setattr(running, "collect_seldom", lambda: None)
    parser = ArgumentParser()
    for declare in (add_display, add_mounts, add_state_dir):
        declare(parser)
    (tmp_path / "result.json").write_text("{}\n")
    ended = replace(result_of(tmp_path), leaked=["container c"])

    def show(output: str, stdout: TextIO) -> int:
        monkeypatch.setattr(sys, "stdout", stdout)
        args = parser.parse_args(["--output", output, "--state-dir", str(tmp_path / "state")])
        return show_session(args, lambda settings: cast("Session", EndedSession(settings, ended)))

    return show


@pytest.mark.parametrize("output", ["text", "json", "jsonl", "agent"])
def test_a_result_that_finds_no_room_is_an_error_of_its_own(
    output: str, shown: Callable[[str, TextIO], int], capsys: pytest.CaptureFixture[str]
) -> None:
    with Path("/dev/full").open("w") as full, pytest.raises(OSError, match="No space left on device") as raised:
        shown(output, full)

    assert report_failure(raised.value, with_traceback=False) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "dockersched: [Errno 28] No space left on device"
    assert "dockersched: container c could not be removed (docker rm -f c)" in said


@pytest.mark.parametrize("output", ["text", "json", "jsonl", "agent"])
def test_a_reader_that_hung_up_is_told_apart(output: str, shown: Callable[[str, TextIO], int]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone, pytest.raises(BrokenPipeError):
        shown(output, gone)
