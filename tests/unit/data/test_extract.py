import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_mock import MockerFixture

from dockersched.data.extract import Extracted, ExtractLimits, extract_archive
from dockersched.data.tarformat import END, header, padding
from dockersched.errors import ArchiveCutError, ArchiveRefusedError, StateError
from tests.support.archives import HOSTILE, Entry, archive, rewritten


def files(root: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))
    }


GOOD = archive(
    Entry("out", tarfile.DIRTYPE),
    Entry("out/a.txt", content=b"hello"),
    Entry("out/deep", tarfile.DIRTYPE, mode=0o500),
    Entry("out/deep/" + "n" * 200, content=b"x" * 3000),
    Entry("out/ünï.bin", content=b"y" * 512),
    Entry("out/empty"),
)
GOOD_FILES = {"a.txt": b"hello", "deep": None, "deep/" + "n" * 200: b"x" * 3000, "ünï.bin": b"y" * 512, "empty": b""}


_SEEDS = [GOOD, *(make() for make, _ in HOSTILE.values())]


@pytest.mark.parametrize("piece", [1, 7, 512, 1 << 20])
def test_extracts_files_and_directories(tmp_path: Path, piece: int) -> None:
    chunks = [GOOD[start : start + piece] for start in range(0, len(GOOD), piece)]
    extracted = extract_archive(chunks, tmp_path / "target", root="out")
    assert files(tmp_path / "target") == GOOD_FILES
    assert extracted == Extracted(entries=5, size_bytes=3517)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_reads_every_form_that_engines_write(tmp_path: Path, form: int) -> None:
    name = "/".join(["d" * 60] * 3)
    extract_archive([archive(Entry(name, content=b"x"), form=form)], tmp_path / "target")
    assert (tmp_path / "target" / name).read_bytes() == b"x"


def test_a_file_that_was_asked_for_is_in_the_target(tmp_path: Path) -> None:
    extract_archive([archive(Entry("report.xml", content=b"<r/>"))], tmp_path / "target", root="report.xml")
    assert files(tmp_path / "target") == {"report.xml": b"<r/>"}


def test_directories_are_made_where_they_are_not_declared(tmp_path: Path) -> None:
    whole = archive(Entry("a/b/f", content=b"1"), Entry("a", tarfile.DIRTYPE), Entry("a/c"))
    extract_archive([whole], tmp_path / "target")
    assert files(tmp_path / "target") == {"a": None, "a/b": None, "a/b/f": b"1", "a/c": b""}


def test_of_the_mode_only_harmless_permissions_stay(tmp_path: Path) -> None:
    whole = archive(Entry("d", tarfile.DIRTYPE, mode=0o7000), Entry("d/f", mode=0o6777), Entry("d/g", mode=0))
    old = os.umask(0o022)
    try:
        extract_archive([whole], tmp_path / "target")
    finally:
        os.umask(old)
    modes = {name: (tmp_path / "target" / name).stat().st_mode & 0o7777 for name in ("d", "d/f", "d/g")}
    assert modes == {"d": 0o700, "d/f": 0o755, "d/g": 0o600}


def test_what_was_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("of an earlier try")
    extract_archive([GOOD], tmp_path / "target", root="out")
    assert files(tmp_path / "target") == GOOD_FILES


def test_a_link_in_place_of_the_target_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").symlink_to("elsewhere")
    extract_archive([GOOD], tmp_path / "target", root="out")
    assert not (tmp_path / "target").is_symlink()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_there_are_enough_hostile_archives() -> None:
    assert len(HOSTILE) >= 25


