"""Reads epic files, and finds the places of problems in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from dockersched.epic import Epic
from dockersched.epicfile import reader
from dockersched.epicfile.build import build
from dockersched.epicfile.expansion import expand
from dockersched.epicfile.findings import Finding, places_of, to_problems
from dockersched.epicfile.source import STDIN, decode, name_of, read_source
from dockersched.errors import EpicError, Problem


def load(source: str) -> Epic:
    """Reads an epic file; `-` is stdin.

    Raises:
        EpicError: all that is wrong with the file, sorted by position.
    """
    return load_text(read_source(source), name_of(source))


def load_text(text: str | bytes, name: str) -> Epic:
    """Reads an epic from the content of a file that messages call `name`.

    Raises:
        EpicError: all that is wrong with it, sorted by position.
    """
    text = decode(text, name)
    document = reader.read(text)
    if document.data is None:
        raise EpicError(_located(document.findings, text, name))
    epic, findings = build(document.data, name)
    findings = document.findings + _first_at_each_path(findings, document.findings)
    if epic is None or findings:
        raise EpicError(_located(findings, text, name))
    return epic


def locate(problems: Sequence[Problem], source: str) -> list[Problem]:
    """The problems with their places in the file that the epic was loaded from, sorted by position.

    stdin cannot be read again, nor can a file that has gone: then the places stay unknown.
    """
    name = name_of(source)
    findings = [Finding(problem.message, problem.path, prefixed=False) for problem in problems]
    try:
        text = "" if source == STDIN else read_source(source)
    except EpicError:
        text = ""
    if not text:
        return [replace(problem, file=name, line=0, column=0) for problem in problems]
    findings = expand(reader.read(text).data).found_in_file(findings)
    return _located(findings, text, name)


def _first_at_each_path(findings: Iterable[Finding], taken: Iterable[Finding]) -> list[Finding]:
    """The findings without those that only repeat, at the same path, what an earlier check has found there."""
    seen = {finding.path for finding in taken}
    first: list[Finding] = []
    for finding in findings:
        if finding.path not in seen:
            seen.add(finding.path)
            first.append(finding)
    return first


def _located(findings: Sequence[Finding], text: str, name: str) -> list[Problem]:
    wanted = {path for finding in findings if finding.position is None for path in places_of(finding.path)}
    return to_problems(findings, reader.find_places(text, wanted) if wanted else {}, name)
