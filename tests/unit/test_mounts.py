"""Which files of the host a sandbox may see."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

import dockersched
from dockersched import Mount
from dockersched.errors import MountRefusedError
from dockersched.sandbox.docker.mounts import NEVER, MountGate

pytestmark = pytest.mark.usefixtures("tree")


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is allowed, one beside it that is not, and what an attacker may have planted."""
    for folder in ("allowed/data/inner", "allowed-not/data", "allowed/state/runs", "engine/data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "allowed" / "file").write_text("x")
    links: dict[str, str | Path] = {
        "etc": "/etc",
        "root": "/",
        "out": tmp_path / "allowed-not",
        "up": "..",
        "chain": "etc",
        "socket-link": "/var/run/docker.sock",
        "proc-root": "/proc/self/root",
        "proc-cwd": "/proc/self/cwd/../../../../..",
        "good": "data/inner",
        "loop": "loop",
        "dangling": "nowhere",
        "engine": tmp_path / "engine",
    }
    for name, target in links.items():
        (tmp_path / "allowed" / name).symlink_to(target)
    os.mkfifo(tmp_path / "allowed" / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(tmp_path / "allowed")
        listening.bind("any.sock")
    return tmp_path


@pytest.fixture
def gate(tree: Path) -> MountGate:
    never = [str(tree / "engine" / "docker.sock"), str(tree / "engine" / "data")]
    return MountGate([tree / "allowed"], never, [str(tree / "allowed" / "state")])


@pytest.mark.parametrize(
    ("source", "really"),
    [(".", "."), ("data", "data"), ("file", "file"), ("good", "data/inner"), ("data/../data", "data")],
)
def test_what_lies_in_an_allowed_folder_is_given_as_it_really_is(gate: MountGate, source: str, really: str) -> None:
    admitted = gate.admit(Mount(source, "/mnt"))
    assert admitted == Mount(os.path.realpath(really), "/mnt", read_only=True)


@pytest.mark.parametrize(
    "source",
    [
        "/", "/.", "//", "/etc", "/etc/passwd", "/proc", "/proc/1/root", "/sys", "/sys/fs/cgroup", "/dev", "/dev/null",
        "/run", "/var/run", "/var/run/docker.sock", "/run/docker.sock", "/var", "/boot", "/var/lib", "/tmp", "/usr",
        "..", "../allowed-not", "../allowed-not/data", "data/../../allowed-not", "etc", "etc/ssh", "root", "root/etc",
        "root/usr", "out", "out/data", "up", "chain", "socket-link", "proc-root", "proc-root/etc", "proc-cwd", "loop",
        "dangling", "engine", "engine/data", "../engine", "fifo", "any.sock", "state", "state/runs", "absent", "a\0b",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read_only", [True, False])
def test_everything_else_is_refused(gate: MountGate, source: str, read_only: bool) -> None:
    mount = Mount("x", "/mnt", read_only=read_only)
    object.__setattr__(mount, "source", source)
    with pytest.raises(MountRefusedError):
        gate.admit(mount)


@pytest.mark.parametrize("path", ["/", *NEVER])
def test_what_is_never_given_is_refused_even_if_it_is_allowed(path: str) -> None:
    with pytest.raises(MountRefusedError, match=r"no sandbox ever gets that|cannot be used"):
        MountGate(["/"]).admit(Mount(path, "/mnt"))


def test_links_are_followed_before_the_check_even_if_everything_is_allowed(tree: Path) -> None:
    gate = MountGate(["/"])
    for planted in ("etc", "root", "chain", "proc-root", "proc-cwd", "etc/ssh/..", "out/../allowed/etc"):
        with pytest.raises(MountRefusedError, match=r"really .*no sandbox ever gets that"):
            gate.admit(Mount(str(tree / "allowed" / planted), "/mnt"))


def test_without_a_folder_that_is_allowed_nothing_is() -> None:
    with pytest.raises(MountRefusedError, match="start the run with --allow-mount"):
        MountGate().admit(Mount("data", "/mnt"))


def test_what_holds_the_state_can_only_be_read(gate: MountGate) -> None:
    assert gate.admit(Mount(".", "/mnt")).read_only
    with pytest.raises(MountRefusedError, match="keeps its state"):
        gate.admit(Mount(".", "/mnt", read_only=False))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Mount("data", "/a", read_only=False), Mount("data/inner", "/b")),
        (Mount("data/inner", "/a"), Mount("data", "/b", read_only=False)),
        (Mount("data", "/a", read_only=False), Mount("good", "/b", read_only=False)),
    ],
)
def test_no_source_lies_where_a_sandbox_could_put_a_link(gate: MountGate, first: Mount, second: Mount) -> None:
    gate.admit(first)
    with pytest.raises(MountRefusedError, match="could put a link in its place"):
        gate.admit(second)


def test_the_same_source_can_be_given_again_and_nested_ones_can_be_read(gate: MountGate) -> None:
    for mount in (Mount("file", "/a", read_only=False), Mount("file", "/b"), Mount("data", "/c"), Mount("good", "/d")):
        gate.admit(mount)


@pytest.mark.parametrize("root", ["file", "absent", "loop"])
def test_what_is_allowed_must_be_a_folder(root: str) -> None:
    with pytest.raises(MountRefusedError, match=f"--allow-mount {root}: is no folder"):
        MountGate([root])


def test_no_name_is_not_the_current_folder() -> None:
    with pytest.raises(MountRefusedError, match="--allow-mount '': is no folder"):
        MountGate([""])


@pytest.mark.parametrize("folders", ["/d", b"/d", Path("/d"), [b"/d"]])
def test_one_folder_is_no_list_of_folders(folders: Any) -> None:
    for make in (MountGate, lambda roots: dockersched.connect(allow_mounts=roots)):
        with pytest.raises(TypeError, match="allow_mounts is a list of folders"):
            make(folders)


def test_an_allowed_folder_may_be_named_by_a_link(tree: Path) -> None:
    gate = MountGate([tree / "allowed" / "good"])
    assert gate.admit(Mount(str(tree / "allowed/data/inner"), "/mnt")).source == str(tree / "allowed/data/inner")
