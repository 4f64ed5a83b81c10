"""A state directory of somebody else's, in which one may look and not write."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.model import ScheduledTask
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-aaaaaa"
NOBODY = 65534
VERBS = (
    ["ps"],
    ["status", RUN],
    ["explain", RUN, "build"],
    ["timeline", RUN],
    ["graph", RUN],
    ["logs", RUN, "build"],
    ["artifacts", RUN],
    ["rightsize", RUN],
    ["wait", RUN],
)


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """With one run that has ended; the folder of pytest's own that it would be in is closed to others."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        run = RecordedRun(Path(folder), RUN, [ScheduledTask("build", [], "make")])
        run.start("build")
        run.end("build", b"made\n")
        run.end_without_owner()
        yield Path(folder)


@contextmanager
def only_looking(state_dir: Path) -> Iterator[None]:
    """While the block runs, this process may not write there, not even as root."""
    mode = state_dir.stat().st_mode
    state_dir.chmod(0o555)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(os.getuid())
        state_dir.chmod(mode)


def without_ages(text: str) -> str:
    return re.sub(r"[\d.]+s ago", "ago", text)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb[0])
def test_who_may_not_write_there_may_look(state_dir: Path, verb: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    expected = main([*verb, "--state-dir", str(state_dir)]), capsys.readouterr().out
    for beside in state_dir.glob("state.db-*"):
        beside.unlink()
    there = sorted(path.name for path in state_dir.iterdir())

    with only_looking(state_dir):
        code = main([*verb, "--state-dir", str(state_dir)])
        said = capsys.readouterr()

    assert (code, said.err) == (expected[0], "")
    assert without_ages(said.out) == without_ages(expected[1])
    assert sorted(path.name for path in state_dir.iterdir()) == there
