"""Headers of tar archives: POSIX ustar, and what GNU tar adds for long names and large numbers.

Format: https://www.gnu.org/software/tar/manual/html_node/Standard.html, and pax(1) of POSIX.
"""

from __future__ import annotations

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two blocks of zeros end an archive."""

FILE, LINK, DIRECTORY = b"0", b"2", b"5"
MTIME_S = 946_684_800
"""The time of everything packed: 2000-01-01, so that content alone decides a digest; zip cannot say 1979."""

_LONG_NAME, _LONG_LINK = b"L", b"K"
_NAME_BYTES = 100
_OWNER = slice(108, 124)
_CHECKSUM = slice(148, 156)
_OCTAL_DIGITS = frozenset(b"01234567")


def header(
    name: bytes, kind: bytes, *, mode: int, size: int = 0, link: bytes = b"", uid: int = 0, gid: int = 0
) -> bytes:
    """The header blocks of one entry."""
    blocks = b""
    if len(link) > _NAME_BYTES:
        blocks += _long(link, _LONG_LINK)
    if len(name) > _NAME_BYTES:
        blocks += _long(name, _LONG_NAME)
    last = _block(name[:_NAME_BYTES], kind, mode, size, link[:_NAME_BYTES])
    return blocks + (owned_by(last, uid, gid) if uid or gid else last)


def owned_by(block: bytes, uid: int, gid: int) -> bytes:
    """The same header block, with another owner."""
    changed = bytearray(block)
    changed[_OWNER] = _number(uid, 8) + _number(gid, 8)
    changed[_CHECKSUM] = b"%06o\0 " % checksum(changed)
    return bytes(changed)


def padding(size: int) -> int:
    """Bytes of zeros that follow content of this size."""
    return -size % BLOCK


def checksum(block: bytes | bytearray) -> int:
    """The sum of a header's bytes, those of the checksum itself counted as spaces."""
    return sum(block) - sum(block[_CHECKSUM]) + 8 * 0x20


def parse_number(field: bytes) -> int:
    """A number of a header: octal digits, or GNU's base-256 when it is large.

    Raises:
        ValueError: it is neither, or negative.
    """
    if field[0] & 0x80:
        if field[0] != 0x80:
            raise ValueError("a negative or oversize number")
        return int.from_bytes(field[1:], "big")
    digits = field.rstrip(b"\0 ").lstrip(b" ")
    if not _OCTAL_DIGITS.issuperset(digits):
        raise ValueError(f"{field!r} instead of a number")
    return int(digits or b"0", 8)


def _long(name: bytes, kind: bytes) -> bytes:
    size = len(name) + 1
    return _block(b"././@LongLink", kind, 0, size, b"") + name + bytes(1 + padding(size))


def _block(name: bytes, kind: bytes, mode: int, size: int, link: bytes) -> bytes:
    block = b"".join(
        (
            name.ljust(_NAME_BYTES, b"\0"),
            b"%07o\0" % mode,
            b"0000000\0" * 2,
            _number(size, 12),
            b"%011o\0" % MTIME_S,
            b" " * 8,
            kind,
            link.ljust(_NAME_BYTES, b"\0"),
            b"ustar  \0",
        )
    ).ljust(BLOCK, b"\0")
    return b"%b%06o\0 %b" % (block[: _CHECKSUM.start], sum(block), block[_CHECKSUM.stop :])


def _number(value: int, width: int) -> bytes:
    if value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    return b"\x80" + value.to_bytes(width - 1, "big")
