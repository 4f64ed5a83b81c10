"""How long tasks took in earlier runs, from the state database."""

from __future__ import annotations

from collections.abc import Iterable

RUNS = 5
"""How many of the last runs of an epic count."""

DURATIONS = f"""
SELECT task_id,
    (julianday(json_extract(result, '$.finished_at')) - julianday(json_extract(result, '$.started_at'))) * 86400 AS took
FROM attempts
WHERE run_id IN (SELECT run_id FROM runs WHERE epic_id = ? ORDER BY created_at DESC, rowid DESC LIMIT {RUNS})
    AND json_valid(result)
    AND json_extract(result, '$.exit_code') = 0 AND json_extract(result, '$.reason') IS NULL AND took > 0
"""  # noqa: S608 - made of constants


def usual_s(rows: Iterable[tuple[str, float]]) -> dict[str, float]:
    """The median of what each task took, in seconds, by task id.

    Args:
        rows: those of `DURATIONS`.
    """
    found: dict[str, list[float]] = {}
    for task_id, seconds in rows:
        found.setdefault(task_id, []).append(seconds)
    if not found:
        return {}
    from statistics import median  # noqa: PLC0415 - takes long to load, and a first run has no history

    return {task_id: median(seconds) for task_id, seconds in found.items()}
