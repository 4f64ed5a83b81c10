"""Reads an untrusted tar stream, strictly: what it does not know, it refuses.

Only what an engine writes is read: ustar headers with pax records or GNU's long names, regular files and directories.
Python's `tarfile` is not used: it forgives, follows links, and cannot tell an archive that was cut from a whole one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct

from dockersched.data.entry_name import label_of, steps_of
from dockersched.data.tarformat import BLOCK, checksum, padding, parse_number
from dockersched.errors import ArchiveCutError, ArchiveRefusedError
from dockersched.units import format_bytes

_MAX_RECORDS_BYTES = 64 * 1024
_MAX_ALL_RECORDS_BYTES = 64 << 20
"""Twice what extraction takes of names: they are what records are for."""

_MAX_TAIL_BYTES = 1 << 20
_ZEROS = bytes(BLOCK)
_MAGICS = {b"ustar\x0000": True, b"ustar  \0": False}
"""POSIX and GNU; whether the header has room for the beginning of a long name."""

_REFUSED = {
    b"1": "is a hard link",
    b"2": "is a symbolic link",
    b"3": "is a character device",
    b"4": "is a block device",
    b"6": "is a named pipe",
    b"S": "is a sparse file",
    b"g": "holds records for all entries after it",
}
_EXTENSIONS = {b"x": b"", b"L": b"path", b"K": b"linkpath"}
"""What comes ahead of the entry that it is for, and the record that GNU's ones stand for."""

_RECORDS = frozenset(("atime", "comment", "ctime", "gid", "gname", "mtime", "path", "size", "uid", "uname"))
_RECORD_FAMILIES = ("SCHILY.xattr.", "LIBARCHIVE.")
_SPARSE_RECORDS = ("GNU.sparse.", "SCHILY.realsize", "SUN.holesdata")


class ExtractLimits(Struct, frozen=True):
    """How much may come out of a sandbox in one archive.

    Args:
        max_bytes: content of all files together.
        max_entries: files and directories.
        max_depth: directories above a file, and the file.
        max_name_bytes: names of all entries together, each with the directories above it.
    """

    max_bytes: int = 1 << 30
    max_entries: int = 100_000
    max_depth: int = 64
    max_name_bytes: int = 32 << 20

    def __post_init__(self) -> None:
        """Refuses limits that nothing could keep."""
        for name in self.__struct_fields__:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")


class Member(Struct, frozen=True):
    """A file or a directory; its name is fit to be opened, step by step, below a directory.

    Attributes:
        parts: the steps of its name; none for the top itself.
        label: its name, fit for display.
    """

    parts: tuple[str, ...]
    label: str
    is_directory: bool
    mode: int
    size: int


class _Header(Struct, frozen=True):
    name: bytes
    kind: bytes
    mode: int
    size: int


