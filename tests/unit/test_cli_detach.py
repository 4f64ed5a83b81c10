"""Leaving a run to a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

_DETACHING = """
import signal, sys, time
from pathlib import Path
from dockersched.cli.detach import run_detached
from dockersched.cli.failures import report_failure

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the caller's shell has made of it
try:
    code = run_detached(Path(sys.argv[1]), lambda _observer: time.sleep(600) or 0, print)
except BaseException as error:
    code = report_failure(error, with_traceback=False)
sys.exit(code)
"""


def detaching(state_dir: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _DETACHING, str(state_dir)], stderr=subprocess.PIPE, text=True)


def test_a_state_directory_that_cannot_be_written_is_told_as_such() -> None:
    with detaching(Path("/proc/self")) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert said.startswith("dockersched: /proc/self/.console-")
    assert " cannot be written: " in said
    assert said.count("\n") == 1


def test_nothing_is_left_of_a_run_that_is_given_up_before_it_began(tmp_path: Path) -> None:
    with detaching(tmp_path) as process:
        deadline = time.monotonic() + 30
        while not list(tmp_path.iterdir()):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (130, "dockersched: interrupted\n")
    assert list(tmp_path.iterdir()) == []
