"""Published holes of runc and containerd, and which of them a version is older than. Pure.

Listed is what let somebody out of a container, or at what containerd keeps. Fixed versions are those of the projects'
own advisories (https://github.com/opencontainers/runc/security/advisories and that of containerd). Left out are holes
that Docker does not have, such as CVE-2026-41579 of runc.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from msgspec import Struct

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?(?:[-~]?rc\.?(\d+))?")
_COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty|\.m)?|v[\w.-]+-\d+-g[0-9a-f]+(-dirty)?")
_RELEASED = 10**6
"""Stands for "no release candidate": a release comes after all of them."""

Version = tuple[int, int, int, int]
"""Major, minor, patch, release candidate."""


class Advisory(Struct, frozen=True):
    """A published hole.

    Args:
        cve: its number.
        component: as the engine names it.
        fixed_in: the first version of each line of releases without it.
        lets_sandboxes_out: whether code in a sandbox may get at the host by it; else it takes a user of the host, or a
            container that sandboxes never are.
    """

    cve: str
    component: str
    fixed_in: tuple[str, ...]
    lets_sandboxes_out: bool = True


_NOVEMBER_2025 = ("1.2.8", "1.3.3", "1.4.0-rc.3")

ADVISORIES = (
    Advisory("CVE-2019-5736", "runc", ("1.0.0-rc7",)),
    Advisory("CVE-2024-21626", "runc", ("1.1.12",)),
    Advisory("CVE-2025-31133", "runc", _NOVEMBER_2025),
    Advisory("CVE-2025-52565", "runc", _NOVEMBER_2025),
    Advisory("CVE-2025-52881", "runc", _NOVEMBER_2025),
    Advisory("CVE-2020-15257", "containerd", ("1.3.9", "1.4.3"), lets_sandboxes_out=False),  # host's network only
    Advisory("CVE-2024-25621", "containerd", ("1.7.29", "2.0.7", "2.1.5", "2.2.0"), lets_sandboxes_out=False),
)


def older_than_fixes(component: str, version: str) -> Iterator[Advisory]:
    """The advisories of whose fixes a version of a component is older.

    Raises:
        ValueError: it is no version.
    """
    found = parse_version(version)
    for advisory in ADVISORIES:
        if advisory.component == component and not _is_fixed(found, [parse_version(fix) for fix in advisory.fixed_in]):
            yield advisory


def parse_version(text: str) -> Version:
    """A version as numbers that compare; what distributions add to it is left out.

    Raises:
        ValueError: it is none.
    """
    if (found := _VERSION.match(text)) is None:
        raise ValueError(f"{text!r} is no version")
    major, minor, patch, candidate = found.groups()
    return int(major), int(minor), int(patch or 0), int(candidate or _RELEASED)


def is_of_the_project(commit: str) -> bool:
    """Whether a build is the project's own, which names a commit of git; distributions name a package, or nothing."""
    return _COMMIT.fullmatch(commit) is not None


def _is_fixed(version: Version, fixes: list[Version]) -> bool:
    return version >= max(fixes) or any(version[:2] == fix[:2] and version >= fix for fix in fixes)
