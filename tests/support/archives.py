"""Archives as engines write them, and as attackers would."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from dataclasses import dataclass

from dockersched.data.tarformat import END, checksum, header


@dataclass(frozen=True)
class Entry:
    """One entry of an archive."""

    name: str
    kind: bytes = tarfile.REGTYPE
    content: bytes = b""
    mode: int = 0o644
    link: str = ""


def archive(*entries: Entry, form: int = tarfile.PAX_FORMAT) -> bytes:
    """A whole archive, as Python's own library writes it."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as writer:
        for entry in entries:
            info = tarfile.TarInfo(entry.name)
            info.type, info.mode, info.linkname, info.size = entry.kind, entry.mode, entry.link, len(entry.content)
            writer.addfile(info, io.BytesIO(entry.content))
    return stream.getvalue()


def rewritten(block: bytes, offset: int, data: bytes) -> bytes:
    """A header with something else at a place, and the checksum that goes with it."""
    changed = bytearray(block)
    changed[offset : offset + len(data)] = data
    changed[148:156] = b"%06o\0 " % checksum(changed)
    return bytes(changed)


def _raw(name: bytes, kind: bytes = b"0", content: bytes = b"", *, size: int | None = None) -> bytes:
    size = len(content) if size is None else size
    return header(name, kind, mode=0o644, size=size) + content + bytes(-len(content) % 512)


def _with_records(records: dict[str, str], name: str = "f", content: bytes = b"") -> bytes:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    info.pax_headers = records
    return info.tobuf(tarfile.PAX_FORMAT) + content + bytes(-len(content) % 512) + END


def _records(data: bytes) -> bytes:
    return _raw(b"PaxHeader", b"x", data) + _raw(b"f") + END


def _link_chain() -> bytes:
    """CVE-2025-4517: links through directories whose resolved path is longer than a path may be."""
    steps, step = "abcdefghijklmnop", "d" * 247
    entries, path = [], ""
    for letter in steps:
        entries += [Entry(path + step, tarfile.DIRTYPE), Entry(path + letter, tarfile.SYMTYPE, link=step)]
        path += step + "/"
    entries += [
        Entry("/".join(steps) + "/" + "l" * 254, tarfile.SYMTYPE, link="../" * len(steps)),
        Entry("escape", tarfile.SYMTYPE, link="/".join(steps) + "/" + "l" * 254 + "/../../etc"),
        Entry("escape/passwd", content=b"root::0:0"),
    ]
    return archive(*entries)


Hostile = tuple[Callable[[], bytes], str]

