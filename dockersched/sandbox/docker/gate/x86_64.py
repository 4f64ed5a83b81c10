"""Machine code of x86_64. Formats and opcodes: Intel's Software Developer's Manual, volume 2. Pure.

Every instruction has the prefix for 64 bits, and every offset and distance its longest form: the simplest encoding.
"""

from __future__ import annotations

import struct

from dockersched.sandbox.docker.gate.assembly import Reference, Register

_AX, _CX, _DX, _BX, _SP, _BP, _SI, _DI = range(8)
_NUMBERS = {
    Register.RESULT: _AX,
    Register.FIRST: _DI,
    Register.SECOND: _SI,
    Register.THIRD: _DX,
    Register.FOURTH: 10,
    Register.STACK: _SP,
    Register.SLOT: _BX,
    Register.SEPARATOR: _BP,
    Register.ENVIRONMENT: 12,
    Register.COMMAND: 13,
    Register.ERROR: 14,
    Register.REFUSED: 15,
    Register.ENTRY: 9,
    Register.TEXT: 8,
    Register.BYTE: _CX,  # a system call changes it, and the next
    Register.LENGTH: 11,
}
_SYSTEM_CALLS = {
    "read": 0,
    "write": 1,
    "close": 3,
    "writev": 20,
    "execve": 59,
    "exit_group": 231,
    "openat": 257,
    "ppoll": 271,
}
_IN_MEMORY, _IN_REGISTER = 1, 3


class X8664:
    """The encoder."""

    machine = 62

    def copy(self, to: Register, source: Register) -> bytes:
        """MOV r/m64, r64."""
        return _two_registers(0x89, to, source)

    def set(self, to: Register, value: int) -> bytes:
        """MOV r/m64, imm32: extended by its sign."""
        return _one_register(0xC7, 0, to) + struct.pack("<i", value)

    def add(self, to: Register, value: int) -> bytes:
        """ADD r/m64, imm8."""
        return _one_register(0x83, 0, to) + struct.pack("b", value)

    def add_register(self, to: Register, source: Register) -> bytes:
        """ADD r/m64, r64."""
        return _two_registers(0x01, to, source)

    def negate(self, register: Register) -> bytes:
        """NEG r/m64."""
        return _one_register(0xF7, 3, register)

    def load(self, to: Register, base: Register, offset: int) -> bytes:
        """MOV r64, r/m64."""
        return _memory(b"\x8b", to, base, offset)

    def load_byte(self, to: Register, base: Register, offset: int) -> bytes:
        """MOVZX r64, r/m8."""
        return _memory(b"\x0f\xb6", to, base, offset)

    def store(self, source: Register, base: Register, offset: int) -> bytes:
        """MOV r/m64, r64."""
        return _memory(b"\x89", source, base, offset)

    def address_of(self, to: Register, label: str) -> Reference:
        """LEA r64, m: relative to the next instruction."""
        relative_to_the_next = 5
        number = _NUMBERS[to]
        return _distance(_prefix(number, 0) + b"\x8d" + _operands(0, number, relative_to_the_next), label)

    def compare(self, register: Register, value: int) -> bytes:
        """CMP r/m64, imm8."""
        return _one_register(0x83, 7, register) + struct.pack("b", value)

    def compare_registers(self, one: Register, other: Register) -> bytes:
        """CMP r/m64, r64."""
        return _two_registers(0x39, one, other)

    def jump(self, label: str) -> Reference:
        """JMP rel32."""
        return _distance(b"\xe9", label)

    def jump_if_equal(self, label: str) -> Reference:
        """JE rel32."""
        return _distance(b"\x0f\x84", label)

    def jump_unless_equal(self, label: str) -> Reference:
        """JNE rel32."""
        return _distance(b"\x0f\x85", label)

    def system_call(self, name: str) -> bytes:
        """MOV rax, imm32; SYSCALL."""
        return self.set(Register.RESULT, _SYSTEM_CALLS[name]) + b"\x0f\x05"


def _prefix(register: int, other: int) -> bytes:
    """REX: 64 bits, and the upper bits of the registers' numbers."""
    return bytes([0x48 | register >> 3 << 2 | other >> 3])


def _operands(mode: int, register: int, other: int) -> bytes:
    """ModRM: the lower bits of the registers' numbers."""
    return bytes([mode << 6 | (register & 7) << 3 | other & 7])


def _one_register(opcode: int, extension: int, register: Register) -> bytes:
    number = _NUMBERS[register]
    return _prefix(0, number) + bytes([opcode]) + _operands(_IN_REGISTER, extension, number)


def _two_registers(opcode: int, to: Register, source: Register) -> bytes:
    numbers = _NUMBERS[source], _NUMBERS[to]
    return _prefix(*numbers) + bytes([opcode]) + _operands(_IN_REGISTER, *numbers)


def _memory(opcode: bytes, register: Register, base: Register, offset: int) -> bytes:
    numbers = _NUMBERS[register], _NUMBERS[base]
    # The number of the stack pointer, and 12, stand for a further byte: here that with no index.
    no_index = b"\x24" if numbers[1] & 7 == _SP else b""
    return _prefix(*numbers) + opcode + _operands(_IN_MEMORY, *numbers) + no_index + struct.pack("b", offset)


def _distance(opcode: bytes, label: str) -> Reference:
    size = len(opcode) + 4
    return Reference(label, size, lambda distance: opcode + struct.pack("<i", distance - size))