@pytest.mark.parametrize(("make", "why"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_archives_are_refused_and_leave_nothing(tmp_path: Path, make: Callable[[], bytes], why: str) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    with pytest.raises(ArchiveRefusedError) as raised:
        extract_archive([make()], parent / "target", limits=ExtractLimits(1 << 20, 50, 8))
    assert why in str(raised.value)
    assert str(raised.value).isprintable()
    assert list(parent.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir()] == ["parent"]


def test_what_was_there_survives_a_refusal(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "old").write_text("kept")
    with pytest.raises(ArchiveRefusedError):
        extract_archive([archive(Entry("../x"))], tmp_path / "target")
    assert files(tmp_path / "target") == {"old": b"kept"}


@pytest.mark.parametrize(
    ("whole", "why"),
    [
        (archive(Entry("other/x")), "other/x: is not below out, which was asked for"),
        (archive(Entry("out", tarfile.SYMTYPE, link="/etc")), "out: is a symbolic link"),
        (archive(Entry("outer/x")), "is not below out"),
        (archive(Entry("out/x"), Entry("x")), "x: is not below out"),
        (END, "the archive: does not hold out"),
    ],
)
def test_only_what_was_asked_for_comes(tmp_path: Path, whole: bytes, why: str) -> None:
    with pytest.raises(ArchiveRefusedError, match=why):
        extract_archive([whole], tmp_path / "target", root="out")


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path) -> None:
    def stream() -> Iterator[bytes]:
        yield header(b"big", b"0", mode=0o644, size=1 << 40)
        raise AssertionError("nothing more is read")

    with pytest.raises(ArchiveRefusedError, match=r"big: makes the archive larger than the 1 GiB allowed"):
        extract_archive(stream(), tmp_path / "target")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_names_do_not_count_as_content(tmp_path: Path, form: int) -> None:
    whole = archive(Entry("d" * 150 + "/" + "f" * 150, content=b"x"), form=form)
    assert extract_archive([whole], tmp_path / "target", limits=ExtractLimits(max_bytes=1)).size_bytes == 1


def test_long_names_and_records_do_not_come_without_end(tmp_path: Path) -> None:
    def stream() -> Iterator[bytes]:
        for number in range(2000):
            name = b"%d/" % number + b"x" * 60_000
            records = b"%d comment=%b\n" % (len(name) + 15, name)
            yield header(b"records", b"x", mode=0o644, size=len(records)) + records + bytes(padding(len(records)))
            yield header(b"%d" % number, b"0", mode=0o644)

    with pytest.raises(ArchiveRefusedError, match=r"all long names and records together larger than the 64 MiB"):
        extract_archive(stream(), tmp_path / "target")


def test_directories_that_are_not_declared_count_too(tmp_path: Path) -> None:
    whole = archive(*(Entry(f"{number}/a/b/c/d/e/f") for number in range(20)))
    with pytest.raises(ArchiveRefusedError, match="max_entries"):
        extract_archive([whole], tmp_path / "target", limits=ExtractLimits(max_entries=100))


def test_names_count_with_the_directories_above_them(tmp_path: Path) -> None:
    whole = archive(Entry("dir/fil"), Entry("dir", tarfile.DIRTYPE), Entry("dir/ü"))
    extract_archive([whole], tmp_path / "target", limits=ExtractLimits(max_name_bytes=16))
    with pytest.raises(ArchiveRefusedError, match=r"dir/ü: makes all names together longer than the 15 B allowed"):
        extract_archive([whole], tmp_path / "target", limits=ExtractLimits(max_name_bytes=15))


MEASURES = """
import sys, tracemalloc
from pathlib import Path
from dockersched.data.extract import extract_archive
from dockersched.data.store import ContentStore
from dockersched.data.tarformat import END, header

folder = Path(sys.argv[1])
deep = "/".join(f"d{step:02}" for step in range(60))
entries = [header(f"{deep}/{number}".encode(), b"0", mode=0o644) for number in range(1500)]
tracemalloc.start()
extract_archive([*entries, END], folder / "target")
print(tracemalloc.get_traced_memory()[1])
tracemalloc.reset_peak()
ContentStore(folder / "store").add_tree(folder / "target")
print(tracemalloc.get_traced_memory()[1])
"""


def test_deep_names_take_little_memory(tmp_path: Path) -> None:
    # In a process of its own: the table of all names, which grows with what other tests did, counts too.
    told = subprocess.run([sys.executable, "-c", MEASURES, tmp_path], capture_output=True, text=True, check=True).stdout
    extracting, adding = map(int, told.split())
    assert extracting < 1500 * 500  # a tuple of its steps would take ten times as much
    assert adding < 1500 * 4000  # and the same again to sort by it


def test_cut_anywhere_it_is_cut_or_whole(tmp_path: Path) -> None:
    end = len(GOOD.rstrip(b"\0"))
    whole_from = end + -end % 512 + 1024  # the two blocks of zeros that end it
    # Seven divides no length of a block or a header's field, so that every place in them comes up.
    for offset in sorted({*range(0, len(GOOD) + 1, 7), whole_from - 1, whole_from, len(GOOD)}):
        target = tmp_path / "target"
        if offset < whole_from:
            with pytest.raises(ArchiveCutError):
                extract_archive([GOOD[:offset]], target, root="out")
            assert list(tmp_path.iterdir()) == []
        elif offset % 997 < 7 or offset in {whole_from, len(GOOD)}:
            extract_archive([GOOD[:offset]], target, root="out")
            assert files(target) == GOOD_FILES
            shutil.rmtree(target)


@settings(deadline=None, max_examples=150)
@given(
    st.sampled_from(_SEEDS),
    st.lists(st.tuples(st.integers(0, 1 << 14), st.binary(min_size=1, max_size=12)), max_size=4),
)
def test_no_mutation_gets_out_or_surprises(seed: bytes, changes: list[tuple[int, bytes]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        with suppress(ArchiveCutError, ArchiveRefusedError):
            extract_archive([_mutated(seed, changes)], top / "target", limits=ExtractLimits(1 << 16, 50, 8))
        assert {path.name for path in top.iterdir()} <= {"target"}
        found = list((top / "target").rglob("*"))
        assert all(not path.is_symlink() and (path.is_dir() or path.is_file()) for path in found)
        assert len(found) <= 50
        assert sum(path.stat().st_size for path in found if path.is_file()) <= 1 << 16


def _mutated(seed: bytes, changes: list[tuple[int, bytes]]) -> bytes:
    """With other bytes at some places, and the checksums of all headers right again, so that it is not that simple."""
    changed = bytearray(seed)
    for offset, data in changes:
        start = offset % len(changed)
        changed[start : start + len(data)] = data
    for start in range(0, len(changed) - 511, 512):
        if changed[start + 257 : start + 262] == b"ustar":
            changed[start : start + 512] = rewritten(bytes(changed[start : start + 512]), 0, b"")
    return bytes(changed)


def test_an_error_of_the_stream_goes_through_and_leaves_nothing(tmp_path: Path) -> None:
    def stream() -> Iterable[bytes]:
        yield GOOD[:1500]
        raise OSError("the connection broke")

    with pytest.raises(OSError, match="the connection broke"):
        extract_archive(stream(), tmp_path / "target", root="out")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_ours(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("dockersched.data.extract.os.write", side_effect=OSError(28, "No space left on device"))
    with pytest.raises(StateError, match="cannot be written: No space left on device"):
        extract_archive([GOOD], tmp_path / "target", root="out")
    assert list(tmp_path.iterdir()) == []


def test_a_large_file_has_its_size_in_a_record_or_in_base_256(tmp_path: Path) -> None:
    limits = ExtractLimits(max_bytes=1 << 50)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        info = tarfile.TarInfo("big")
        info.size = 1 << 40
        with pytest.raises(ArchiveCutError, match="at big"):
            extract_archive([info.tobuf(form), b"x" * 5000], tmp_path / "target", limits=limits)


def test_a_size_may_be_said_twice_if_it_is_the_same(tmp_path: Path) -> None:
    info = tarfile.TarInfo("f")
    info.size = 3
    info.pax_headers = {"size": "3", "SCHILY.xattr.user.x": "1"}
    extract_archive([info.tobuf(tarfile.PAX_FORMAT), b"abc" + bytes(509), END], tmp_path / "target")
    assert files(tmp_path / "target") == {"f": b"abc"}


def test_what_is_no_tar_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefusedError, match="checksum"):
        extract_archive([b"\x1f\x8b" + bytes(2000)], tmp_path / "target")
    with pytest.raises(ArchiveRefusedError, match="not in the tar format"):
        extract_archive([rewritten(header(b"f", b"0", mode=0o644), 257, bytes(8)), END], tmp_path / "target")


@pytest.mark.parametrize("field", ["max_bytes", "max_entries", "max_depth", "max_name_bytes"])
def test_limits_must_allow_something(field: str) -> None:
    with pytest.raises(ValueError, match=f"{field} must be at least 1"):
        ExtractLimits(**{field: 0})


def test_a_name_for_display_holds_nothing_but_text(tmp_path: Path) -> None:
    with pytest.raises(ArchiveRefusedError) as raised:
        extract_archive([archive(Entry("a\x1b[31m\n" + "x" * 300))], tmp_path / "target")
    assert raised.value.entry.startswith(r"a\x1b[31m\nxxx")
    assert len(raised.value.entry) < 150
