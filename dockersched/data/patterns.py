"""Which files of a tree are meant: include and exclude patterns, and `.gitignore` files, by git's own rules.

Rules: https://git-scm.com/docs/gitignore. The last pattern that matches decides; those of a deeper `.gitignore` come
after those of a higher one, and those of `exclude` come last of all, so that `!build/` there brings back what a
`.gitignore` leaves out. What is below a directory that is left out cannot be brought back.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence

from msgspec import Struct

_EVERYTHING = "."
"""The library's translation of patterns that match any name."""

_POSIX_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \t",
    "digit": "0-9",
    "lower": "a-z",
    "space": " \t\r\n\v\f",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
"""Those that the library does not know; git reads them in the C locale."""

_POSIX_CLASS = re.compile(rf"\[:({'|'.join(_POSIX_CLASSES)}):\]")


class Rule(Struct, frozen=True):
    """One pattern: whether an entry is what it says, not whether one of the directories above it is."""

    regex: re.Pattern[str] | None
    negated: bool
    only_directories: bool

    def matches(self, path: str, *, is_directory: bool) -> bool:
        """Whether an entry is meant; `path` is relative to where the pattern stands, without a slash at its end."""
        if self.only_directories and not is_directory:
            return False
        return self.regex is None or self.regex.fullmatch(path) is not None


class Rules:
    """Patterns that stand at one place, in their order.

    Args:
        lines: the patterns, as in a `.gitignore`; comments and blank lines are passed over.
        base: the directory they stand in, relative to the tree's root; empty for the root.
    """

    def __init__(self, lines: Sequence[str], base: str = "") -> None:
        self._rules = [rule for line in lines if (rule := _parse(line)) is not None]
        self._rules.reverse()
        self._skip = len(base) + 1 if base else 0

    def __len__(self) -> int:
        """How many patterns there are."""
        return len(self._rules)

    def verdict(self, path: str, *, is_directory: bool) -> bool | None:
        """True when an entry is matched, False when a negated pattern matches it, None when none does."""
        inner = path[self._skip :]
        for rule in self._rules:
            if rule.matches(inner, is_directory=is_directory):
                return not rule.negated
        return None


def last_verdict(rules: Sequence[Rules], path: str, *, is_directory: bool) -> bool:
    """What the last of several places says that says something; False when none does."""
    for place in reversed(rules):
        verdict = place.verdict(path, is_directory=is_directory)
        if verdict is not None:
            return verdict
    return False


def pattern_problem(line: str) -> str | None:
    """Why a pattern of an epic file cannot be meant; None when it can."""
    if not line.strip():
        return "is empty: write a pattern such as '*.log' or 'build/'"
    if "\n" in line or "\0" in line:
        return "holds a line break or NUL: write one pattern an entry"
    if line.removeprefix("!").startswith("/..") or ".." in line.split("/"):
        return "leads out of the source: patterns are relative to it"
    if line.startswith("#"):
        return "is a comment: write '\\#' for a name that begins with '#'"
    return None if _parse(line) else "is no pattern: it matches nothing"


def _parse(line: str) -> Rule | None:
    body = _trimmed(line)
    if not body or body.startswith("#"):
        return None
    negated = body.startswith("!")
    body = body[negated:]
    only_directories = body.endswith("/")
    body = body.removesuffix("/")
    if not body or body.endswith("/"):
        return None
    if negated and body[0] in "!#":
        body = "\\" + body
    # The library lets a pattern speak for all that is below an entry too. The walk asks of each entry alone, so that
    # directories which are left out are never read: "everything below" becomes "each entry below".
    if body.endswith("/**"):
        body += "/*"
    compiled = _compiled(_POSIX_CLASS.sub(lambda found: _POSIX_CLASSES[found[1]], body))
    if compiled is None:
        return None
    return Rule(None if compiled.pattern == _EVERYTHING else compiled, negated, only_directories)


def _compiled(body: str) -> re.Pattern[str] | None:
    """The library's translation; None for what matches nothing, as a range that ends before it begins."""
    # Slow to import, and only workspaces need it.
    from pathspec.patterns.gitignore import GitIgnorePatternError  # noqa: PLC0415
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # noqa: PLC0415

    with warnings.catch_warnings():
        # What might become a nested set in some later Python is a plain character in a pattern.
        warnings.simplefilter("ignore", FutureWarning)
        try:
            regex = GitIgnoreSpecPattern(body).regex
        except (GitIgnorePatternError, re.error):
            return None
        return None if regex is None else re.compile(regex.pattern, re.DOTALL)


def _trimmed(line: str) -> str:
    """Without the spaces at the end, but for one that is escaped."""
    line = line.removesuffix("\n").removesuffix("\r")
    bare = line.rstrip(" ")
    escapes = len(bare) - len(bare.rstrip("\\"))
    return bare + " " if escapes % 2 and len(bare) < len(line) else bare
