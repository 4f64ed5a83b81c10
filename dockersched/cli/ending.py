"""What is left to do when a run has ended: files that were asked for, and what a CI service shows."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping

    from dockersched.session import SessionResult


def check_ending(args: argparse.Namespace) -> None:
    """Refuses, before anything starts, what cannot be done at the end.

    Raises:
        EpicError: a detached run is to print events, or the JUnit file cannot be written.
    """
    from dockersched.errors import EpicError, Problem  # noqa: PLC0415 - keeps `--help` fast, as do all imports here
    from dockersched.report.files import check_writable  # noqa: PLC0415

    if args.detach and args.output == "jsonl":
        raise EpicError([Problem("dockersched: a detached run prints no events: they are in its events.jsonl")])
    if args.junit is None:
        return
    try:
        check_writable(Path(os.path.realpath(args.junit)))
    except OSError as error:
        why = f"cannot be written: {error.strerror or error}; name another file"
        raise EpicError([Problem(f"dockersched: --junit {args.junit}: {why}")]) from error


def write_reports(ended: SessionResult, junit: str | None, environ: Mapping[str, str]) -> bool:
    """Writes the JUnit file, and tells GitHub Actions of the run.

    Args:
        ended: the run.
        junit: path of the file; None for none.
        environ: tells whether a workflow's step calls.

    Returns:
        whether all could be written; what could not is said on stderr.
    """
    from dockersched.report.github import is_on_github  # noqa: PLC0415

    failures: list[str] = []
    with _telling(failures):
        if junit is not None:
            from dockersched.report.files import write_atomically  # noqa: PLC0415
            from dockersched.report.junit import junit_xml  # noqa: PLC0415

            write_atomically(Path(os.path.realpath(junit)), [junit_xml(ended.result)])
    if is_on_github(environ):
        from dockersched.report.github_report import append_step_summary, error_commands  # noqa: PLC0415

        with _telling(failures):
            if path := environ.get("GITHUB_STEP_SUMMARY"):
                append_step_summary(Path(path), ended.result, ended.digest, ended.exit_code)
        for line in error_commands(ended.result, ended.digest):
            print(line, file=sys.stderr)  # the runner reads it too, and stdout is the result's
    return not failures


@contextmanager
def _telling(failures: list[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        failures.append(str(error.filename))
        print(f"dockersched: {error.filename} cannot be written: {error.strerror or error}", file=sys.stderr)
