import os
import sys
from pathlib import Path

import pytest

from benchmarks import program
from benchmarks.program import CommandFailedError, Ended

MB = 1_000_000


def run_python(folder: Path, code: str) -> Ended:
    return program.run([sys.executable, "-S", "-c", code], folder=folder, environment=os.environ)


def test_a_program_is_measured_from_its_start_to_its_end(tmp_path: Path) -> None:
    ended = run_python(tmp_path, "import time; time.sleep(0.3); print('said')")
    assert 0.3 < ended.makespan_s < 20
    assert 0 < ended.cpu_s < 0.3
    assert ended.output == "said\n"


def test_memory_is_the_programs_own_not_that_of_who_measures(tmp_path: Path) -> None:
    ballast = bytearray(os.urandom(200 * MB))
    ended = run_python(tmp_path, "pass")
    assert len(ballast) == 200 * MB
    assert 0 < ended.peak_bytes < 50 * MB


def test_memory_and_processor_time_of_a_programs_processes_count(tmp_path: Path) -> None:
    child = "import os, time; held = os.urandom(40_000_000); time.sleep(1)"
    code = f"import subprocess, sys; a, b = [subprocess.Popen([sys.executable, '-S', '-c', {child!r}]) for _ in 'ab']; "
    ended = run_python(tmp_path, code + "a.wait(); b.wait()")
    assert 80 * MB < ended.peak_bytes < 200 * MB
    assert ended.cpu_s > 0.05


def test_a_programs_failure_tells_what_it_wrote(tmp_path: Path) -> None:
    with pytest.raises(CommandFailedError, match=r"ended with 3:\nit broke"):
        run_python(tmp_path, "import sys; print('it broke', file=sys.stderr); sys.exit(3)")
