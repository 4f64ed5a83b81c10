"""What only the end of a run knows: how long the removals took, of which most came after the records."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from dockersched.results import EpicResult, SandboxResult, TaskResult


def with_removals(result: EpicResult, removed_ms: Mapping[tuple[str, str, int], float]) -> EpicResult:
    """The result, its phases with how long the removals took.

    Args:
        result: of a run of which nothing is removed any more.
        removed_ms: milliseconds by run, task and attempt.
    """

    def removed(task_id: str, sandbox: SandboxResult) -> SandboxResult:
        phases = sandbox.phases
        took_ms = removed_ms.get((result.run_id, task_id, phases.attempt)) if phases else None
        return (
            sandbox
            if phases is None or took_ms is None
            else replace(sandbox, phases=replace(phases, remove_ms=took_ms))
        )

    def told(task: TaskResult) -> TaskResult:
        if task.sandbox is None:
            return task
        earlier = [removed(task.task_id, sandbox) for sandbox in task.earlier]
        return replace(task, sandbox=removed(task.task_id, task.sandbox), earlier=earlier)

    return replace(result, tasks={task_id: told(task) for task_id, task in result.tasks.items()})
