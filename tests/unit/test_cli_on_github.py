"""Under GitHub Actions, what verbs show of epics and runs is no command to the runner."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.model import ScheduledTask
from dockersched.states import Reason
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-aaaaaa"
TASK, LATER = "::error::##[group]t", "##[debug]t"
_COMMAND = re.compile(r"(?m)^\s*::|##\[")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files and a run whose names and words are commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.delenv("DOCKERSCHED_STATE_DIR", raising=False)
    epic = "epic: e\ntasks: {t: {image: x, run: x}}\n"
    (tmp_path / "::add-mask::good.yaml").write_text(epic)
    (tmp_path / "##[add-mask]bad.yaml").write_text(epic.replace("run", "'##[error]x'"))
    tasks = [ScheduledTask(TASK, [], "x"), ScheduledTask(LATER, [TASK], "x"), ScheduledTask("new", [], "x")]
    run = RecordedRun(tmp_path / ".dockersched", RUN, tasks)
    run.start(TASK)
    detail = "line 1: '##[add-mask]x' is no value"
    run.end(TASK, b"##[error]x\n::error::y\n", 3, reason=Reason.BAD_VALUES, detail=detail)
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        ["validate", "::add-mask::good.yaml"],
        ["validate", "##[add-mask]bad.yaml"],
        ["plan", "##[add-mask]bad.yaml"],
        ["ps"],
        ["ps", "##[add-mask]x"],
        ["status"],
        ["status", "##[add-mask]x"],
        ["status", "--output", "json"],
        ["explain", RUN, TASK],
        ["explain", RUN, TASK, "--output", "json"],
        ["explain", RUN, LATER],
        ["logs", RUN, LATER],
        ["artifacts", RUN, TASK],
        ["wait", RUN],
        ["timeline", RUN, "--format", "text"],
        ["timeline", RUN, "--format", "json"],
        ["timeline", RUN],
        ["graph", RUN],
        ["graph", RUN, "--format", "svg"],
        ["rightsize", RUN],
    ],
)
def test_no_verb_that_looks_commands_the_runner(
    folder: Path, capsys: pytest.CaptureFixture[str], argv: list[str]
) -> None:
    main(argv)

    said = capsys.readouterr()
    assert said.out or said.err
    assert not _COMMAND.search(said.out + said.err)
    if "json" in argv:
        assert json.loads(said.out)
