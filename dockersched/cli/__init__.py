"""The `dockersched` command. Each verb is a module of this package, imported only when it is needed.

A verb's module offers `HELP`, `configure(parser)` and `execute(args) -> exit code`; it imports what is heavy
inside `execute`, so that `--help` answers at once.
"""

from __future__ import annotations

import io
import os
import sys
from argparse import Namespace
from importlib import import_module
from typing import TYPE_CHECKING

from dockersched.cli.arguments import Parser, add_log_options
from dockersched.collector import load_undisturbed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

VERBS = (
    "run",
    "validate",
    "plan",
    "graph",
    "ps",
    "status",
    "explain",
    "timeline",
    "logs",
    "artifacts",
    "wait",
    "resume",
    "retry",
    "rightsize",
    "cancel",
    "gc",
    "schema",
    "images",
    "doctor",
)

_DESCRIPTION = "Runs an epic, a graph of tasks, each in its own resource-limited Docker container."
_EPILOG = "`dockersched VERB --help` tells more about a verb."
_TOP_OPTIONS = ("-h", "--help", "-V", "--version")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code; exceptions end here.

    Args:
        argv: the arguments; None takes the program's own.
    """
    load_undisturbed()
    _complete_streams()
    args = Namespace()
    try:
        code = _run_verb(sys.argv[1:] if argv is None else argv, args)
        sys.stdout.flush()
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 1
    except BaseException as error:  # noqa: BLE001 - the one place where errors become exit codes
        from dockersched.cli.failures import report_failure  # noqa: PLC0415 - not needed when all is well

        return report_failure(error, with_traceback=getattr(args, "log_level", "") == "debug")
    return code


def _complete_streams() -> None:
    """Sees to it that there is something to read from and to print to, whoever calls.

    A stream that the caller has closed is the null device, which also keeps its descriptor from becoming that of a file
    or a socket. What the encoding of stdout does not have is written out.
    """
    for descriptor, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            nothing = os.open(os.devnull, os.O_RDWR)  # the lowest that is free: the one that is missing
            os.set_inheritable(nothing, descriptor == nothing)
            setattr(sys, name, open(nothing, mode))  # noqa: PTH123, SIM115 - it stays open
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _run_verb(argv: Sequence[str], args: Namespace) -> int:
    if not argv or argv[0] not in VERBS:
        _answer_without_verb(argv)
    verb = _module(argv[0])
    parser = Parser(prog=f"dockersched {argv[0]}", description=verb.HELP)
    verb.configure(parser)
    add_log_options(parser)
    parser.parse(argv[1:], args)

    from dockersched import log  # noqa: PLC0415 - `--help` does not need it

    log.configure(args.log_level, args.log_format)
    code: int = verb.execute(args)
    return code


def _answer_without_verb(argv: Sequence[str]) -> None:
    """Help, the version, or a usage error; always ends the program."""
    from dockersched import __version__  # noqa: PLC0415 - named here alone

    parser = Parser(prog="dockersched", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("-V", "--version", action="version", version=f"dockersched {__version__}")
    if argv and argv[0] not in _TOP_OPTIONS:
        if argv[0].startswith("-"):
            parser.error(f"a verb comes first, then options such as {argv[0]!r}")
        parser.error_with_suggestion(f"there is no verb {argv[0]!r}", argv[0], VERBS)
    if not argv:
        parser.error(f"a verb is missing: {', '.join(VERBS[:-1])} or {VERBS[-1]}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB [option]")
    for name in VERBS:
        verbs.add_parser(name, help=_module(name).HELP)
    parser.parse_args(argv[:1])


def _module(verb: str) -> ModuleType:
    return import_module(f"dockersched.cli.{verb}")
