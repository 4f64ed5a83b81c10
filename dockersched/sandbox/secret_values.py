"""The values of secrets: read from their sources once in a run, kept in memory alone, never shown."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from dockersched.errors import Problem, SecretUnavailableError
from dockersched.log import Logger
from dockersched.model import ScheduledTask, SecretSource
from dockersched.sandbox.redaction import MIN_BYTES, SecretPatterns

MAX_BYTES = 500 * 1024
"""As much as a secret of Docker's own may have."""

log = Logger("secrets")


class SecretValues:
    """The values of a run's secrets.

    Args:
        environ: where `env` sources are looked up.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._values: dict[SecretSource, bytes] = {}
        self._patterns = SecretPatterns(())

    def problems(self, tasks: Iterable[ScheduledTask]) -> list[Problem]:
        """Reads all secrets of the tasks.

        Returns:
            each source that has no value, once, at `("tasks", id, "secrets", name)` of the first task that wants it.
        """
        problems: dict[SecretSource, Problem] = {}
        for task in tasks:
            for name, source in task.secrets.items():
                if source not in problems:
                    try:
                        self.value(name, source)
                    except SecretUnavailableError as error:
                        path = ("tasks", task.id, "secrets", name)
                        problems[source] = Problem(f"task {task.id!r}: {error}", path)
        return list(problems.values())

    def values(self, secrets: Mapping[str, SecretSource]) -> dict[str, bytes]:
        """The values of some secrets, by name.

        Raises:
            SecretUnavailableError: one cannot be had.
        """
        return {name: self.value(name, source) for name, source in secrets.items()}

    def value(self, name: str, source: SecretSource) -> bytes:
        """The value of a secret; the source is asked once only.

        Raises:
            SecretUnavailableError: it cannot be had.
        """
        if source not in self._values:
            value = self._from_environment(name, source.env) if source.env is not None else _from_file(name, source)
            if 0 < len(value.strip()) < MIN_BYTES:
                log.warning("secret.too_short_to_redact", name=name, bytes_needed=MIN_BYTES)
            self._values[source] = value
            self._patterns = SecretPatterns(tuple(self._values.values()))
        return self._values[source]

    def patterns(self) -> SecretPatterns:
        """What to take out of output: all values that are known by now."""
        return self._patterns

    def _from_environment(self, name: str, variable: str) -> bytes:
        value = self._environ.get(variable)
        if value is None:
            raise SecretUnavailableError(
                f"the secret {name} comes from the variable {variable}, which is not set: set it where dockersched runs"
            )
        return os.fsencode(value)


def _from_file(name: str, source: SecretSource) -> bytes:
    path = Path(source.file or "")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a pipe must not block
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise SecretUnavailableError(f"the secret {name} comes from {path}, which is no regular file")
            value = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SecretUnavailableError(
            f"the secret {name} comes from the file {path}, which cannot be read ({why}): make it readable"
        ) from error
    if len(value) > MAX_BYTES:
        raise SecretUnavailableError(
            f"the secret {name} comes from the file {path}, which is larger than {MAX_BYTES // 1024} KiB"
        )
    return value
