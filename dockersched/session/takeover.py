"""Results of an earlier run that a new one takes over."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from dockersched import ids
from dockersched.data.run_files import ARTIFACTS, RunFiles
from dockersched.errors import StateError
from dockersched.results import SandboxResult
from dockersched.store.folder import where_it_is


def take_over(results: Mapping[str, SandboxResult], run_dir: Path, files: RunFiles) -> dict[str, SandboxResult]:
    """The results, with logs and outputs in the new run's folder too: the earlier run may be removed.

    Args:
        results: of the earlier run, by task id.
        run_dir: folder of the new run.
        files: of the new run.

    Raises:
        StateError: an output is gone from the store, or damaged; nothing of any result is in the new run's folder.
        OSError: the folder cannot be written, as above.
    """
    try:
        return {task_id: _take_over(task_id, result, run_dir, files) for task_id, result in results.items()}
    except BaseException:
        for folder in ("logs", ARTIFACTS):
            shutil.rmtree(run_dir / folder, ignore_errors=True)
        raise


def _take_over(task_id: str, result: SandboxResult, run_dir: Path, files: RunFiles) -> SandboxResult:
    try:
        outputs = {
            name: replace(output, path=str(files.link_output(output.digest, task_id, name)))
            for name, output in result.outputs.items()
        }
    except StateError as error:
        raise StateError(
            f"what task {task_id!r} made cannot be taken over ({error}): run the epic anew with `dockersched run`"
        ) from error
    result = replace(result, outputs=outputs)
    if result.log is None:
        return result
    recorded = where_it_is(run_dir.parent.parent, result.log.path)
    if not recorded.is_file():
        return result
    path = run_dir / "logs" / ids.log_name(task_id, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(recorded, path)
    except OSError:  # not every file system has links
        shutil.copyfile(recorded, path)
    return replace(result, log=replace(result.log, path=str(path)))
