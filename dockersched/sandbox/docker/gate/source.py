"""What the gate does, instruction by instruction, for any architecture. Pure.

It is called in one of two ways:

- `gate` alone waits until it is killed;
- `gate CANDIDATE... "" COMMAND ARGUMENT...` waits for a byte on its standard input, then becomes COMMAND, which is the
  first of the candidates (paths) that can be executed. Its standard input is then /dev/null.

It goes by execvp(3) of the GNU C library, except that its caller has looked for the candidates. The end of its input
before a byte came says that it was left alone: it exits with `NEVER_RELEASED_EXIT`.
"""

from __future__ import annotations

from collections.abc import Iterator

from dockersched.sandbox.docker.gate import failures
from dockersched.sandbox.docker.gate.assembly import Encoder, Item, Label, Register
from dockersched.sandbox.docker.gate.failures import Error

NEVER_RELEASED = b"dockersched gate: never released\n"
NEVER_RELEASED_EXIT = 125

_POINTER_BYTES = 8
_INPUT, _ERRORS = 0, 2
_AT_WORKING_DIR = -100
_READ_AND_WRITE = 2
_PARTS = 4
"""Of the message about a failure, each an address and a length (struct iovec)."""


def source(code: Encoder) -> Iterator[Item]:
    """The whole program; it starts with its first instruction."""
    yield from _read_arguments(code)
    yield from _wait_for_release(code)
    yield from _close_input(code)
    yield from _execute(code)
    yield from _tell_failure(code)
    yield from _wait_for_ever(code)
    yield from _texts()


def _read_arguments(code: Encoder) -> Iterator[Item]:
    """Sets SLOT and SEPARATOR to their slots in argv, COMMAND to the string, ENVIRONMENT to what execve(2) takes."""
    # The stack begins with the number of arguments and argv; behind its null pointer comes the environment.
    yield code.copy(Register.SLOT, Register.STACK)
    yield code.add(Register.SLOT, 2 * _POINTER_BYTES)
    yield code.copy(Register.SEPARATOR, Register.SLOT)
    yield Label("find the separator")
    yield code.load(Register.TEXT, Register.SEPARATOR, 0)
    yield code.compare(Register.TEXT, 0)
    yield code.jump_if_equal("wait for ever")
    yield code.load_byte(Register.BYTE, Register.TEXT, 0)
    yield code.compare(Register.BYTE, 0)
    yield code.jump_if_equal("separator found")
    yield code.add(Register.SEPARATOR, _POINTER_BYTES)
    yield code.jump("find the separator")
    yield Label("separator found")
    yield code.load(Register.COMMAND, Register.SEPARATOR, _POINTER_BYTES)
    yield code.compare(Register.COMMAND, 0)
    yield code.jump_if_equal("wait for ever")
    yield code.copy(Register.ENVIRONMENT, Register.SEPARATOR)
    yield Label("find the environment")
    yield code.load(Register.TEXT, Register.ENVIRONMENT, 0)
    yield code.add(Register.ENVIRONMENT, _POINTER_BYTES)
    yield code.compare(Register.TEXT, 0)
    yield code.jump_unless_equal("find the environment")


def _wait_for_release(code: Encoder) -> Iterator[Item]:
    yield code.add(Register.STACK, -_PARTS * 2 * _POINTER_BYTES)
    yield Label("read")
    yield code.set(Register.FIRST, _INPUT)
    yield code.copy(Register.SECOND, Register.STACK)
    yield code.set(Register.THIRD, 1)
    yield code.system_call("read")
    yield code.copy(Register.ERROR, Register.RESULT)
    yield code.compare(Register.ERROR, 1)
    yield code.jump_if_equal("released")
    yield code.negate(Register.ERROR)
    yield code.compare(Register.ERROR, Error.EINTR)
    yield code.jump_if_equal("read")
    yield code.set(Register.FIRST, _ERRORS)
    yield code.address_of(Register.SECOND, "never released")
    yield code.set(Register.THIRD, len(NEVER_RELEASED))
    yield code.system_call("write")
    yield code.set(Register.FIRST, NEVER_RELEASED_EXIT)
    yield code.system_call("exit_group")
    yield Label("released")


def _close_input(code: Encoder) -> Iterator[Item]:
    """Makes the standard input what it is in a container that has none. What is opened takes the lowest free number."""
    yield code.set(Register.FIRST, _INPUT)
    yield code.system_call("close")
    yield code.set(Register.FIRST, _AT_WORKING_DIR)
    yield code.address_of(Register.SECOND, "null device")
    yield code.set(Register.THIRD, _READ_AND_WRITE)
    yield code.set(Register.FOURTH, 0)
    yield code.system_call("openat")