class ArchiveReader:
    """Reads a tar stream once, from its beginning.

    Args:
        chunks: the stream, in pieces of any size.
        max_bytes: how much content may be in it; names and records do not count.
        clear: takes out of a name what must not be shown; asked only for one that is not shown as it is.
    """

    def __init__(self, chunks: Iterable[bytes], max_bytes: int, clear: Callable[[bytes], bytes] = bytes) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self._max_bytes = max_bytes
        self._clear = clear
        self._where = ""
        self._bytes = 0
        self._record_bytes = 0
        self._unread = 0

    def members(self) -> Iterator[Member]:
        """Every entry; the content of each file must be read before the next one.

        Raises:
            ArchiveCutError: the stream ends before the archive does.
            ArchiveRefusedError: something in it must not be extracted.
        """
        while (header := self._header()) is not None:
            records: dict[bytes, bytes] = {}
            if header.kind in _EXTENSIONS:
                records = self._extension(header)
                header = self._header()
                if header is None or header.kind in _EXTENSIONS:
                    raise self._refused("holds a long name or records, but no entry that they are for")
            member = self._member(header, records)
            self._unread = member.size + padding(member.size)
            yield member
            if self._unread:
                raise AssertionError("content was not read")
        self._tail()

    def content(self, member: Member) -> Iterator[memoryview]:
        """The content of the file that was read last, in pieces as they come; exactly its size."""
        yield from self._pieces(member.size)
        self._zeros(padding(member.size))
        self._unread = 0

    def _header(self) -> _Header | None:
        """The next header; None at the archive's end."""
        block = self._read(BLOCK)
        if block == _ZEROS:
            if self._read(BLOCK) != _ZEROS:
                raise self._refused("goes on after its end")
            return None
        self._where = self._label(block[:100].split(b"\0")[0])
        try:
            valid = parse_number(block[148:156]) == checksum(block)
            size = parse_number(block[124:136])
            mode = parse_number(block[100:108])
        except ValueError as error:
            raise self._refused(f"has {error} in its header") from None
        if not valid:
            raise self._refused("has a header that does not match its checksum")
        has_prefix = _MAGICS.get(block[257:265])
        if has_prefix is None:
            raise self._refused("is not in the tar format that engines write")
        name = self._text(block[:100])
        prefix = self._text(block[345:500]) if has_prefix else b""
        return _Header(prefix + b"/" + name if prefix else name, block[156:157], mode, size)

    def _extension(self, header: _Header) -> dict[bytes, bytes]:
        """What is said of the next entry ahead of its header: pax records, or one of GNU's long names as such."""
        if header.size > _MAX_RECORDS_BYTES:
            raise self._refused(f"has a name or records of {format_bytes(header.size)}")
        self._record_bytes += header.size
        if self._record_bytes > _MAX_ALL_RECORDS_BYTES:
            allowed = format_bytes(_MAX_ALL_RECORDS_BYTES)
            raise self._refused(f"makes all long names and records together larger than the {allowed} allowed")
        data = self._read(header.size)
        self._zeros(padding(header.size))
        if header.kind == b"x":
            return self._records(data)
        if not data.endswith(b"\0") or b"\0" in data[:-1]:
            raise self._refused("has a long name with NUL in it, or none at its end")
        return {_EXTENSIONS[header.kind]: data[:-1]}

    def _records(self, data: bytes) -> dict[bytes, bytes]:
        records: dict[bytes, bytes] = {}
        start = 0
        while start < len(data):
            length_text, space, _ = data[start : start + 8].partition(b" ")
            end = start + (int(length_text) if length_text.isdigit() else 0)
            body = start + len(length_text) + 1
            key, equals, value = data[body : end - 1].partition(b"=")
            if not (space and equals and key and body < end <= len(data)) or data[end - 1] != ord("\n"):
                raise self._refused("has malformed records")
            if key in records:
                raise self._refused(f"has two records {self._label(key)}")
            records[key] = value
            start = end
        return records

    def _member(self, header: _Header, records: dict[bytes, bytes]) -> Member:
        name = records.get(b"path", header.name)
        self._where = self._label(name)
        if header.kind in _REFUSED:
            raise self._refused(_REFUSED[header.kind])
        if header.kind not in {b"0", b"\0", b"5"}:
            raise self._refused(f"is of the unknown type {header.kind!r}")
        for key in records:
            self._check_record(self._label(key))
        is_directory = header.kind == b"5"
        size = self._size(header, records.get(b"size"))
        if is_directory and size:
            raise self._refused("is a directory with content")
        parts = self._parts(name, is_directory=is_directory)
        self._bytes += size
        if self._bytes > self._max_bytes:
            allowed = format_bytes(self._max_bytes)
            raise self._refused(f"makes the archive larger than the {allowed} allowed (max_size)")
        return Member(parts, self._where, is_directory, header.mode, size)

    def _check_record(self, key: str) -> None:
        if key.startswith(_SPARSE_RECORDS):
            raise self._refused("is a sparse file")
        if key == "linkpath":
            raise self._refused("has the target of a link, but is none")
        if key not in _RECORDS and not key.startswith(_RECORD_FAMILIES):
            raise self._refused(f"has a record {key}, which is unknown")

    def _size(self, header: _Header, record: bytes | None) -> int:
        """The size; a writer that needs the record for it leaves the field empty, or agrees with it."""
        if record is None:
            return header.size
        if not record.isdigit() or len(record) > 19:
            raise self._refused("has a size that is no number")
        if header.size not in {0, int(record)}:
            raise self._refused(f"has two sizes, {header.size} and {int(record)}")
        return int(record)

    def _parts(self, name: bytes, *, is_directory: bool) -> tuple[str, ...]:
        try:
            return steps_of(name, is_directory=is_directory)
        except ValueError as unfit:
            raise self._refused(str(unfit)) from None

    def _label(self, name: bytes) -> str:
        return label_of(name, self._clear)

    def _text(self, field: bytes) -> bytes:
        text, _, rest = field.partition(b"\0")
        if any(rest):
            raise self._refused("has NUL in its name")
        return text

    def _tail(self) -> None:
        """What a writer may add to fill its last record: zeros, and not without end."""
        self._where = ""
        size = 0
        while True:
            if any(self._rest):
                raise self._refused("goes on after its end")
            size += len(self._rest)
            if size > _MAX_TAIL_BYTES:
                raise self._refused("does not come to an end after its last entry")
            chunk = next(self._chunks, None)
            if chunk is None:
                return
            self._rest = memoryview(chunk)

    def _zeros(self, size: int) -> None:
        if any(self._read(size)):
            raise self._refused("has something behind its content, where only zeros may be")

    def _read(self, size: int) -> bytes:
        return b"".join(self._pieces(size))

    def _pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    raise ArchiveCutError(f"the archive was cut off{' at ' + self._where if self._where else ''}")
                self._rest = memoryview(chunk)
                continue
            piece = self._rest[:size]
            self._rest = self._rest[size:]
            size -= len(piece)
            yield piece

    def _refused(self, why: str) -> ArchiveRefusedError:
        return ArchiveRefusedError(self._where, why)
