"""A program as an executable file. Format: elf(5). Pure."""

from __future__ import annotations

import struct

_LOAD_ADDRESS = 0x400000
_PAGE_BYTES = 0x10000
"""The largest page of any engine's kernel."""

_HEADER_BYTES, _SEGMENT_BYTES, _SEGMENTS = 64, 56, 2
_READ, _WRITE, _EXECUTE = 4, 2, 1
_LOADED, _STACK = 1, 0x6474E551


def executable(machine: int, code: bytes) -> bytes:
    """A static executable that begins with the first byte of its code.

    Args:
        machine: the architecture's number.
        code: runs wherever it is loaded, and changes nothing of itself.
    """
    before_code = _HEADER_BYTES + _SEGMENTS * _SEGMENT_BYTES
    size = before_code + len(code)
    identification = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)  # 64 bits, the lowest first, version 1
    kind, version, flags, section_headers = 2, 1, 0, 0
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(identification, kind, machine, version, _LOAD_ADDRESS + before_code, _HEADER_BYTES, section_headers, flags),
        *(_HEADER_BYTES, _SEGMENT_BYTES, _SEGMENTS, 0, 0, 0),
    )
    return (
        header
        + _segment(_LOADED, _READ | _EXECUTE, _LOAD_ADDRESS, size, _PAGE_BYTES)
        # Without it some kernels make all memory executable.
        + _segment(_STACK, _READ | _WRITE, 0, 0, 16)
        + code
    )


def _segment(kind: int, access: int, address: int, size: int, alignment: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, access, 0, address, address, size, size, alignment)
