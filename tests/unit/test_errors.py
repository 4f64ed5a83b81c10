"""Errors as values."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime

import pytest

from dockersched import errors
from dockersched.errors import DockerschedError, Problem
from dockersched.results import EpicResult
from dockersched.states import EpicState

NOW = datetime.fromtimestamp(0, UTC)
RESULT = EpicResult("e", "r", EpicState.FAILED, {}, NOW, NOW)
MADE_OF: dict[type[DockerschedError], tuple[object, ...]] = {
    errors.EpicError: ([Problem("wrong", ("tasks", 1), "e.yaml", 3, 4)],),
    errors.UnknownRunError: ("r", "/state"),
    errors.UnfinishedRunError: ("r", "e"),
    errors.FinishedRunError: ("r", "failed", 1),
    errors.RunOwnedError: ("r", 5),
    errors.EngineRefusedError: (409, "conflict"),
    errors.WorkspaceError: ("src", ["one", "two"], "t"),
    errors.ArchiveRefusedError: ("entry", "why"),
    errors.ValuesError: (3, "wrong"),
    errors.TaskExecutionError: ("failed", RESULT),
    errors.EpicTimeoutError: ("late", RESULT),
    errors.EpicCancelledError: ("cancelled", RESULT),
}
EVERY = [error for error in vars(errors).values() if isinstance(error, type) and issubclass(error, DockerschedError)]


def _unpickled(error: DockerschedError) -> object:
    return pickle.loads(pickle.dumps(error))  # noqa: S301 - what this process has pickled itself


@pytest.mark.parametrize("again", [_unpickled, copy.copy])
@pytest.mark.parametrize("cls", EVERY)
def test_every_error_survives_pickling(cls: type[DockerschedError], again: object) -> None:
    error = cls(*MADE_OF.get(cls, ("words",)))
    error.add_note("a note")
    made = again(error)  # type: ignore[operator]
    assert (type(made), str(made), made.args) == (cls, str(error), error.args)
    assert vars(made) == vars(error)
