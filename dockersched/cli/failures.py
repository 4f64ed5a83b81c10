"""The one place where an exception becomes words for a person and an exit code."""

from __future__ import annotations

import os
import sys

from dockersched.cli.arguments import EXIT_USAGE
from dockersched.cli.looking import print_lines
from dockersched.errors import (
    DockerschedError,
    EngineUnavailableError,
    EpicError,
    MountRefusedError,
    RunnerError,
    RunOwnedError,
    StateError,
    TaskExecutionError,
)
from dockersched.report.text import printable

EXIT_FAILED = 1
EXIT_ENGINE = 3
EXIT_OWNED = 5
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141

_REMEDY = "Start an engine, or name one that runs in DOCKER_HOST; `docker version` shows which one is reached."
_LINE_LIMIT = 4_000


def report_failure(error: BaseException, *, with_traceback: bool) -> int:
    """Says on stderr what went wrong and returns the exit code.

    Args:
        error: whatever came out of a verb.
        with_traceback: whether the reader is a developer.
    """
    if isinstance(error, BrokenPipeError):
        _forget_stdout()
        return EXIT_BROKEN_PIPE
    if with_traceback:
        import traceback  # noqa: PLC0415 - for developers

        traceback.print_exception(error)
    lines, code = _words(error)
    print_lines((printable(line, _LINE_LIMIT) for line in lines), sys.stderr)
    return code


def _words(error: BaseException) -> tuple[list[str], int]:
    lines, code = [f"dockersched: {error}"], EXIT_FAILED
    match error:
        case EpicError():
            lines, code = [str(problem) for problem in error.problems], EXIT_USAGE
        case EngineUnavailableError():
            lines, code = [*lines, *([] if "DOCKER_HOST" in str(error) else [_REMEDY])], EXIT_ENGINE
        case RunnerError():
            code = EXIT_ENGINE
        case RunOwnedError():
            code = EXIT_OWNED
        case StateError() | MountRefusedError():
            code = EXIT_USAGE
        case TaskExecutionError():
            code = error.result.exit_code
        case KeyboardInterrupt():
            lines, code = ["dockersched: interrupted"], EXIT_INTERRUPTED
        case DockerschedError() | OSError():
            pass
        case _:
            hint = "this is a mistake in dockersched; --log-level debug shows where"
            lines = [f"dockersched: {type(error).__name__}: {error} ({hint})"]
    return lines, code


def _forget_stdout() -> None:
    """Lets the interpreter's last flush go nowhere; it would print a message of its own."""
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
    except (OSError, ValueError):
        return
    os.close(sink)
