import os
import socket
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from dockersched.data.pack import Packed, pack_workspace, stream_pack
from dockersched.errors import StateError, WorkspaceError


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "src").mkdir(parents=True)
    (source / "src" / "main.py").write_bytes(b"print(1)\n")
    (source / "empty").mkdir()
    (source / "run.sh").write_bytes(b"#!/bin/sh\n")
    (source / "run.sh").chmod(0o4770)
    (source / "link").symlink_to("src/main.py")
    return source


def pack(source: Path) -> Packed:
    return pack_workspace(source, store=source.parent / "store")


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        return {member.name: member for member in opened}


def test_packs_what_is_there(source: Path) -> None:
    packed = pack(source)
    found = members(packed.path.read_bytes())
    assert list(found) == ["empty", "link", "run.sh", "src", "src/main.py"]
    assert {name: member.mode for name, member in found.items()} == {
        "empty": 0o755,
        "link": 0o777,
        "run.sh": 0o755,
        "src": 0o755,
        "src/main.py": 0o644,
    }
    assert found["link"].linkname == "src/main.py"
    assert (packed.entries, packed.size_bytes) == (5, packed.path.stat().st_size)


def test_the_same_content_is_the_same_file(source: Path, tmp_path: Path) -> None:
    first = pack(source)
    inode = first.path.stat().st_ino
    os.utime(source / "run.sh", (1, 1))
    assert pack(source) == first
    assert first.path.stat().st_ino == inode
    assert [path.name for path in (tmp_path / "store" / "packs").iterdir()] == [f"{first.digest}.tar"]
    (source / "run.sh").chmod(0o644)
    assert pack(source).digest != first.digest


def test_a_stream_gives_everything_to_the_user(source: Path) -> None:
    long = source / ("d" * 120) / ("ü" * 80)
    long.parent.mkdir()
    long.write_bytes(os.urandom(3_000_000))
    archive = b"".join(stream_pack(pack(source).path, uid=1234, gid=3_000_000))
    found = members(archive)
    assert {(member.uid, member.gid) for member in found.values()} == {(1234, 3_000_000)}
    with tarfile.open(fileobj=BytesIO(archive)) as opened:
        file = opened.extractfile(str(long.relative_to(source)))
        assert file is not None
        assert file.read() == long.read_bytes()


def test_a_stream_of_the_packed_owner_is_the_file(source: Path) -> None:
    packed = pack(source)
    assert b"".join(stream_pack(packed.path, uid=0, gid=0)) == packed.path.read_bytes()


def test_headers_anywhere_in_a_piece_are_found(source: Path) -> None:
    for number in range(700):
        (source / f"f{number}").write_bytes(b"x" * (number * 13))
    archive = b"".join(stream_pack(pack(source).path, uid=7, gid=8))
    found = members(archive)
    assert len(found) == 705
    assert {(member.uid, member.gid) for member in found.values()} == {(7, 8)}


def test_a_damaged_pack_is_never_given_whole(source: Path) -> None:
    (source / "big").write_bytes(bytes(3_000_000))
    packed = pack(source)
    packed.path.chmod(0o600)
    with packed.path.open("r+b") as file:
        file.seek(2_000_000)
        file.write(b"x")
    given: list[bytes] = []
    with pytest.raises(StateError, match="is damaged"):
        given.extend(stream_pack(packed.path, uid=1, gid=1))
    assert sum(map(len, given)) < packed.size_bytes
    packed.path.unlink()
    with pytest.raises(StateError, match="cannot be read"):
        next(stream_pack(packed.path, uid=1, gid=1))


@pytest.mark.parametrize(
    ("damage", "at"),
    [(b"no number", 124), (b"\xff", 124), (b"\x80" + b"\xff" * 11, 124), (b"77777777777\0", 124), (b"x" * 600, 700)],
)
def test_a_pack_with_damaged_headers_is_called_damaged(source: Path, damage: bytes, at: int) -> None:
    packed = pack(source)
    packed.path.chmod(0o600)
    with packed.path.open("r+b") as file:
        file.seek(at)
        file.write(damage)
    with pytest.raises(StateError, match=r"is damaged: .* delete it"):
        list(stream_pack(packed.path, uid=1, gid=1))


@pytest.mark.parametrize("end", range(1, 1200, 97))
def test_a_pack_that_was_cut_is_called_damaged(source: Path, end: int) -> None:
    packed = pack(source)
    packed.path.chmod(0o600)
    os.truncate(packed.path, end)
    with pytest.raises(StateError, match="is damaged"):
        list(stream_pack(packed.path, uid=1, gid=1))


