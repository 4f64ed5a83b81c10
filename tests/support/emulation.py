"""A program run in an emulated processor, with a kernel that answers as a test tells it and notes what it was asked."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from unicorn import arm64_const as arm
from unicorn import unicorn_const as uc
from unicorn import x86_const as x86
from unicorn.unicorn import Uc

MOST_INSTRUCTIONS = 1_000_000
MOST_WAITS = 3
"""After so many calls that wait for ever the program is ended."""

_STACK_TOP, _STACK_BYTES = 0x7FFF_0000_0000, 0x40_0000
_PAGE_BYTES = 0x1000
_NO_NUMBER = 0xDEAD_BEEF_DEAD_BEEF
"""What is in registers that the kernel promises nothing of."""


@dataclass(frozen=True)
class Processor:
    """An architecture, as Linux uses it; from its arch/*/entry and unistd.h."""

    machine: int
    mode: tuple[int, int]
    stack_pointer: int
    number: int
    arguments: tuple[int, ...]
    result: int
    lost: tuple[int, ...]
    """By every system call."""
    others: tuple[int, ...]
    calls: dict[int, str]
    hook: tuple[Any, ...]


X86_64 = Processor(
    machine=62,
    mode=(uc.UC_ARCH_X86, uc.UC_MODE_64),
    stack_pointer=x86.UC_X86_REG_RSP,
    number=x86.UC_X86_REG_RAX,
    arguments=(x86.UC_X86_REG_RDI, x86.UC_X86_REG_RSI, x86.UC_X86_REG_RDX, x86.UC_X86_REG_R10),
    result=x86.UC_X86_REG_RAX,
    lost=(x86.UC_X86_REG_RCX, x86.UC_X86_REG_R11),
    others=(x86.UC_X86_REG_RBX, x86.UC_X86_REG_RBP, *range(x86.UC_X86_REG_R8, x86.UC_X86_REG_R15 + 1)),
    calls={
        0: "read",
        1: "write",
        3: "close",
        20: "writev",
        59: "execve",
        231: "exit_group",
        257: "openat",
        271: "ppoll",
    },
    hook=(uc.UC_HOOK_INSN, None, 1, 0, x86.UC_X86_INS_SYSCALL),
)
AARCH64 = Processor(
    machine=183,
    mode=(uc.UC_ARCH_ARM64, uc.UC_MODE_ARM),
    stack_pointer=arm.UC_ARM64_REG_SP,
    number=arm.UC_ARM64_REG_X8,
    arguments=tuple(range(arm.UC_ARM64_REG_X0, arm.UC_ARM64_REG_X3 + 1)),
    result=arm.UC_ARM64_REG_X0,
    lost=(),
    others=tuple(range(arm.UC_ARM64_REG_X4, arm.UC_ARM64_REG_X28 + 1)),
    calls={
        56: "openat",
        57: "close",
        63: "read",
        64: "write",
        66: "writev",
        73: "ppoll",
        94: "exit_group",
        221: "execve",
    },
    hook=(uc.UC_HOOK_INTR,),
)
PROCESSORS = {"x86_64": X86_64, "aarch64": AARCH64}


@dataclass
class Kernel:
    """Loads one program, runs it until it ends, waits for ever or becomes another, and notes its calls.

    Args:
        architecture: of the program.
        reads, executions: what the calls `read` and `execve` return, in turn; 0 from `execve` is its success.
        opened: what `openat` returns.
    """

    architecture: str
    reads: Sequence[int] = (1,)
    executions: Sequence[int] = (0,)
    opened: int = 0
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    """Each a name and its arguments: strings and lists of them where they point to such."""
    argv_at: int = 0
    environment_at: int = 0
    pointers: list[tuple[int, int]] = field(default_factory=list)
    """What each `execve` was given as its last two arguments."""

    def run(self, program: bytes, argv: Sequence[str], environment: Sequence[str] = ()) -> list[tuple[Any, ...]]:
        """Runs it.

        Returns:
            its calls.

        Raises:
            UcError: it did what the processor or the access rights of its memory do not allow.
        """
        self._processor = PROCESSORS[self.architecture]
        self._reads, self._executions = iter(self.reads), iter(self.executions)
        self._cpu = Uc(*self._processor.mode)
        entry = self._load(program)
        self._cpu.mem_map(_STACK_TOP - _STACK_BYTES, _STACK_BYTES, uc.UC_PROT_READ | uc.UC_PROT_WRITE)
        for register in (*self._processor.arguments, *self._processor.lost, *self._processor.others):
            self._cpu.reg_write(register, _NO_NUMBER)
        self._cpu.reg_write(self._processor.stack_pointer, self._lay_stack(argv, environment))
        kind, *rest = self._processor.hook
        self._cpu.hook_add(kind, self._answer, *rest)
        self._cpu.emu_start(entry, 0, count=MOST_INSTRUCTIONS)
        return self.calls

    def _load(self, program: bytes) -> int:
        """Maps what the file's headers say; gives its entry. Format: elf(5)."""
        machine, entry, table = struct.unpack_from("<18xH4xQQ", program)
        assert (program[:6], machine) == (b"\x7fELF\2\1", self._processor.machine)
        size, count = struct.unpack_from("<54xHH", program)
        for at in range(table, table + size * count, size):
            kind, access, offset, address, _, in_file, in_memory, _ = struct.unpack_from("<IIQQQQQQ", program, at)
            if kind == 1:
                self._cpu.mem_map(address, -(-in_memory // _PAGE_BYTES) * _PAGE_BYTES, _rights(access))
                self._cpu.mem_write(address, program[offset : offset + in_file])
        return int(entry)

    def _lay_stack(self, argv: Sequence[str], environment: Sequence[str]) -> int:
        """Lays the strings, and their addresses as a new process finds them; gives the stack pointer."""
        at = _STACK_TOP
        addresses = []
        for text in (*argv, *environment):
            content = text.encode() + b"\0"
            at -= len(content)
            self._cpu.mem_write(at, content)
            addresses.append(at)
        words = [len(argv), *addresses[: len(argv)], 0, *addresses[len(argv) :], 0, 0, 0]
        at = (at - 8 * len(words)) // 16 * 16
        self._cpu.mem_write(at, struct.pack(f"<{len(words)}Q", *words))
        self.argv_at, self.environment_at = at + 8, at + 8 * (len(argv) + 2)
        return at

    def _answer(self, cpu: Uc, *_: Any) -> None:
        name = self._processor.calls[cpu.reg_read(self._processor.number)]
        arguments = [cpu.reg_read(register) for register in self._processor.arguments]
        answer: Callable[..., int] = getattr(self, f"_{name}")
        result = answer(*arguments)
        cpu.reg_write(self._processor.result, result & 2**64 - 1)
        for register in self._processor.lost:
            cpu.reg_write(register, _NO_NUMBER)

    def _read(self, descriptor: int, at: int, size: int, _: int) -> int:
        self.calls.append(("read", descriptor, size))
        result = next(self._reads)
        if result > 0:
            self._cpu.mem_write(at, b"!" * result)
        return result

    def _close(self, descriptor: int, *_: int) -> int:
        self.calls.append(("close", descriptor))
        return 0

    def _openat(self, folder: int, path: int, flags: int, mode: int) -> int:
        self.calls.append(("openat", folder - 2**64, self._text(path), flags, mode))
        return self.opened

    def _execve(self, path: int, argv: int, environment: int, _: int) -> int:
        self.calls.append(("execve", self._text(path), self._texts(argv), self._texts(environment)))
        self.pointers.append((argv, environment))
        result = next(self._executions)
        if result == 0:
            self._cpu.emu_stop()
        return result

    def _write(self, descriptor: int, at: int, size: int, _: int) -> int:
        self.calls.append(("write", descriptor, self._bytes(at, size)))
        return size

    def _writev(self, descriptor: int, at: int, count: int, _: int) -> int:
        parts = struct.iter_unpack("<QQ", self._bytes(at, 16 * count))
        written = b"".join(self._bytes(*part) for part in parts)
        self.calls.append(("write", descriptor, written))
        return len(written)

    def _ppoll(self, *arguments: int) -> int:
        self.calls.append(("ppoll", *arguments))
        if len(self.calls) >= MOST_WAITS:
            self._cpu.emu_stop()
        return -4

    def _exit_group(self, code: int, *_: int) -> int:
        self.calls.append(("exit_group", code))
        self._cpu.emu_stop()
        return 0

    def _bytes(self, at: int, size: int) -> bytes:
        return bytes(self._cpu.mem_read(at, size))

    def _text(self, at: int) -> str:
        content = b""
        while not content.endswith(b"\0"):
            content += self._bytes(at + len(content), 1)
        return content[:-1].decode()

    def _texts(self, at: int) -> list[str]:
        texts = []
        while address := int.from_bytes(self._bytes(at, 8), "little"):
            texts.append(self._text(address))
            at += 8
        return texts


def _rights(access: int) -> int:
    """The access of a segment in an ELF file, as the emulator names it."""
    pairs = ((4, uc.UC_PROT_READ), (2, uc.UC_PROT_WRITE), (1, uc.UC_PROT_EXEC))
    return sum(right for bit, right in pairs if access & bit)
