import errno
import os
import subprocess
import sys
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from dockersched.data.extract import extract_archive
from dockersched.data.pack import pack_workspace
from dockersched.data.store import ContentStore, TreeDigest
from dockersched.errors import StateError

FILES = {"a.txt": b"hello", "d/b.txt": b"hello", "d/run.sh": b"#!/bin/sh\n", "d/e/big": os.urandom(2_500_000)}


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "store")


def grow(root: Path) -> Path:
    for name, content in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    (root / "empty").mkdir()
    (root / "d" / "run.sh").chmod(0o755)
    return root


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def objects(root: Path) -> list[Path]:
    return [path for path in (root / "store" / "objects").rglob("*") if path.is_file()]


def damage(tmp_path: Path, content: bytes) -> None:
    (victim,) = (path for path in objects(tmp_path) if path.read_bytes() == content)
    victim.chmod(0o600)
    victim.write_bytes(bytes([content[0] ^ 1]) + content[1:])


def test_a_file_is_stored_once_and_shared(store: ContentStore, tmp_path: Path) -> None:
    one, two = grow(tmp_path / "one"), grow(tmp_path / "two")
    digest = store.add_tree(one)
    os.utime(two / "a.txt", (1, 1))
    assert store.add_tree(two) == digest
    assert len(objects(tmp_path)) == len({*FILES.values()}) + 1
    assert {(one / "a.txt").stat().st_ino} == {(two / name).stat().st_ino for name in ("a.txt", "d/b.txt")}
    assert (one / "a.txt").stat().st_mode & 0o777 == 0o444
    assert (one / "d" / "run.sh").stat().st_mode & 0o777 == 0o555
    assert files(one) == files(two) == FILES
    store.verify(digest)


def test_a_tree_lists_what_is_in_it(store: ContentStore, tmp_path: Path) -> None:
    tree = store.tree(store.add_tree(grow(tmp_path / "one")))
    assert [node.path for node in tree.nodes] == ["a.txt", "d", "d/b.txt", "d/e", "d/e/big", "d/run.sh", "empty"]
    assert tree.size_bytes == sum(map(len, FILES.values()))
    assert [node.path for node in tree.nodes if node.executable] == ["d/run.sh"]


