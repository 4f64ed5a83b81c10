"""Parsing of the command's arguments: every mistake is told in one line, with what was probably meant."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING, NoReturn

from dockersched.log import FORMATS, LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

EXIT_USAGE = 2
_MAX_DIGITS = 18


class Parser(ArgumentParser):
    """An argument parser that does not guess at abbreviations.

    Args:
        prog: how the command was called.
        description: what it does.
        epilog: what else its help says.
    """

    def __init__(self, prog: str = "dockersched", description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, allow_abbrev=False)

    def parse(self, argv: Sequence[str], into: Namespace) -> None:
        """Parses all arguments into a namespace; an unknown one ends the program."""
        _, unknown = self.parse_known_args(argv, into)
        if unknown and unknown[0].startswith("-"):
            option = unknown[0].partition("=")[0]
            self.error_with_suggestion(f"there is no option {option!r}", option, self._option_string_actions)
        if unknown:
            self.error(f"{unknown[0]!r} is one argument too many")

    def error(self, message: str) -> NoReturn:
        """Tells what is wrong in one line and ends the program with exit code 2."""
        from dockersched.cli.looking import print_lines  # noqa: PLC0415 - rarely needed
        from dockersched.report.text import one_line  # noqa: PLC0415

        print_lines([f"{self.prog}: {one_line(message, 2_000)}; see {self.prog} --help"], sys.stderr)
        self.exit(EXIT_USAGE)

    def error_with_suggestion(self, message: str, word: str, known: Iterable[str]) -> NoReturn:
        """The same, with the known word that is nearest."""
        from dockersched.graph.problems import suggestion  # noqa: PLC0415 - rarely needed

        self.error(f"{message}{suggestion(word, list(known))}")


def add_log_options(parser: ArgumentParser) -> None:
    """Adds what every verb has: `--log-level` and `--log-format`."""
    group = parser.add_argument_group("logging")
    _add_choice(group.add_argument, "--log-level", LEVELS, "warning", "what is logged on stderr")
    _add_choice(group.add_argument, "--log-format", FORMATS, "console", "how it is logged")


def whole_number(text: str) -> int:
    """The number that an argument is, 0 or more; a `type` of arguments."""
    if not text.isdecimal() or len(text) > _MAX_DIGITS:
        raise ArgumentTypeError(f"must be a whole number, not {text!r}")
    return int(text)


def ordinal(text: str) -> int:
    """The same of a number that counts from 1."""
    if (number := whole_number(text)) == 0:
        raise ArgumentTypeError("counts from 1")
    return number


def _add_choice(
    add_argument: Callable[..., object], option: str, choices: Iterable[str], default: str, purpose: str
) -> None:
    words = tuple(choices)
    variable = f"DOCKERSCHED_{option.strip('-').replace('-', '_').upper()}"

    def one_of(word: str) -> str:
        if word not in words:
            raise ArgumentTypeError(f"must be one of {', '.join(words)}, not {word!r}")
        return word

    # Argparse hands a default that is a text to `type`, so a bad variable is refused like a bad argument.
    add_argument(
        option,
        type=one_of,
        metavar="|".join(words),
        default=os.environ.get(variable) or default,
        help=f"{purpose} (default: {default}, or {variable})",
    )
