from __future__ import annotations

import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from dockersched.enginesetup import __main__ as setup
from dockersched.enginesetup import daemon, distro
from dockersched.enginesetup.daemon import DaemonPaths, is_stale_pid_file, remove_stale_files
from dockersched.enginesetup.distro import Host, advice, is_debian_family
from dockersched.errors import EngineRefusedError, EngineUnavailableError
from dockersched.sandbox.docker.connection import DEFAULT_SOURCE, EngineEndpoint
from dockersched.sandbox.docker.dial import EngineVersion

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_mock import MockerFixture

DEBIAN_ROOT = Host("linux", is_root=True, is_debian=True)
GONE = EngineUnavailableError("No Docker engine answers")
VERSION = EngineVersion("20.10.24", "1.41")


def make_process(proc: Path, pid: int, name: str, state: str = "S") -> None:
    folder = proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "stat").write_text(f"{pid} ({name}) {state} 1 1 1", "utf-8")


def paths_in(folder: Path, *flags: str) -> DaemonPaths:
    containerd = folder / "containerd"
    containerd.mkdir()
    return DaemonPaths(folder / "docker.pid", folder / "docker.sock", containerd, folder / "dockerd.log", flags)


def leave_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))


@pytest.fixture
def default_endpoint(tmp_path: Path, mocker: MockerFixture) -> EngineEndpoint:
    endpoint = EngineEndpoint(f"unix://{tmp_path}/docker.sock", None, DEFAULT_SOURCE)
    mocker.patch.object(setup, "resolve_endpoint", return_value=endpoint)
    return endpoint


@pytest.mark.parametrize(
    ("process", "stale"),
    [
        (("dockerd", "S"), False),
        (("dockerd", "Z"), True),
        (("bash", "S"), True),
        (("odd) dockerd", "S"), True),
        (None, True),
    ],
)
def test_a_pid_file_is_stale_unless_its_program_lives(
    process: tuple[str, str] | None, stale: bool, tmp_path: Path
) -> None:
    (tmp_path / "docker.pid").write_text("42\n", "ascii")
    if process is not None:
        make_process(tmp_path / "proc", 42, *process)

    assert is_stale_pid_file(tmp_path / "docker.pid", "dockerd", tmp_path / "proc") is stale


@pytest.mark.parametrize("content", ["", "text", "-1"])
def test_a_pid_file_without_a_number_is_stale(content: str, tmp_path: Path) -> None:
    (tmp_path / "docker.pid").write_text(content, "ascii")

    assert is_stale_pid_file(tmp_path / "docker.pid", "dockerd")


