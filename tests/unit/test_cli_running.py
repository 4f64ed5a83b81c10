"""What the verbs that run an epic have in common."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import pytest

from dockersched.cli.running import digest_settings, program_words
from dockersched.report.digest import DEFAULT_BYTES


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
