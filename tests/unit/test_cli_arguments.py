"""Arguments that cannot be what they should be: refused in one line, before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockersched.cli import main
from dockersched.cli.doctor import check_state_dir
from dockersched.sandbox.docker.checkup import Status


@pytest.mark.parametrize("number", ["-1", "1.5", "x", "9" * 5_000])
@pytest.mark.parametrize(
    "argv", [["gc", "--keep"], ["logs", "last", "t", "--tail"], ["logs", "last", "t", "--attempt"]]
)
def test_what_is_no_whole_number_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: list[str], number: str
) -> None:
    *verb, option = argv

    assert main([*verb, f"{option}={number}", "--state-dir", str(tmp_path / "state")]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched {verb[0]}: argument {option}: must be a whole number, not '{number[:99]}")
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("headroom", ["9" * 5_000, "1001", "-1", "x", ""])
def test_a_headroom_that_cannot_be_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], headroom: str
) -> None:
    assert main(["rightsize", "last", f"--headroom={headroom}", "--state-dir", str(tmp_path / "state")]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: --headroom {headroom[:99]}")


def test_what_can_be_no_file_may_be_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "r" * 300, "--state-dir", str(tmp_path)]) == 2

    assert capsys.readouterr().err.startswith(f"dockersched: there is no run '{'r' * 300}' in {tmp_path}")


@pytest.mark.parametrize("verb", [["ps"], ["status"], ["resume"], ["gc"], ["graph", "last"]])
@pytest.mark.parametrize("name", ["loop", "file", "file/state", "s" * 300])
def test_a_state_directory_that_cannot_be_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, verb: list[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "file").touch()

    assert main([*verb, "--state-dir", str(tmp_path / name)]) == 2

    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"dockersched: the state directory {tmp_path / name} cannot be used (")
    assert said.err.endswith("); name another with --state-dir\n")


@pytest.mark.parametrize("target", ["state", "missing"])
def test_doctor_finds_a_link_that_leads_nowhere(tmp_path: Path, target: str) -> None:
    (tmp_path / "state").symlink_to(target)

    assert check_state_dir(tmp_path / "state").status is Status.FAIL
