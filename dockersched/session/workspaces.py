"""The workspaces of a run, packed before it begins."""

from __future__ import annotations

from collections.abc import Callable, Container

from dockersched.data.run_files import RunFiles, pack_workspaces
from dockersched.errors import EpicError, Problem, WorkspaceError
from dockersched.graph.dag import TaskDAG


def pack(dag: TaskDAG, files: RunFiles, say: Callable[[str], None] | None, ended: Container[str] = ()) -> TaskDAG:
    """The tasks with the digests of their workspaces, which are part of what is on record. Blocks.

    Args:
        dag: the graph.
        files: of the run.
        say: told what is packed.
        ended: ids of tasks that do not run any more.

    Raises:
        EpicError: a workspace cannot be packed.
    """
    try:
        return pack_workspaces(dag, files, say or (lambda _line: None), ended)
    except WorkspaceError as error:
        path = () if error.task_id is None else ("tasks", error.task_id, "workspace")
        problems = [f"task {error.task_id!r} has a workspace of {error.source}: {each}" for each in error.problems]
        raise EpicError([Problem(problem, path) for problem in problems]) from error
