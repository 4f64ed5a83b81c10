"""GitHub Actions: a run's failures as annotations, and nothing that a task wrote as a command to the runner.

What the runner takes for a command, in stdout as in stderr, is in its source, `src/Runner.Common/ActionCommand.cs`: a
line that begins with `::`, spaces left out, and `##[` anywhere in a line. It compares texts by the rules of a culture,
which pass over some characters that nobody sees.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from dockersched.report.digest import Digest, cause_lines
from dockersched.report.text import one_line
from dockersched.results import EpicResult

Clean = Callable[[str], str]

_COMMAND = re.compile(
    r"(?m)(?<=#)#(?=[^ -~\n]*\[)"  # the usual case, told apart for speed
    r"|#(?=[^ -~\n]+#[^ -~\n]*\[)"
    r"|(?:^|(?<=\r))[^!-~\n]*:(?=[^ -~\n]*:)"
)
_ANNOTATIONS_MAX = 10
"""Errors that the runner shows of one step."""
_TITLE_MAX = 120


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


def error_commands(result: EpicResult, digest: Digest) -> Iterator[str]:
    """The commands, a line each, that show a run's failures beside the workflow's steps; bounded.

    Args:
        result: of the run.
        digest: of its failures.
    """
    if result.succeeded:
        return
    shown = digest.causes[: _ANNOTATIONS_MAX - 1]
    for cause in shown:
        title = f"epic {result.epic_id}: task {cause.task.task_id}"
        yield _error(title, "\n".join(cause_lines(cause)))
    if more := len(result.root_cause_ids) - len(shown):
        yield _error(f"epic {result.epic_id}", f"tasks that failed, beside those that are shown: {more:,}")
    elif not shown:
        yield _error(f"epic {result.epic_id}", f"the epic ended as {result.state}")


def _error(title: str, message: str) -> str:
    return f"::error title={_escaped_property(one_line(title, _TITLE_MAX))}::{_escaped(message)}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")


def _last_written_out(found: re.Match[str]) -> str:
    return found[0][:-1] + f"\\x{ord(found[0][-1]):02x}"


def _json_without_commands(text: str) -> str:
    return text.replace("##[", "#\\u0023[")
