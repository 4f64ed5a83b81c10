"""The command's own streams: closed by the caller, in another encoding."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dockersched
from dockersched.epicfile import epic_schema
from dockersched.model import ScheduledTask
from tests.support.recorded_runs import RecordedRun

RUN = "20260131-000000-aaaaaa"
EPIC = "epic: e\ntasks: {t: {image: x, run: x}}\n"
_ENVIRON = {**os.environ, "PYTHONPATH": str(Path(dockersched.__file__).parents[1])}
_DESCRIPTORS = """
import os, sys
from dockersched.cli import main
main(["schema"])
print(*(os.readlink(f"/proc/self/fd/{number}") for number in range(3)), file=open(sys.argv[1], "w"))
"""


def called(redirections: str, *argv: str | Path, cwd: Path, **environ: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of Python with the shell's redirections."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$@" {redirections}', sys.executable, *argv],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd=cwd,
        env={**_ENVIRON, **environ},
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("redirections", "argv", "said"),
    [
        (">&-", ["ps"], (0, "", "")),
        (">&-", ["logs", "last", "t"], (0, "", "")),
        (">&-", ["schema", "--help"], (0, "", "")),
        ("2>&-", ["ps", "--state-dir", "none"], (0, "no runs yet\n", "")),
        ("2>&-", ["status", "other"], (2, "", "")),
        ("2>&-", ["ps", "--oops"], (2, "", "")),
        ("<&-", ["validate", "-"], (2, "", "<stdin>:1:1: the file is empty: an epic needs at least epic and tasks\n")),
        ("<&- >&- 2>&-", ["ps"], (0, "", "")),
    ],
)
def test_a_stream_that_the_caller_has_closed_is_the_null_device(
    tmp_path: Path, redirections: str, argv: list[str], said: tuple[int, str, str]
) -> None:
    run = RecordedRun(tmp_path / ".dockersched", RUN, [ScheduledTask("t", [], "x")])
    run.start("t")
    run.end("t", b"said\n")

    assert called(redirections, "-m", "dockersched", *argv, cwd=tmp_path) == said


def test_no_file_gets_a_closed_streams_descriptor(tmp_path: Path) -> None:
    called("<&- >&- 2>&-", "-c", _DESCRIPTORS, tmp_path / "found", cwd=tmp_path)

    assert (tmp_path / "found").read_text() == " ".join([os.devnull] * 3) + "\n"


def test_what_stdout_cannot_encode_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "é.yaml").write_text(EPIC)

    said = called("", "-m", "dockersched", "validate", "é.yaml", cwd=tmp_path, PYTHONIOENCODING="ascii")

    assert said == (0, "\\xe9.yaml: ok (1 task)\n", "")


def test_schemas_are_json_in_any_encoding(tmp_path: Path) -> None:
    plain = called("", "-m", "dockersched", "schema", cwd=tmp_path)
    ascii_only = called("", "-m", "dockersched", "schema", cwd=tmp_path, PYTHONIOENCODING="ascii")

    assert (plain[0], ascii_only) == (0, plain)
    assert json.loads(plain[1]) == epic_schema()