def test_who_may_execute_is_part_of_a_tree(store: ContentStore, tmp_path: Path) -> None:
    for name, mode in (("plain", 0o600), ("program", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_bytes(b"same")
        (tmp_path / name / "f").chmod(mode)
    plain, program = store.add_tree(tmp_path / "plain"), store.add_tree(tmp_path / "program")
    assert plain != program
    assert (tmp_path / "plain" / "f").stat().st_mode & 0o777 == 0o444
    assert (tmp_path / "program" / "f").stat().st_mode & 0o777 == 0o555


@pytest.mark.parametrize("link", [True, False])
def test_materialises_a_tree(store: ContentStore, tmp_path: Path, link: bool) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    store.materialise(digest, tmp_path / "copy", link=link)
    assert files(tmp_path / "copy") == FILES
    assert (tmp_path / "copy" / "empty").is_dir()
    assert (tmp_path / "copy" / "a.txt").samefile(tmp_path / "one" / "a.txt") == link
    assert (tmp_path / "copy" / "d" / "run.sh").stat().st_mode & 0o777 == (0o555 if link else 0o755)


def test_who_takes_a_tree_over_has_it_while_others_prune(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    for path in objects(tmp_path):
        os.utime(path, (1, 1))
    store.materialise(digest, tmp_path / "mine")
    assert store.prune(set()) == 0
    store.verify(digest)


def test_where_links_are_not_possible_files_are_copied(
    store: ContentStore, tmp_path: Path, mocker: MockerFixture
) -> None:
    mocker.patch("dockersched.data.store.os.link", side_effect=OSError(errno.EXDEV, "Invalid cross-device link"))
    digest = store.add_tree(grow(tmp_path / "one"))
    store.materialise(digest, tmp_path / "copy")
    assert files(tmp_path / "copy") == files(tmp_path / "one") == FILES
    assert {path.stat().st_nlink for path in objects(tmp_path)} == {1}


def test_streams_a_tree_below_a_prefix(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    stream = b"".join(store.open_tar(digest, prefix="in/report", uid=65534, gid=1000))
    with tarfile.open(fileobj=BytesIO(stream)) as opened:
        members = opened.getmembers()
    assert [member.name for member in members[:3]] == ["in", "in/report", "in/report/a.txt"]
    assert {(member.uid, member.gid) for member in members} == {(65534, 1000)}
    assert {member.name: oct(member.mode) for member in members}["in/report/d/run.sh"] == "0o755"
    extract_archive([stream], tmp_path / "again")
    assert store.add_tree(tmp_path / "again" / "in" / "report") == digest


def test_a_stream_comes_in_pieces(store: ContentStore, tmp_path: Path) -> None:
    pieces = list(store.open_tar(store.add_tree(grow(tmp_path / "one"))))
    assert max(map(len, pieces)) < 2_000_000
    extract_archive(pieces, tmp_path / "again")
    assert files(tmp_path / "again") == FILES


def test_damage_is_named_and_never_streamed_whole(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    damage(tmp_path, FILES["d/e/big"])
    given: list[bytes] = []
    with pytest.raises(StateError, match="d/e/big is damaged"):
        given.extend(store.open_tar(digest))
    assert not b"".join(given).endswith(bytes(1024))
    with pytest.raises(StateError, match="d/e/big is damaged"):
        store.verify(digest)
    with pytest.raises(StateError, match="d/e/big is damaged"):
        store.materialise(digest, tmp_path / "copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "store"]


def test_a_file_that_is_longer_or_gone_is_named(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    (victim,) = (path for path in objects(tmp_path) if path.read_bytes() == b"hello")
    victim.chmod(0o600)
    victim.write_bytes(b"hello and more")
    with pytest.raises(StateError, match=r"a\.txt is damaged"):
        store.verify(digest)
    victim.unlink()
    with pytest.raises(StateError, match=r"a\.txt cannot be read"):
        store.verify(digest)


def test_a_tree_that_is_gone_or_damaged_is_named(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    with pytest.raises(StateError, match="tree abc is not in the store"):
        store.tree(TreeDigest("abc"))
    (manifest,) = (path for path in objects(tmp_path) if path.parent.name + path.name == digest)
    manifest.chmod(0o600)
    manifest.write_bytes(manifest.read_bytes()[:-5])
    with pytest.raises(StateError, match="its manifest does not have this digest"):
        store.tree(digest)


def test_adding_again_mends_an_object_that_is_too_short(store: ContentStore, tmp_path: Path) -> None:
    store.add_tree(grow(tmp_path / "one"))
    (victim,) = (path for path in objects(tmp_path) if path.read_bytes() == FILES["d/e/big"])
    victim.chmod(0o600)
    victim.write_bytes(b"")
    store.verify(store.add_tree(grow(tmp_path / "two")))


def test_adding_again_mends_damage_that_kept_the_size(store: ContentStore, tmp_path: Path) -> None:
    digest = store.add_tree(grow(tmp_path / "one"))
    manifest = (tmp_path / "store" / "objects" / digest[:2] / digest[2:]).read_bytes()
    for content in (FILES["d/e/big"], FILES["d/run.sh"], manifest):
        damage(tmp_path, content)
    assert store.add_tree(grow(tmp_path / "two")) == digest
    assert files(tmp_path / "two") == FILES
    store.verify(digest)


def test_packing_again_mends_damage_that_kept_the_size(tmp_path: Path) -> None:
    packed = pack_workspace(grow(tmp_path / "one"), store=tmp_path / "store")
    content = packed.path.read_bytes()
    packed.path.chmod(0o600)
    packed.path.write_bytes(bytes(1) + content[1:])
    assert pack_workspace(tmp_path / "one", store=tmp_path / "store").path.read_bytes() == content


def test_only_files_and_directories_are_stored(store: ContentStore, tmp_path: Path) -> None:
    (grow(tmp_path / "one") / "link").symlink_to("a.txt")
    with pytest.raises(StateError, match="link is neither a file nor a directory"):
        store.add_tree(tmp_path / "one")


def test_prune_keeps_what_is_wanted(store: ContentStore, tmp_path: Path) -> None:
    kept = store.add_tree(grow(tmp_path / "one"))
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "a").write_bytes(b"hello")
    (tmp_path / "two" / "other").write_bytes(b"x" * 1000)
    gone = store.add_tree(tmp_path / "two")
    (tmp_path / "two" / "other").unlink()
    packed = pack_workspace(tmp_path / "one", store=tmp_path / "store")
    unwanted = pack_workspace(tmp_path / "one", include=["a.txt"], store=tmp_path / "store")
    (tmp_path / "store" / "packs" / ".tmp-left").write_bytes(b"x")
    assert store.prune({kept, packed.digest}) == 0  # all of it is recent
    freed = store.prune({kept, packed.digest, "0" * 64}, grace_s=-1)
    assert freed > 1000 + unwanted.size_bytes
    assert sorted(path.name for path in (tmp_path / "store" / "packs").iterdir()) == [packed.path.name]
    store.verify(kept)
    with pytest.raises(StateError, match="is not in the store"):
        store.tree(gone)
    store.prune(set(), grace_s=-1)
    assert objects(tmp_path) == []
    assert files(tmp_path / "one") == FILES


def test_what_was_added_again_is_recent(store: ContentStore, tmp_path: Path) -> None:
    store.add_tree(grow(tmp_path / "one"))
    for path in objects(tmp_path):
        os.utime(path, (1, 1))
    digest = store.add_tree(grow(tmp_path / "two"))
    store.prune(set())
    store.verify(digest)


def test_pruning_a_store_that_never_was(store: ContentStore, tmp_path: Path) -> None:
    assert store.prune(set()) == 0
    assert list(tmp_path.iterdir()) == []


def test_many_processes_may_add_and_prune(store: ContentStore, tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from dockersched.data.store import ContentStore\n"
        "top, mine = Path(sys.argv[1]), Path(sys.argv[1], sys.argv[2])\n"
        "store = ContentStore(top / 'store')\n"
        "for turn in range(15):\n"
        "    mine.mkdir(exist_ok=True)\n"
        "    for name in range(8): (mine / f'{turn}-{name}').write_bytes(b'%d' % (name % 5))\n"
        "    digest = store.add_tree(mine)\n"
        "    store.prune({'0'})\n"
        "    store.verify(digest)\n"
        "print(digest)"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), f"w{number}"], stdout=subprocess.PIPE)
        for number in range(3)
    ]
    printed = {worker.communicate(timeout=60)[0] for worker in workers}
    assert [worker.returncode for worker in workers] == [0, 0, 0]
    (digest,) = printed
    store.verify(TreeDigest(digest.decode().strip()))


def test_a_disk_that_cannot_be_written_is_named(store: ContentStore, tmp_path: Path, mocker: MockerFixture) -> None:
    grow(tmp_path / "one")
    mocker.patch("dockersched.data.files.os.write", side_effect=OSError(errno.ENOSPC, "No space left on device"))
    with pytest.raises(StateError, match="one cannot be stored: No space left on device"):
        store.add_tree(tmp_path / "one")
