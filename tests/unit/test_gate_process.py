"""The gate as a real process, on the architecture of this machine."""

import os
import platform
import signal
import subprocess
from pathlib import Path

import pytest

from dockersched.sandbox.docker.gate.program import program

LIMIT_S = 30
FIELDS = "readlink /proc/self/fd/0; grep flags /proc/self/fdinfo/0; echo $$"


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gate") / "gate"
    path.write_bytes(program(platform.machine()))
    path.chmod(0o755)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    script, refused = tmp_path / "script", tmp_path / "refused"
    script.write_text('echo "$0 $@"; exit 9\n')
    script.chmod(0o755)
    refused.write_text("exit 0\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


def released(gate: Path, *argv: str, byte: bytes = b"\n") -> tuple[int, str, str]:
    done = subprocess.run([gate, *argv], input=byte, capture_output=True, timeout=LIMIT_S, check=False, env={"A": "b"})
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def state(process: subprocess.Popen[bytes]) -> str:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def wait_until_asleep(process: subprocess.Popen[bytes]) -> None:
    while state(process) != "S":
        os.sched_yield()


def test_a_byte_turns_it_into_the_command(gate: Path) -> None:
    argv = [str(gate), "/nowhere/sh", "/bin/sh", "", "sh", "-c", FIELDS]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        wait_until_asleep(process)
        assert Path(f"/proc/{process.pid}/exe").readlink() == gate
        out, _ = process.communicate(b"\0", timeout=LIMIT_S)
    assert out.decode().split() == ["/dev/null", "flags:", "0100002", str(process.pid)]


@pytest.mark.parametrize("byte", [b"\n", b"\0", b"longer"])
def test_any_byte_releases_it(gate: Path, byte: bytes) -> None:
    assert released(gate, "/bin/sh", "", "name", "-c", 'echo "$A $0"; exit 7', byte=byte) == (7, "b name\n", "")


def test_the_command_has_its_own_name(gate: Path) -> None:
    code, out, _ = released(gate, "/bin/cat", "", "another", "/proc/self/cmdline")
    assert (code, out) == (0, "another\0/proc/self/cmdline\0")


def test_the_end_of_its_input_ends_it(gate: Path) -> None:
    assert released(gate, "/bin/sh", "", "sh", byte=b"") == (125, "", "dockersched gate: never released\n")


def test_stopped_and_continued_it_still_waits(gate: Path) -> None:
    with subprocess.Popen([gate, "/bin/true", "", "true"], stdin=subprocess.PIPE) as process:
        wait_until_asleep(process)
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        process.send_signal(signal.SIGCONT)
        wait_until_asleep(process)
        process.communicate(b"!", timeout=LIMIT_S)
        assert process.returncode == 0


def test_alone_it_waits_until_it_is_killed(gate: Path) -> None:
    with subprocess.Popen([gate], stdin=subprocess.DEVNULL) as process:
        wait_until_asleep(process)
        process.kill()
        assert process.wait(LIMIT_S) == -signal.SIGKILL


def test_it_leaves_the_handling_of_signals_alone(gate: Path) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    try:
        _, out, _ = released(gate, "/bin/grep", "", "grep", "SigIgn", "/proc/self/status")
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert int(out.split()[1], 16) >> signal.SIGUSR1 - 1 & 1


def test_a_script_without_a_first_line_is_one_for_the_shell(gate: Path, folder: Path) -> None:
    script = str(folder / "script")
    assert released(gate, script, "", "script", "one", "two") == (9, f"{script} one two\n", "")


@pytest.mark.parametrize(
    ("candidate", "words", "code"),
    [
        ("missing", "No such file or directory", 127),
        ("refused", "Permission denied", 126),
        ("folder", "Permission denied", 126),
        ("script/x", "Not a directory", 1),
        ("x" * 300, "File name too long", 1),
    ],
)
def test_what_cannot_be_executed_is_told(gate: Path, folder: Path, candidate: str, words: str, code: int) -> None:
    told = f"[FATAL tini (7)] exec {candidate} failed: {words}\n"
    assert released(gate, str(folder / candidate), "", candidate) == (code, "", told)


def test_its_stack_holds_no_code(gate: Path) -> None:
    with subprocess.Popen([gate], stdin=subprocess.DEVNULL) as process:
        wait_until_asleep(process)
        maps = Path(f"/proc/{process.pid}/maps").read_text().splitlines()
        process.kill()
    access = {line.split()[-1]: line.split()[1] for line in maps}
    assert (access["[stack]"], access[str(gate)]) == ("rw-p", "r-xp")
