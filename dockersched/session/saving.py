"""What is kept of a run that has ended: `result.json`, and what its caller gets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dockersched.report.digest import DigestSettings, make_digest
from dockersched.report.document import write_result
from dockersched.results import EpicResult
from dockersched.session.terms import SessionResult
from dockersched.states import EpicState


def save_result(
    path: Path, result: EpicResult, leaked: Sequence[str], *, digest: DigestSettings, cancelled_for: int | None
) -> SessionResult:
    """Writes `result.json`; blocks.

    Args:
        path: of the file.
        result: of the epic.
        leaked: what could not be removed from the engine, in words.
        digest: how the failures are digested.
        cancelled_for: the exit code that whoever cancelled the run asked for, if it was cancelled.

    Raises:
        OSError: it cannot be written.
    """
    told = make_digest(result, digest)
    exit_code = result.exit_code
    if cancelled_for is not None and result.state is EpicState.CANCELLED:
        exit_code = cancelled_for
    write_result(path, result, digest=told, exit_code=exit_code)
    return SessionResult(result, exit_code, told, path, leaked)
