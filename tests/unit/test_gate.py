"""What the gate does on each architecture, seen by the kernel: in an emulated processor, call by call."""

import os
from typing import Any

import pytest

from dockersched.sandbox.docker.gate.failures import Error
from dockersched.sandbox.docker.gate.program import ARCHITECTURES, program
from dockersched.sandbox.docker.outcome import classify_exit
from dockersched.states import Reason
from tests.support.emulation import PROCESSORS, Kernel

ENVIRONMENT = ["HOME=/home/sandbox", "PATH=/bin"]
RELEASED = [("read", 0, 1), ("close", 0), ("openat", -100, "/dev/null", os.O_RDWR, 0)]
NEVER_RELEASED = [("write", 2, b"dockersched gate: never released\n"), ("exit_group", 125)]

pytestmark = pytest.mark.parametrize("architecture", sorted(ARCHITECTURES))


def calls(architecture: str, *argv: str, **answers: Any) -> list[tuple[Any, ...]]:
    return Kernel(architecture, **answers).run(program(architecture), ["gate", *argv], ENVIRONMENT)


def failed(text: str, code: int) -> list[tuple[Any, ...]]:
    return [("write", 2, f"[FATAL tini (7)] exec {text}\n".encode()), ("exit_group", code)]


def executed(path: str, *argv: str) -> tuple[Any, ...]:
    return ("execve", path, list(argv), ENVIRONMENT)


@pytest.mark.parametrize("argv", [(), ("/bin/true",), ("/bin/true", ""), ("",)])
def test_without_a_command_it_waits_for_ever(architecture: str, argv: tuple[str, ...]) -> None:
    assert calls(architecture, *argv) == [("ppoll", 0, 0, 0, 0)] * 3


@pytest.mark.parametrize("answer", [0, -Error.EIO, -Error.EAGAIN])
def test_the_end_of_its_input_ends_it(architecture: str, answer: int) -> None:
    assert calls(architecture, "/bin/true", "", "true", reads=[answer]) == [("read", 0, 1), *NEVER_RELEASED]


def test_a_signal_releases_nothing(architecture: str) -> None:
    reads = [-Error.EINTR, -Error.EINTR, 0]
    assert calls(architecture, "/bin/true", "", "true", reads=reads) == [("read", 0, 1)] * 3 + NEVER_RELEASED


@pytest.mark.parametrize("arguments", [(), ("one",), ("one", "", "three")])
def test_a_byte_makes_it_the_command(architecture: str, arguments: tuple[str, ...]) -> None:
    seen = calls(architecture, "/bin/echo", "", "echo", *arguments)
    assert seen == [*RELEASED, executed("/bin/echo", "echo", *arguments)]


def test_the_command_gets_the_kernels_own_lists(architecture: str) -> None:
    kernel = Kernel(architecture, executions=[-Error.ENOENT, 0])
    kernel.run(program(architecture), ["gate", "/a/x", "/b/x", "", "x", "one"], ENVIRONMENT)
    assert kernel.pointers == [(kernel.argv_at + 8 * 4, kernel.environment_at)] * 2


def test_no_environment_is_none_for_the_command(architecture: str) -> None:
    kernel = Kernel(architecture)
    assert kernel.run(program(architecture), ["gate", "/x", "", "x"])[-1] == ("execve", "/x", ["x"], [])


def test_it_goes_on_without_a_null_device(architecture: str) -> None:
    seen = calls(architecture, "/bin/true", "", "true", opened=-Error.ENOENT)
    assert seen == [*RELEASED, executed("/bin/true", "true")]


@pytest.mark.parametrize("error", ["ENOENT", "ENOTDIR", "EACCES", "ENODEV", "ESTALE", "ETIMEDOUT"])
def test_the_next_candidate_is_tried(architecture: str, error: str) -> None:
    seen = calls(architecture, "/a/x", "/b/x", "", "x", executions=[-Error[error], 0])
    assert seen == [*RELEASED, executed("/a/x", "x"), executed("/b/x", "x")]


