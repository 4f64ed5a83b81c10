"""Machine code of aarch64. Formats: Arm's Architecture Reference Manual (DDI 0487), C6.2. Pure.

Every instruction is a word of 32 bits.
"""

from __future__ import annotations

from dockersched.sandbox.docker.gate.assembly import Reference, Register

_STACK_OR_ZERO = 31
"""It is the stack pointer in sums with a value and as a base, and else always zero."""

_NUMBERS = {
    Register.RESULT: 0,
    Register.FIRST: 0,
    Register.SECOND: 1,
    Register.THIRD: 2,
    Register.FOURTH: 3,
    Register.STACK: _STACK_OR_ZERO,
    Register.SLOT: 19,
    Register.SEPARATOR: 20,
    Register.ENVIRONMENT: 21,
    Register.COMMAND: 22,
    Register.ERROR: 23,
    Register.REFUSED: 24,
    Register.ENTRY: 25,
    Register.TEXT: 26,
    Register.BYTE: 27,
    Register.LENGTH: 28,
}
_CALL_NUMBER = 8
_SYSTEM_CALLS = {
    "openat": 56,
    "close": 57,
    "read": 63,
    "write": 64,
    "writev": 66,
    "ppoll": 73,
    "exit_group": 94,
    "execve": 221,
}
_EQUAL, _NOT_EQUAL = 0, 1


class Aarch64:
    """The encoder."""

    machine = 183

    def copy(self, to: Register, source: Register) -> bytes:
        """ADD Xd|SP, Xn|SP, #0."""
        return _word(0x91000000 | _NUMBERS[source] << 5 | _NUMBERS[to])

    def set(self, to: Register, value: int) -> bytes:
        """MOVZ or MOVN Xd, #imm16."""
        return _set(_NUMBERS[to], value)

    def add(self, to: Register, value: int) -> bytes:
        """ADD or SUB Xd|SP, Xn|SP, #imm12."""
        operation = 0x91000000 if value >= 0 else 0xD1000000
        return _word(operation | _bits(abs(value), 12) << 10 | _NUMBERS[to] << 5 | _NUMBERS[to])

    def add_register(self, to: Register, source: Register) -> bytes:
        """ADD Xd, Xn, Xm."""
        return _word(0x8B000000 | _NUMBERS[source] << 16 | _NUMBERS[to] << 5 | _NUMBERS[to])

    def negate(self, register: Register) -> bytes:
        """SUB Xd, XZR, Xm."""
        return _word(0xCB000000 | _NUMBERS[register] << 16 | _STACK_OR_ZERO << 5 | _NUMBERS[register])

    def load(self, to: Register, base: Register, offset: int) -> bytes:
        """LDUR Xt, [Xn|SP, #simm9]."""
        return _memory(0xF8400000, to, base, offset)

    def load_byte(self, to: Register, base: Register, offset: int) -> bytes:
        """LDURB Wt, [Xn|SP, #simm9]."""
        return _memory(0x38400000, to, base, offset)

    def store(self, source: Register, base: Register, offset: int) -> bytes:
        """STUR Xt, [Xn|SP, #simm9]."""
        return _memory(0xF8000000, source, base, offset)

    def address_of(self, to: Register, label: str) -> Reference:
        """ADR Xd, label."""

        def encode(distance: int) -> bytes:
            value = _signed(distance, 21)
            return _word(0x10000000 | (value & 3) << 29 | value >> 2 << 5 | _NUMBERS[to])

        return Reference(label, 4, encode)

    def compare(self, register: Register, value: int) -> bytes:
        """SUBS XZR, Xn, #imm12."""
        return _word(0xF1000000 | _bits(value, 12) << 10 | _NUMBERS[register] << 5 | _STACK_OR_ZERO)

    def compare_registers(self, one: Register, other: Register) -> bytes:
        """SUBS XZR, Xn, Xm."""
        return _word(0xEB000000 | _NUMBERS[other] << 16 | _NUMBERS[one] << 5 | _STACK_OR_ZERO)

    def jump(self, label: str) -> Reference:
        """B label."""
        return Reference(label, 4, lambda distance: _word(0x14000000 | _signed(distance // 4, 26)))

    def jump_if_equal(self, label: str) -> Reference:
        """B.EQ label."""
        return _jump_if(_EQUAL, label)

    def jump_unless_equal(self, label: str) -> Reference:
        """B.NE label."""
        return _jump_if(_NOT_EQUAL, label)

    def system_call(self, name: str) -> bytes:
        """MOVZ X8, #imm16; SVC #0."""
        return _set(_CALL_NUMBER, _SYSTEM_CALLS[name]) + _word(0xD4000001)


def _word(bits: int) -> bytes:
    return bits.to_bytes(4, "little")


def _bits(value: int, count: int) -> int:
    if not 0 <= value < 1 << count:
        raise ValueError(f"{value} does not fit into {count} bits")
    return value


def _signed(value: int, count: int) -> int:
    return _bits(value + (1 << count - 1), count) ^ 1 << count - 1


def _set(number: int, value: int) -> bytes:
    if value < 0:
        return _word(0x92800000 | _bits(~value, 16) << 5 | number)
    return _word(0xD2800000 | _bits(value, 16) << 5 | number)


def _memory(operation: int, register: Register, base: Register, offset: int) -> bytes:
    return _word(operation | _signed(offset, 9) << 12 | _NUMBERS[base] << 5 | _NUMBERS[register])


def _jump_if(condition: int, label: str) -> Reference:
    return Reference(label, 4, lambda distance: _word(0x54000000 | _signed(distance // 4, 19) << 5 | condition))
