"""Where a secret comes from; its value is never part of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dockersched.model.checks import text

SECRET_NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}"  # noqa: S105 - no password
"""A secret's name is the name of a file in the sandbox."""

SECRETS_DIR = "/run/secrets"
"""Where the files are."""

_NAME = re.compile(SECRET_NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where the value of a secret comes from when a run starts: exactly one of the two.

    Args:
        env: a variable of the environment that dockersched runs in.
        file: path of a file beside dockersched; a relative one is relative to the working directory.

    Raises:
        ValueError: not exactly one source.
    """

    env: str | None = None
    file: str | None = None

    def __post_init__(self) -> None:
        """Checks that there is one source."""
        given = {name: value for name, value in (("env", self.env), ("file", self.file)) if value is not None}
        if len(given) != 1:
            raise ValueError("a secret has exactly one source: env or file")
        for name, value in given.items():
            text(name, value)


def secrets(values: object) -> dict[str, SecretSource]:
    """The secrets of a task; refuses what is no map of names to sources."""
    if not isinstance(values, Mapping):
        raise TypeError(f"secrets must be a map of names to SecretSource, not {type(values).__name__}")
    for name, source in values.items():
        if not isinstance(name, str) or not is_secret_name(name):
            raise ValueError(f"secrets holds {name!r}, which cannot be the name of a secret")
        if not isinstance(source, SecretSource):  # it may be the value itself, which must not be shown
            raise TypeError(f"secrets[{name!r}] must be a SecretSource, not {type(source).__name__}")
    return dict(values)


def check_place(tmpfs: Iterable[str], mounts: Iterable[str]) -> None:
    """Refuses what else would be where the secrets are; files of the host not above them either."""
    for path in (*tmpfs, *mounts):
        if path == SECRETS_DIR or path.startswith(f"{SECRETS_DIR}/"):
            raise ValueError(f"tmpfs or mounts put something at {path!r}, where the secrets are: choose another path")
    for path in mounts:
        if SECRETS_DIR.startswith(f"{path}/"):
            raise ValueError(f"mounts put files of the host at {path!r}, above the secrets: choose another path")


def is_secret_name(name: str) -> bool:
    """Whether a text can be the name of a secret."""
    return _NAME.fullmatch(name) is not None
