"""`make run`: what it hands to the command, and what stops it. Both by a real make, with programs that only tell."""

import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path

import pytest

from benchmarks.peers.base import outside_make

PROJECT = Path(__file__).parents[2]
TELLS_ITS_ARGUMENTS = 'printf "%s\\n" "$@"'
# In short sleeps: a shell runs its traps between commands only. After a minute it ends by itself, whatever happens.
WAITS_TO_BE_STOPPED = """
trap 'echo stopped; exit 7' TERM
echo waiting
for _ in $(seq 600); do sleep 0.1; done
"""


def make_run(folder: Path, program: str, epic: str, *options: str) -> list[str]:
    """The command that runs an epic with a program in the place of `dockersched`."""
    programs = folder / "venv" / "bin"
    programs.mkdir(parents=True)
    for name, script in {"python": "exit 0", "dockersched": program}.items():
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    (folder / "venv" / ".runtime-installed").touch()
    return [
        "make",
        "-C",
        str(PROJECT),
        "--no-print-directory",
        "run",
        f"VENV={folder / 'venv'}",
        f"EPIC={epic}",
        *options,
    ]


@pytest.mark.parametrize(
    "epic",
    ["my epic.yaml", "x`touch {0}`.yaml", "$(touch {0}).yaml", "$(shell touch {0}).yaml", '"; touch {0}; "', "$$"],
)
def test_the_name_of_an_epic_is_no_code(tmp_path: Path, epic: str) -> None:
    made = tmp_path / "made"
    name = epic.format(made)
    command = make_run(tmp_path, TELLS_ITS_ARGUMENTS, name, "ARGS=--quiet --junit 'a b'")

    done = subprocess.run(command, env=outside_make(), capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == ["run", name, "--quiet", "--junit", "a b"]
    assert not made.exists()


def test_what_is_packed_is_all_that_make_needs() -> None:
    packed = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["sdist"]
    there = {path.name for path in PROJECT.iterdir() if path.is_dir() and not path.name.startswith(".")}
    needed = {name for name in re.findall(r"[\w-]+", (PROJECT / "Makefile").read_text()) if name in there}
    made = {line.strip("/") for line in (PROJECT / ".gitignore").read_text().splitlines()}

    assert {"tools", "tests", "examples", "benchmarks"} <= needed
    assert {f"/{name}" for name in needed - made} <= set(packed["include"])


def test_who_ends_make_ends_the_run(tmp_path: Path) -> None:
    command = make_run(tmp_path, WAITS_TO_BE_STOPPED, "epic.yaml", "ARGS=--quiet")
    with subprocess.Popen(command, env=outside_make(), stdout=subprocess.PIPE, text=True) as make:
        assert make.stdout is not None
        assert make.stdout.readline() == "waiting\n"

        os.kill(make.pid, signal.SIGTERM)

        assert make.stdout.read() == "stopped\n"
    assert make.returncode in {2, -signal.SIGTERM}
