"""What a program is written in: instructions that several architectures have alike, and labels between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Protocol

from msgspec import Struct


class Register(Enum):
    """A register by what it is for. System calls leave all alone but `RESULT`, `FIRST`, `BYTE` and `LENGTH`."""

    RESULT = auto()  # of a system call; may be the same as FIRST
    FIRST = auto()  # argument of a system call, as the next three
    SECOND = auto()
    THIRD = auto()
    FOURTH = auto()
    STACK = auto()
    SLOT = auto()
    SEPARATOR = auto()
    ENVIRONMENT = auto()
    COMMAND = auto()
    ERROR = auto()
    REFUSED = auto()
    ENTRY = auto()
    TEXT = auto()
    BYTE = auto()
    LENGTH = auto()


class Label(Struct, frozen=True):
    """Names the place where the next instruction or text begins."""

    name: str


class Reference(Struct, frozen=True):
    """An instruction that tells how far away a label is.

    Args:
        label: it refers to.
        size: in bytes.
        encode: takes how many bytes the label is behind the instruction's beginning.
    """

    label: str
    size: int
    encode: Callable[[int], bytes]


Item = bytes | Label | Reference


class Encoder(Protocol):
    """An architecture's machine code: numbers of 64 bits, offsets in bytes and below 128."""

    machine: int
    """As the header of an ELF file names the architecture."""

    def copy(self, to: Register, source: Register) -> bytes:
        """To = source."""
        ...

    def set(self, to: Register, value: int) -> bytes:
        """To = value, of 16 bits."""
        ...

    def add(self, to: Register, value: int) -> bytes:
        """To += value, which may be negative."""
        ...

    def add_register(self, to: Register, source: Register) -> bytes:
        """To += source."""
        ...

    def negate(self, register: Register) -> bytes:
        """Register = -register."""
        ...

    def load(self, to: Register, base: Register, offset: int) -> bytes:
        """To = the 8 bytes at base + offset."""
        ...

    def load_byte(self, to: Register, base: Register, offset: int) -> bytes:
        """To = the byte at base + offset."""
        ...

    def store(self, source: Register, base: Register, offset: int) -> bytes:
        """The 8 bytes at base + offset = source."""
        ...

    def address_of(self, to: Register, label: str) -> Reference:
        """To = where the label is."""
        ...

    def compare(self, register: Register, value: int) -> bytes:
        """Compares for the next conditional jump; the value is from 0 to 127."""
        ...

    def compare_registers(self, one: Register, other: Register) -> bytes:
        """Compares for the next conditional jump."""
        ...

    def jump(self, label: str) -> Reference:
        """Goes on at the label."""
        ...

    def jump_if_equal(self, label: str) -> Reference:
        """Goes on at the label if what was compared is equal."""
        ...

    def jump_unless_equal(self, label: str) -> Reference:
        """Goes on at the label unless what was compared is equal."""
        ...

    def system_call(self, name: str) -> bytes:
        """A call by its name in Linux, with the arguments that are set; `RESULT` is negative for an error."""
        ...


def assemble(items: Iterable[Item]) -> bytes:
    """The machine code; it runs wherever it is loaded.

    Raises:
        KeyError: a label is referred to and is nowhere.
    """
    items = list(items)
    labels: dict[str, int] = {}
    position = 0
    for item in items:
        if isinstance(item, Label):
            labels[item.name] = position
        else:
            position += item.size if isinstance(item, Reference) else len(item)
    code = b""
    for item in items:
        if isinstance(item, Reference):
            code += item.encode(labels[item.label] - len(code))
        elif isinstance(item, bytes):
            code += item
    return code