HOSTILE: dict[str, Hostile] = {
    "symbolic link": (lambda: archive(Entry("l", tarfile.SYMTYPE, link="/etc/passwd")), "l: is a symbolic link"),
    "link inside": (lambda: archive(Entry("l", tarfile.SYMTYPE, link="a")), "l: is a symbolic link"),
    "file through a link": (
        lambda: archive(Entry("d", tarfile.SYMTYPE, link="/tmp"), Entry("d/x", content=b"x")),
        "d: is a symbolic link",
    ),
    "link over a directory": (
        lambda: archive(Entry("d", tarfile.DIRTYPE), Entry("d", tarfile.SYMTYPE, link="..")),
        "d: is a symbolic link",
    ),
    "CVE-2025-4517": (_link_chain, "a: is a symbolic link"),
    "link without a name": (
        lambda: _raw(b"", b"5") + _raw(b"", b"2") + _raw(b"", b"2") + END,
        "has an empty step",
    ),
    "nameless link first": (lambda: _raw(b"", b"2") + END, "is a symbolic link"),
    "hard link": (lambda: archive(Entry("l", tarfile.LNKTYPE, link="../../etc/shadow")), "l: is a hard link"),
    "link with a long target": (
        lambda: archive(Entry("l", tarfile.SYMTYPE, link="x" * 200), form=tarfile.GNU_FORMAT),
        "l: is a symbolic link",
    ),
    "link with a target in a record": (
        lambda: _with_records({"linkpath": "/etc"}),
        "has the target of a link, but is none",
    ),
    "character device": (lambda: archive(Entry("null", tarfile.CHRTYPE)), "is a character device"),
    "block device": (lambda: archive(Entry("sda", tarfile.BLKTYPE)), "is a block device"),
    "named pipe": (lambda: archive(Entry("p", tarfile.FIFOTYPE)), "is a named pipe"),
    "contiguous file": (lambda: archive(Entry("c", tarfile.CONTTYPE)), "unknown type b'7'"),
    "multi-volume": (lambda: _raw(b"m", b"M") + END, "unknown type b'M'"),
    "volume label": (lambda: _raw(b"v", b"V") + END, "unknown type b'V'"),
    "parent": (lambda: archive(Entry("../x")), "../x: leads out by .."),
    "parent inside": (lambda: archive(Entry("a/../../x")), "leads out by .."),
    "parent in a directory": (lambda: archive(Entry("a/..", tarfile.DIRTYPE)), "leads out by .."),
    "parent in a record": (lambda: _with_records({"path": "../x"}), "leads out by .."),
    "parent in a long name": (lambda: _raw(b"././@LongLink", b"L", b"a/../../x\0") + _raw(b"f") + END, "leads out by"),
    "absolute": (lambda: archive(Entry("/etc/cron.d/x")), "has an absolute name"),
    "absolute by its prefix": (
        lambda: (
            rewritten(
                rewritten(header(b"etc/x", b"0", mode=0o644), 257, b"ustar\x0000"), 345, b"/root".ljust(155, b"\0")
            )
            + END
        ),
        "has an absolute name",
    ),
    "empty name": (lambda: _raw(b"") + END, "has an empty step"),
    "dot as a file": (lambda: _raw(b".") + END, "has an empty step"),
    "double slash": (lambda: archive(Entry("a//b")), "has an empty step"),
    "file with a slash": (lambda: _raw(b"a/") + END, "has an empty step"),
    "NUL in a name": (lambda: _raw(b"good\0../../bad") + END, "has NUL in its name"),
    "NUL in a record": (lambda: _with_records({"path": "good\0bad"}), "control character"),
    "NUL in a long name": (
        lambda: _raw(b"././@LongLink", b"L", b"a\0b\0") + _raw(b"f") + END,
        "long name with NUL",
    ),
    "long name without an end": (
        lambda: _raw(b"././@LongLink", b"L", b"abc") + _raw(b"f") + END,
        "long name with NUL",
    ),
    "escape sequence in a name": (lambda: archive(Entry("a\x1b[2Jb")), "control character"),
    "line break in a name": (lambda: archive(Entry("a\nb")), "control character"),
    "reversed name": (lambda: archive(Entry("a\u202etxt.exe")), "control character"),
    "name that is not UTF-8": (lambda: _raw(b"\xff\xfe") + END, "not UTF-8"),
    "long step": (lambda: archive(Entry("n" * 256)), "step of more than 255 bytes"),
    "long path": (lambda: archive(Entry("/".join(["n" * 200] * 12))), "has a name of"),
    "deep path": (lambda: archive(Entry("/".join("d" * 9))), "is deeper than the 8 steps"),
    "deep directory": (lambda: archive(Entry("/".join("d" * 9), tarfile.DIRTYPE)), "is deeper than the 8 steps"),
    "many entries": (lambda: archive(*(Entry(f"f{number}") for number in range(51))), "50 entries allowed"),
    "large file": (lambda: archive(Entry("f", content=bytes(1 << 20) + b"x")), "larger than the 1 MiB allowed"),
    "large together": (
        lambda: archive(*(Entry(f"f{number}", content=bytes(1 << 16)) for number in range(17))),
        "larger than the 1 MiB allowed",
    ),
    "GNU sparse file": (lambda: _raw(b"s", b"S", size=1 << 40) + END, "s: is a sparse file"),
    "sparse by records, 0.0": (
        lambda: _with_records({"GNU.sparse.size": "2000000000", "GNU.sparse.numblocks": "0"}),
        "is a sparse file",
    ),
    "sparse by records, 0.1": (
        lambda: _with_records({"GNU.sparse.map": "0,0", "GNU.sparse.name": "x"}),
        "is a sparse file",
    ),
    "sparse by records, 1.0": (
        lambda: _with_records({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9"}),
        "is a sparse file",
    ),
    "sparse by star's record": (lambda: _with_records({"SCHILY.realsize": "2000000000"}), "is a sparse file"),
    "size that is a lie": (lambda: _with_records({"size": "0"}, content=b"x" * 600), "has two sizes, 600 and 0"),
    "size that is a negative record": (lambda: _with_records({"size": "-1"}), "size that is no number"),
    "size that is a huge record": (lambda: _with_records({"size": "9" * 30}), "size that is no number"),
    "size that is negative": (
        lambda: rewritten(header(b"f", b"0", mode=0o644), 124, b"\xff" * 12) + END,
        "negative or oversize number",
    ),
    "size that is not octal": (
        lambda: rewritten(header(b"f", b"0", mode=0o644), 124, b"-0000000001\0") + END,
        "instead of a number",
    ),
    "size that is huge": (
        lambda: rewritten(header(b"f", b"0", mode=0o644), 124, b"\x80" + b"\x7f" * 11) + END,
        "larger than the 1 MiB allowed",
    ),
    "directory with content": (lambda: _raw(b"d", b"5", b"x" * 512) + END, "is a directory with content"),
    "same file twice": (lambda: archive(Entry("f", content=b"1"), Entry("f", content=b"2")), "f: is there twice"),
    "same directory twice": (
        lambda: archive(Entry("d", tarfile.DIRTYPE), Entry("d", tarfile.DIRTYPE)),
        "d/: is there twice",
    ),
    "same by another name": (lambda: archive(Entry("f"), Entry("./f")), "is there twice"),
    "file over a directory": (
        lambda: archive(Entry("d", tarfile.DIRTYPE), Entry("d")),
        "is both a file and a directory",
    ),
    "directory over a file": (
        lambda: archive(Entry("f"), Entry("f", tarfile.DIRTYPE)),
        "is both a file and a directory",
    ),
    "file over a directory that is not declared": (
        lambda: archive(Entry("d/f"), Entry("d")),
        "is both a file and a directory",
    ),
    "below a file": (lambda: archive(Entry("f"), Entry("f/g")), "f/g: is below a file"),
    "checksum": (lambda: b"g" + header(b"f", b"0", mode=0o644)[1:] + END, "does not match its checksum"),
    "records for all": (lambda: _raw(b"g", b"g", b"13 path=evil\n") + _raw(b"f") + END, "holds records for all"),
    "unknown record": (lambda: _with_records({"hdrcharset": "BINARY"}), "hdrcharset, which is unknown"),
    "record twice": (lambda: _records(b"9 path=a\n9 path=b\n"), "two records path"),
    "record with a long length": (lambda: _records(b"99 path=a\n"), "malformed records"),
    "record with a short length": (lambda: _records(b"2 path=a\n"), "malformed records"),
    "record without a length": (lambda: _records(b"path=a\n"), "malformed records"),
    "record without a key": (lambda: _records(b"5 =a\n"), "malformed records"),
    "huge records": (lambda: _records(b"x" * 70_000), "has a name or records of"),
    "records twice": (
        lambda: _raw(b"x", b"x", b"9 path=a\n") * 2 + _raw(b"f") + END,
        "holds a long name or records, but no entry",
    ),
    "records for nothing": (lambda: _raw(b"x", b"x", b"9 path=a\n") + END, "but no entry that they are for"),
    "content behind content": (
        lambda: header(b"f", b"0", mode=0o644, size=3) + b"abc" + b"hidden".ljust(509, b"\0") + END,
        "has something behind its content",
    ),
    "garbage at the end": (lambda: archive(Entry("f")) + b"x", "the archive: goes on after its end"),
    "garbage between the end's blocks": (lambda: _raw(b"f") + bytes(512) + _raw(b"g") + END, "goes on after its end"),
    "archive behind the archive": (lambda: archive(Entry("f")) + archive(Entry("g")), "goes on after its end"),
    "zeros without end": (lambda: archive(Entry("f")) + bytes(2 << 20), "does not come to an end"),
    "compressed": (lambda: b"\x1f\x8b\x08" + bytes(600) + END, "checksum"),
}
"""What each is made of, and what the refusal must say."""
