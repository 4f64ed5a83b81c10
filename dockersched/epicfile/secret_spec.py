"""The key `secrets` of an epic file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, ClassVar

from dockersched.epicfile import values
from dockersched.epicfile.keys import Keys, key
from dockersched.epicfile.kinds import Kind, map_of
from dockersched.epicfile.types import text_schema
from dockersched.model import SECRET_NAME_PATTERN, SecretSource, is_secret_name

_VARIABLE_PATTERN = "[A-Za-z_][A-Za-z0-9_]*"
_REMEDY = "write {env: VARIABLE} or {file: path}"
_NO_VALUES = "a secret itself does not belong into the file"

# No message about a source shows what was written there: it may be the secret itself.


def _source_variable(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(_VARIABLE_PATTERN, value):
        raise ValueError(f"is not the name of a variable (letters, digits and '_'); {_NO_VALUES}")
    return value


def _source_file(value: object) -> str:
    if type(value) is not str:
        raise ValueError(f"is not a text: write the path in quotes; {_NO_VALUES}")
    return values.text(value)


SOURCE_FILE = Kind(_source_file, text_schema())
SOURCE_VARIABLE = Kind(_source_variable, text_schema(_VARIABLE_PATTERN))


class SecretSpec(Keys):
    """Where the value of a secret comes from when the run starts: one of the two."""

    more_schema: ClassVar[dict[str, Any]] = {"oneOf": [{"required": ["env"]}, {"required": ["file"]}]}

    env = key(SOURCE_VARIABLE, "A variable of the environment that dockersched runs in.", "API_KEY")
    file = key(SOURCE_FILE, "A file; a relative path is relative to the epic file.", "./token.txt", "~/.netrc")

    def check(self) -> None:
        """Refuses all but one source."""
        if self.env is None and self.file is None:
            raise ValueError(f"has no source: {_REMEDY}")
        if self.env is not None and self.file is not None:
            raise ValueError("env and file exclude each other: keep one of them")

    def source(self, folder: PurePath) -> SecretSource:
        """The source; a relative path is one below `folder`."""
        if self.file is None:
            return SecretSource(env=self.env)
        return SecretSource(file=os.path.abspath(folder / os.path.expanduser(self.file)))  # noqa: PTH100, PTH111 - no `..` left, and no error without a home


def _secret_name(value: object) -> str:
    name = values.text(value)
    if not is_secret_name(name):
        raise ValueError(
            f"{values.shown(value)} is not the name of a secret: use up to 63 letters, digits, '_', '.' and '-', "
            "and begin with a letter, digit or '_'"
        )
    return name


def _map_of_source(value: object) -> object:
    if isinstance(value, dict):
        return value
    raise ValueError(f"is not a map: {_REMEDY}; {_NO_VALUES}")


def _map_of_names(value: object) -> object:
    """Refuses what is no map of names, a list of Compose, say."""
    if isinstance(value, dict):
        return value
    raise ValueError(
        f"is not a map of names: write it as NAME: {{env: VARIABLE}} or NAME: {{file: path}}; {_NO_VALUES}"
    )


SECRET_NAME = Kind(_secret_name, text_schema(SECRET_NAME_PATTERN))
SECRETS = map_of(SECRET_NAME, SecretSpec.kind().after(_map_of_source)).after(_map_of_names)


def secret_sources(
    shared: Mapping[str, SecretSpec] | None, own: Mapping[str, SecretSpec] | None, folder: PurePath
) -> dict[str, SecretSource]:
    """The secrets of a task: those that tasks share, and its own."""
    return {name: spec.source(folder) for name, spec in {**(shared or {}), **(own or {})}.items()}