@pytest.mark.parametrize(
    ("errors", "told", "code"),
    [
        (["ENOENT", "ENOTDIR"], "Not a directory", 1),
        (["ENOTDIR", "ENOENT"], "No such file or directory", 127),
        (["EACCES", "ENOENT"], "Permission denied", 126),
        (["ENOENT", "EACCES"], "Permission denied", 126),
    ],
)
def test_the_error_of_the_whole_search_is_told(architecture: str, errors: list[str], told: str, code: int) -> None:
    seen = calls(architecture, "/a/x", "/b/x", "", "x", executions=[-Error[error] for error in errors])
    assert seen[-2:] == failed(f"x failed: {told}", code)


def test_an_error_of_the_program_itself_ends_the_search(architecture: str) -> None:
    executions = [-Error.EACCES, -Error.ENOMEM]
    seen = calls(architecture, "/a/x", "/b/x", "/c/x", "", "x", executions=executions)
    told = failed("x failed: Cannot allocate memory", 1)
    assert seen == [*RELEASED, executed("/a/x", "x"), executed("/b/x", "x"), *told]


def test_no_candidate_is_no_program(architecture: str) -> None:
    assert calls(architecture, "", "x") == [*RELEASED, *failed("x failed: No such file or directory", 127)]


@pytest.mark.parametrize("arguments", [(), ("one", "two")])
def test_a_file_without_a_format_is_a_script(architecture: str, arguments: tuple[str, ...]) -> None:
    seen = calls(architecture, "/a/x", "", "x", *arguments, executions=[-Error.ENOEXEC, 0])
    shell = executed("/bin/sh", "/bin/sh", "/a/x", *arguments)
    assert seen == [*RELEASED, executed("/a/x", "x", *arguments), shell]


def test_without_a_shell_the_search_goes_on(architecture: str) -> None:
    executions = [-Error.ENOEXEC, -Error.ENOENT, -Error.ENOEXEC, -Error.EACCES, -Error.ENOENT]
    seen = calls(architecture, "/a/x", "/b/x", "/c/x", "", "x", "one", executions=executions)
    assert seen == [
        *RELEASED,
        executed("/a/x", "x", "one"),
        executed("/bin/sh", "/bin/sh", "/a/x", "one"),
        executed("/b/x", "x", "one"),
        executed("/bin/sh", "/bin/sh", "/b/x", "one"),
        executed("/c/x", "x", "one"),
        *failed("x failed: Permission denied", 126),
    ]


@pytest.mark.parametrize("error", sorted(set(Error) - {Error.ENOEXEC, Error.EINTR}))
def test_a_failure_is_told_in_the_words_of_the_c_library(architecture: str, error: Error) -> None:
    code = {Error.ENOENT: 127, Error.EACCES: 126}.get(error, 1)
    seen = calls(architecture, "/x", "", "x", executions=[-error])
    assert seen[-2:] == failed(f"x failed: {os.strerror(error)}", code)


def test_a_shell_without_a_format_is_told(architecture: str) -> None:
    seen = calls(architecture, "/x", "", "x", executions=[-Error.ENOEXEC] * 2)
    assert seen[-2:] == failed("x failed: Exec format error", 1)


@pytest.mark.parametrize("number", [18, 95, 133])
def test_another_failure_is_an_error(architecture: str, number: int) -> None:
    assert calls(architecture, "/x", "", "x", executions=[-number])[-2:] == failed("x failed: error", 1)


@pytest.mark.parametrize("command", ["", "x" * 100_000, "%s\n\t"])
def test_any_command_is_told_whole(architecture: str, command: str) -> None:
    assert calls(architecture, "", command)[-2:] == failed(f"{command} failed: No such file or directory", 127)


@pytest.mark.parametrize(("error", "reason"), [("ENOENT", Reason.NOT_FOUND), ("EACCES", Reason.NOT_EXECUTABLE)])
def test_a_failure_is_classified_as_that_of_the_init_is(architecture: str, error: str, reason: Reason) -> None:
    (_, _, log), (_, code) = calls(architecture, "/x", "", "x", executions=[-Error[error]])[-2:]
    ending = classify_exit({"ExitCode": code}, stopped_for=None, log_head=log)
    assert (ending.reason, ending.detail) == (reason, os.strerror(Error[error]))


def test_it_is_small(architecture: str) -> None:
    assert len(program(architecture)) < 2048
    assert sorted(PROCESSORS) == sorted(ARCHITECTURES)