def test_removes_what_a_dead_daemon_left(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    left = [paths.pid_file, paths.socket, paths.containerd / "containerd.pid"]
    left.append(paths.containerd / "containerd.sock.ttrpc")
    for path in left:
        leave_dead_socket(path) if ".sock" in path.name else path.write_text("999999999", "ascii")
    (paths.containerd / "containerd.toml").touch()
    said: list[str] = []

    remove_stale_files(paths, said.append)

    assert [path for path in left if path.exists()] == []
    assert (paths.containerd / "containerd.toml").exists()
    assert len(said) == len(left)


def test_leaves_a_socket_on_which_somebody_listens(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(paths.socket))
        listener.listen()

        remove_stale_files(paths, pytest.fail)

    assert paths.socket.exists()


@pytest.mark.parametrize(
    ("os_release", "expected"),
    [
        ('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\n', True),
        ("ID=ubuntu\nID_LIKE=debian\n", True),
        ('ID=pop\nID_LIKE="ubuntu debian"\n', True),
        ("ID='debian\n", True),
        ('ID=fedora\nNAME="Fedora Linux"\n', False),
        ("", False),
    ],
)
def test_knows_the_debian_family(os_release: str, expected: bool) -> None:
    assert is_debian_family(os_release) is expected


@pytest.mark.parametrize(
    ("host", "words"),
    [
        (Host("darwin", is_root=False, is_debian=False), ["Docker Desktop", "colima"]),
        (Host("linux", is_root=False, is_debian=True), ["sudo make engine", "usermod -aG docker"]),
        (Host("linux", is_root=False, is_debian=False), ["usermod -aG docker"]),
        (Host("linux", is_root=True, is_debian=False), ["package manager", "dockerd"]),
        (DEBIAN_ROOT, ["DOCKERSCHED_ENGINE_SETUP", "docker.io"]),
    ],
)
def test_advice_fits_the_machine_in_two_lines(host: Host, words: list[str]) -> None:
    lines = advice(host).splitlines()

    assert len(lines) == 2
    assert [word for word in words if word not in lines[0]] == []
    assert "DOCKER_HOST" in lines[1]


def test_this_host_reads_the_machine(tmp_path: Path) -> None:
    (tmp_path / "os-release").write_text("ID=debian\n", "utf-8")

    assert distro.this_host(tmp_path / "os-release").is_debian
    (tmp_path / "latin-1").write_bytes(b'NAME="D\xe9bian"\nID=debian\n')
    assert distro.this_host(tmp_path / "latin-1").is_debian
    assert distro.this_host(tmp_path / "missing").is_root == (os.geteuid() == 0)


def test_prints_one_line_when_an_engine_answers(
    default_endpoint: EngineEndpoint, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    mocker.patch.object(setup, "fetch_version", return_value=VERSION)

    assert setup.main([]) == 0
    assert capsys.readouterr().out == f"Docker engine 20.10.24 at {default_endpoint}\n"
    assert setup.main(["--quiet"]) == 0
    assert capsys.readouterr().out == ""


def test_never_installs_for_a_chosen_engine(
    monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    run = mocker.patch("subprocess.run")

    assert setup.main([]) == 3
    assert "DOCKER_HOST named this one" in capsys.readouterr().err
    run.assert_not_called()


@pytest.mark.parametrize("reason", ["switched off", "not root"])
@pytest.mark.usefixtures("default_endpoint")
def test_only_advises_when_it_may_not_install(
    reason: str, monkeypatch: pytest.MonkeyPatch, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    host = DEBIAN_ROOT if reason == "switched off" else Host("linux", is_root=False, is_debian=True)
    mocker.patch.object(distro, "this_host", return_value=host)
    monkeypatch.setenv("DOCKERSCHED_ENGINE_SETUP", "0" if reason == "switched off" else "1")
    run = mocker.patch("subprocess.run")

    assert setup.main([]) == 3
    assert advice(host).splitlines()[0] in capsys.readouterr().err
    run.assert_not_called()


@pytest.mark.usefixtures("default_endpoint")
def test_installs_and_starts_on_debian_as_root(
    mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DOCKERSCHED_ENGINE_SETUP", raising=False)
    mocker.patch.object(distro, "this_host", return_value=DEBIAN_ROOT)
    mocker.patch.object(daemon, "is_running", return_value=False)
    mocker.patch.object(daemon, "find_dockerd", return_value=None)
    install = mocker.patch.object(distro, "install")
    start = mocker.patch.object(daemon, "start", return_value=None)
    mocker.patch.object(daemon, "wait_until_ready", return_value=VERSION)

    assert setup.main([]) == 0
    install.assert_called_once_with("docker.io")
    start.assert_called_once()
    assert "installing the distribution's docker.io" in capsys.readouterr().err


@pytest.mark.usefixtures("default_endpoint")
def test_waits_for_a_daemon_that_is_still_starting(mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKERSCHED_ENGINE_SETUP", raising=False)
    mocker.patch.object(distro, "this_host", return_value=DEBIAN_ROOT)
    mocker.patch.object(daemon, "is_running", return_value=True)
    mocker.patch.object(daemon, "fetch_version", side_effect=[GONE, VERSION])
    popen = mocker.patch("subprocess.Popen")

    assert setup.main([]) == 0
    popen.assert_not_called()


@pytest.mark.parametrize("is_full", [False, True])
def test_who_listens_and_does_not_answer_is_waited_for_and_never_replaced(
    default_endpoint: EngineEndpoint, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, *, is_full: bool
) -> None:
    monkeypatch.delenv("DOCKERSCHED_ENGINE_SETUP", raising=False)
    mocker.patch.object(distro, "this_host", return_value=DEBIAN_ROOT)
    mocker.patch.object(setup, "ANSWER_TIMEOUT_S", 0.1)
    mocker.patch.object(daemon, "is_running", return_value=False)
    mocker.patch.object(daemon, "fetch_version", side_effect=[GONE, VERSION])
    replace = [mocker.patch("subprocess.Popen"), mocker.patch("subprocess.run")]
    assert default_endpoint.socket is not None

    with socket.socket(socket.AF_UNIX) as slow, socket.socket(socket.AF_UNIX) as waits:
        slow.bind(default_endpoint.socket)
        slow.listen(0)
        if is_full:
            waits.connect(default_endpoint.socket)
        assert setup.main([]) == 0

    for command in replace:
        command.assert_not_called()


@pytest.mark.parametrize("cause", [EngineRefusedError(403, "denied"), PermissionError(13, "Permission denied")])
@pytest.mark.usefixtures("default_endpoint")
def test_an_engine_that_lets_nobody_in_is_left_alone(
    cause: Exception, mocker: MockerFixture, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DOCKERSCHED_ENGINE_SETUP", raising=False)
    mocker.patch.object(distro, "this_host", return_value=DEBIAN_ROOT)
    refused = EngineUnavailableError("lets nobody in")
    refused.__cause__ = cause
    mocker.patch.object(setup, "fetch_version", side_effect=refused)
    run = mocker.patch("subprocess.run")

    assert setup.main([]) == 3

    assert capsys.readouterr().err == "dockersched: lets nobody in\n"
    run.assert_not_called()


@pytest.mark.parametrize("missing", ["systemctl", "apt-get", "folder of the log", "pid file that is none"])
@pytest.mark.usefixtures("default_endpoint")
def test_what_a_machine_lacks_is_told_in_a_line(
    missing: str,
    tmp_path: Path,
    mocker: MockerFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("DOCKERSCHED_ENGINE_SETUP", raising=False)
    monkeypatch.setenv("PATH", "")
    mocker.patch.object(distro, "this_host", return_value=DEBIAN_ROOT)
    paths = DaemonPaths(tmp_path / "pid", tmp_path / "sock", tmp_path / "containerd", tmp_path / "none" / "log")
    mocker.patch.object(daemon, "DaemonPaths", return_value=paths)
    mocker.patch.object(daemon, "_SYSTEMD_RUNS", tmp_path if missing == "systemctl" else tmp_path / "none")
    mocker.patch.object(daemon, "find_dockerd", return_value=None if missing == "apt-get" else "/bin/false")
    if missing == "pid file that is none":
        paths.pid_file.mkdir()

    assert setup.main([]) == 3

    assert capsys.readouterr().err.splitlines()[-1].startswith("dockersched: No engine could be set up: [Errno ")


def test_install_shows_the_end_of_a_failure(mocker: MockerFixture) -> None:
    results = [subprocess.CompletedProcess([], code, stdout="E: no such package\n") for code in (100, 100)]
    mocker.patch("subprocess.run", side_effect=results)

    with pytest.raises(EngineUnavailableError, match=r"apt-get install -y docker\.io` failed:\nE: no such"):
        distro.install("docker.io")


def test_starts_over_stale_files_without_systemd(tmp_path: Path, mocker: MockerFixture) -> None:
    paths = paths_in(tmp_path, "--debug")
    leave_dead_socket(paths.socket)
    mocker.patch.object(daemon, "_SYSTEMD_RUNS", tmp_path / "missing")
    mocker.patch.object(daemon, "find_dockerd", return_value="/usr/sbin/dockerd")
    popen = mocker.patch("subprocess.Popen")

    daemon.start(paths, lambda _: None)

    assert popen.call_args.args[0] == ["/usr/sbin/dockerd", "--debug"]
    assert popen.call_args.kwargs["start_new_session"]
    assert not paths.socket.exists()


@pytest.mark.parametrize(("code", "raises"), [(0, False), (5, True)])
def test_starts_by_systemd_where_it_runs(code: int, raises: bool, tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(daemon, "_SYSTEMD_RUNS", tmp_path)
    done = subprocess.CompletedProcess([], code, stdout="", stderr="unit is masked")
    run = mocker.patch("subprocess.run", return_value=done)

    if raises:
        with pytest.raises(EngineUnavailableError, match="unit is masked"):
            daemon.start(paths_in(tmp_path), lambda _: None)
    else:
        assert daemon.start(paths_in(tmp_path), lambda _: None) is None
    assert run.call_args.args[0] == ["systemctl", "start", "docker"]


def test_a_daemon_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    paths = paths_in(tmp_path)
    paths.log.write_text("failed to start daemon: no iptables\n", "utf-8")
    endpoint = EngineEndpoint(f"unix://{paths.socket}", None, "test")

    with subprocess.Popen(["false"]) as process:
        process.wait()
        with pytest.raises(EngineUnavailableError, match=r"ended at once(.|\n)*no iptables"):
            daemon.wait_until_ready(paths, endpoint, process)


def test_waiting_for_a_daemon_is_bounded(tmp_path: Path) -> None:
    endpoint = EngineEndpoint(f"unix://{tmp_path}/none.sock", None, "test")

    with pytest.raises(EngineUnavailableError, match=r"did not answer within 0 s(.|\n)*no log"):
        daemon.wait_until_ready(paths_in(tmp_path), endpoint, None, timeout_s=0)
