"""Numbers among the arguments: what is none is refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from dockersched.cli import main


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