def _execute(code: Encoder) -> Iterator[Item]:
    """Becomes the first candidate that can be executed; else goes on with ERROR, that of the whole search."""
    yield code.set(Register.ERROR, Error.ENOENT)
    yield code.set(Register.REFUSED, 0)
    yield Label("try")
    yield code.compare_registers(Register.SLOT, Register.SEPARATOR)
    yield code.jump_if_equal("none left")
    yield code.load(Register.FIRST, Register.SLOT, 0)
    yield code.copy(Register.SECOND, Register.SEPARATOR)
    yield code.add(Register.SECOND, _POINTER_BYTES)
    yield from _execve(code)
    yield code.compare(Register.ERROR, Error.ENOEXEC)
    yield code.jump_unless_equal("judge")
    yield from _execute_as_script(code)
    yield Label("judge")
    for error in failures.NOT_HERE:
        yield code.compare(Register.ERROR, error)
        yield code.jump_if_equal("next")
    yield code.compare(Register.ERROR, Error.EACCES)
    yield code.jump_unless_equal("tell")
    yield code.set(Register.REFUSED, 1)
    yield Label("next")
    yield code.add(Register.SLOT, _POINTER_BYTES)
    yield code.jump("try")
    yield Label("none left")
    yield code.compare(Register.REFUSED, 0)
    yield code.jump_if_equal("tell")
    yield code.set(Register.ERROR, Error.EACCES)


def _execute_as_script(code: Encoder) -> Iterator[Item]:
    """Has the shell read a file that the kernel does not know how to execute.

    The shell's arguments are made in place: the separator becomes the shell's name, the command the script's path.
    """
    yield code.address_of(Register.TEXT, "shell")
    yield code.store(Register.TEXT, Register.SEPARATOR, 0)
    yield code.load(Register.TEXT, Register.SLOT, 0)
    yield code.store(Register.TEXT, Register.SEPARATOR, _POINTER_BYTES)
    yield code.address_of(Register.FIRST, "shell")
    yield code.copy(Register.SECOND, Register.SEPARATOR)
    yield from _execve(code)
    yield code.store(Register.COMMAND, Register.SEPARATOR, _POINTER_BYTES)  # for the next candidate


def _execve(code: Encoder) -> Iterator[Item]:
    yield code.copy(Register.THIRD, Register.ENVIRONMENT)
    yield code.system_call("execve")
    yield code.copy(Register.ERROR, Register.RESULT)
    yield code.negate(Register.ERROR)


def _tell_failure(code: Encoder) -> Iterator[Item]:
    yield Label("tell")
    yield code.address_of(Register.ENTRY, "failures")
    yield Label("look up")
    yield code.load_byte(Register.BYTE, Register.ENTRY, 0)
    yield code.compare(Register.BYTE, 0)
    yield code.jump_if_equal("looked up")
    yield code.compare_registers(Register.BYTE, Register.ERROR)
    yield code.jump_if_equal("looked up")
    yield code.load_byte(Register.BYTE, Register.ENTRY, 2)
    yield code.add_register(Register.ENTRY, Register.BYTE)
    yield code.add(Register.ENTRY, 3)
    yield code.jump("look up")
    yield Label("looked up")
    yield code.copy(Register.TEXT, Register.COMMAND)
    yield code.set(Register.LENGTH, 0)
    yield Label("measure")
    yield code.load_byte(Register.BYTE, Register.TEXT, 0)
    yield code.compare(Register.BYTE, 0)
    yield code.jump_if_equal("measured")
    yield code.add(Register.TEXT, 1)
    yield code.add(Register.LENGTH, 1)
    yield code.jump("measure")
    yield Label("measured")
    yield from _part(code, 1, Register.COMMAND)
    yield code.set(Register.LENGTH, len(failures.BEFORE_COMMAND))
    yield code.address_of(Register.TEXT, "before command")
    yield from _part(code, 0, Register.TEXT)
    yield code.set(Register.LENGTH, len(failures.AFTER_COMMAND))
    yield code.address_of(Register.TEXT, "after command")
    yield from _part(code, 2, Register.TEXT)
    yield code.load_byte(Register.LENGTH, Register.ENTRY, 2)
    yield code.copy(Register.TEXT, Register.ENTRY)
    yield code.add(Register.TEXT, 3)
    yield from _part(code, 3, Register.TEXT)
    yield code.set(Register.FIRST, _ERRORS)
    yield code.copy(Register.SECOND, Register.STACK)
    yield code.set(Register.THIRD, _PARTS)
    yield code.system_call("writev")
    yield code.load_byte(Register.FIRST, Register.ENTRY, 1)
    yield code.system_call("exit_group")


def _part(code: Encoder, number: int, address: Register) -> Iterator[Item]:
    yield code.store(address, Register.STACK, number * 2 * _POINTER_BYTES)
    yield code.store(Register.LENGTH, Register.STACK, (number * 2 + 1) * _POINTER_BYTES)


def _wait_for_ever(code: Encoder) -> Iterator[Item]:
    yield Label("wait for ever")
    for argument in (Register.FIRST, Register.SECOND, Register.THIRD, Register.FOURTH):
        yield code.set(argument, 0)
    yield code.system_call("ppoll")  # for nothing, without a limit; a signal that stops and continues it ends the call
    yield code.jump("wait for ever")


def _texts() -> Iterator[Item]:
    for label, text in (
        ("never released", NEVER_RELEASED),
        ("null device", b"/dev/null\0"),
        ("shell", b"/bin/sh\0"),
        ("before command", failures.BEFORE_COMMAND),
        ("after command", failures.AFTER_COMMAND),
        ("failures", failures.table()),
    ):
        yield Label(label)
        yield text
