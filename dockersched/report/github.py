"""GitHub Actions: nothing that a task wrote is a command to the runner.

What the runner takes for a command, in stdout as in stderr, is in its source, `src/Runner.Common/ActionCommand.cs`: a
line that begins with `::`, spaces left out, and `##[` anywhere in a line. It compares texts by the rules of a culture,
which pass over some characters that nobody sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

Clean = Callable[[str], str]

_COMMAND = re.compile(
    r"(?m)(?<=#)#(?=[^ -~\n]*\[)"  # the usual case, told apart for speed
    r"|#(?=[^ -~\n]+#[^ -~\n]*\[)"
    r"|(?:^|(?<=\r))[^!-~\n]*:(?=[^ -~\n]*:)"
)


def is_on_github(environ: Mapping[str, str]) -> bool:
    """Whether a step of a workflow calls the command."""
    return environ.get("GITHUB_ACTIONS") == "true"


def text_cleaner(environ: Mapping[str, str]) -> Clean | None:
    """Makes text that is to be printed harmless for the runner; None where there is none."""
    return without_commands if is_on_github(environ) else None


def json_cleaner(environ: Mapping[str, str]) -> Clean | None:
    """The same for JSON in ASCII, of which a reader notices nothing."""
    return _json_without_commands if is_on_github(environ) else None


def without_commands(text: str) -> str:
    r"""The text with one character of everything that would be a command written out, as in `#\x23[`."""
    return _COMMAND.sub(_last_written_out, text) if "#" in text or ":" in text else text


def _last_written_out(found: re.Match[str]) -> str:
    return found[0][:-1] + f"\\x{ord(found[0][-1]):02x}"


def _json_without_commands(text: str) -> str:
    return text.replace("##[", "#\\u0023[")