def test_what_is_too_large_is_refused_before_it_is_written(source: Path, mocker: MockerFixture) -> None:
    with (source / "big").open("wb") as file:
        file.truncate(2**30)
    mocker.patch("dockersched.data.pack.replace_durably", side_effect=AssertionError("something is written"))
    with pytest.raises(WorkspaceError, match=r"holds 1 GiB, more than the 64 KiB of the workspace: exclude"):
        pack_workspace(source, store=source.parent / "store", max_bytes=2**16)


def test_of_what_is_too_large_by_its_names_nothing_stays(source: Path) -> None:
    for number in range(100):
        (source / (f"{number:03}" + "n" * 200)).touch()
    allowed = 105 * 512
    assert pack(source).size_bytes > allowed
    (pack(source).path).unlink()
    with pytest.raises(WorkspaceError, match=r"more than the 52\.5 KiB of the workspace"):
        pack_workspace(source, store=source.parent / "store", max_bytes=allowed)
    assert list((source.parent / "store" / "packs").iterdir()) == []


@pytest.mark.parametrize("target", ["/etc/passwd", "../x", "src/../../source/run.sh", "here/../x"])
def test_links_that_lead_out_are_refused(source: Path, target: str) -> None:
    (source / "here").symlink_to(".")
    (source / "bad").symlink_to(target)
    with pytest.raises(WorkspaceError, match=r"bad is a link to .*, out of the directory: exclude it"):
        pack(source)


def test_a_link_to_nothing_stays(source: Path) -> None:
    (source / "dangling").symlink_to("not/there")
    assert members(pack(source).path.read_bytes())["dangling"].linkname == "not/there"


def test_what_has_no_content_is_left_out_by_name(source: Path) -> None:
    os.mkfifo(source / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(source / "socket"))
    assert pack(source).skipped == ("pipe is a named pipe: left out", "socket is a socket: left out")


def test_a_file_that_changes_meanwhile_is_refused(source: Path, mocker: MockerFixture) -> None:
    victim = source / "src" / "main.py"
    real = os.open

    def grow(path: Path, *arguments: int) -> int:
        if path == victim:
            victim.write_bytes(b"something longer than it was\n")
        return real(path, *arguments)

    mocker.patch("dockersched.data.pack.os.open", grow)
    with pytest.raises(WorkspaceError, match=r"src/main\.py changed while it was packed"):
        pack(source)
    assert list((source.parent / "store" / "packs").iterdir()) == []


def test_a_file_that_cannot_be_opened_is_named(source: Path, mocker: MockerFixture) -> None:
    real = os.open

    def refuse(path: Path, *arguments: int) -> int:
        if path.name == "run.sh":
            raise PermissionError(13, "denied")
        return real(path, *arguments)

    mocker.patch("dockersched.data.pack.os.open", refuse)
    with pytest.raises(WorkspaceError, match=r"run\.sh cannot be read \(denied\)"):
        pack(source)


def test_all_that_is_wrong_is_said_at_once(source: Path) -> None:
    for number in range(30):
        (source / f"bad{number:02}").symlink_to("/etc")
    with pytest.raises(WorkspaceError) as raised:
        pack(source)
    assert len(raised.value.problems) == 21
    assert raised.value.problems[-1] == "and 10 more"


def test_an_unreadable_directory_is_named(source: Path, mocker: MockerFixture) -> None:
    real = os.scandir

    def scan(path: Path) -> object:
        if path.name == "src":
            raise PermissionError(13, "Permission denied")
        return real(path)

    mocker.patch("dockersched.data.walk.os.scandir", scan)
    with pytest.raises(WorkspaceError, match=r"src cannot be read \(Permission denied\): exclude it"):
        pack(source)


def test_the_store_is_never_packed_into_itself(source: Path) -> None:
    first = pack_workspace(source, gitignore=False, store=source / "cache")
    assert pack_workspace(source, gitignore=False, store=source / "cache").digest == first.digest


def test_a_full_disk_is_no_fault_of_the_source(source: Path, mocker: MockerFixture) -> None:
    mocker.patch("dockersched.data.files.os.write", side_effect=OSError(28, "No space left on device"))
    (source / "src" / "big").write_bytes(bytes(2**21))
    with pytest.raises(StateError, match="the state directory cannot be written: No space left on device"):
        pack_workspace(source, store=source.parent / "store")


def test_a_state_directory_of_any_name_is_never_packed(source: Path) -> None:
    plain = pack(source)
    (source / "state" / "runs").mkdir(parents=True)
    (source / "state" / "state.db").write_text("it changes while runs do")
    assert pack_workspace(source, gitignore=False, store=source / "state" / "store").digest == plain.digest


def test_a_source_must_be_a_directory(source: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"run\.sh: is not a directory"):
        pack(source / "run.sh")
    with pytest.raises(WorkspaceError, match=r"xxx: is not a directory"):
        pack(source / ("x" * 300))
