"""Where the files of a run are beside dockersched: the packed workspaces, the content store, the outputs' folders."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Container, Iterator
from dataclasses import replace
from pathlib import Path

from dockersched import ids
from dockersched.data.files import TEMPORARY
from dockersched.data.pack import PACKS, Packed, pack_workspace, refuse_larger, stream_pack
from dockersched.data.store import ContentStore, TreeDigest
from dockersched.errors import WorkspaceError
from dockersched.graph.dag import TaskDAG
from dockersched.model import Workspace
from dockersched.model.files import DEFAULT_WORKSPACE_BYTES
from dockersched.units import format_bytes

STORE = "store"
ARTIFACTS = "artifacts"


class RunFiles:
    """The files of one run; its methods block and may be called from any thread.

    Args:
        store: root of the content store, which runs share.
        artifacts: folder of this run that gets its outputs, as `<task>/<output>/`, whatever characters the ids hold.
    """

    def __init__(self, store: Path, artifacts: Path) -> None:
        self.store = ContentStore(store)
        self._root = store
        self._artifacts = artifacts
        self._packed: dict[Workspace, Packed] = {}
        self._packing = threading.Lock()

    @classmethod
    def of_run(cls, run_dir: Path) -> RunFiles:
        """Those of a run whose folder is `<state directory>/runs/<run>`."""
        return cls(run_dir.parent.parent / STORE, run_dir / ARTIFACTS)

    def pack(self, workspace: Workspace) -> Packed:
        """Packs a workspace, once however many sandboxes get it.

        Raises:
            WorkspaceError: the folder cannot be packed, or is larger than the workspace may be.
        """
        source = Path(str(workspace.source))
        allowed = workspace.size_bytes or DEFAULT_WORKSPACE_BYTES
        key = replace(workspace, size_bytes=None, digest=None)
        with self._packing:
            if key not in self._packed:
                self._packed[key] = pack_workspace(
                    source,
                    include=workspace.include,
                    exclude=workspace.exclude,
                    gitignore=workspace.gitignore,
                    git=workspace.git,
                    store=self._root,
                    max_bytes=allowed,
                )
            packed = self._packed[key]
        refuse_larger(source, packed.size_bytes, allowed)  # it may have been packed for a larger one
        return packed

    def stream_workspace(self, digest: str, *, uid: int, gid: int) -> Iterator[bytes]:
        """A packed workspace as a tar stream, owned by uid and gid."""
        return stream_pack(self._root / PACKS / f"{digest}.tar", uid=uid, gid=gid)

    def output_dir(self, task_id: str, output: str) -> Path:
        """The folder for an output; the one above it is made, and what a crash left there unfinished goes."""
        folder = self._artifacts / ids.file_stem(task_id)
        folder.mkdir(parents=True, exist_ok=True)
        _remove_unfinished(folder)
        return folder / output

    def remove_unfinished(self) -> None:
        """Removes what a crash left of outputs that nobody makes any more, once the run has ended."""
        for folder in self._artifacts.glob("*"):
            _remove_unfinished(folder)

    def drop_output(self, task_id: str, output: str) -> None:
        """Removes the folder of an output that an attempt did not make, should an earlier attempt have made it."""
        shutil.rmtree(self.output_dir(task_id, output), ignore_errors=True)

    def link_output(self, digest: str, task_id: str, output: str) -> Path:
        """Makes the folder of an output that is in the store already, and returns it."""
        path = self.output_dir(task_id, output)
        self.store.materialise(TreeDigest(digest), path)
        return path


def _remove_unfinished(folder: Path) -> None:
    for unfinished in folder.glob(f"{TEMPORARY}*"):
        shutil.rmtree(unfinished, ignore_errors=True)


def pack_workspaces(dag: TaskDAG, files: RunFiles, say: Callable[[str], None], ended: Container[str] = ()) -> TaskDAG:
    """The graph with the digests of all its workspaces, each folder packed once. Blocks.

    Args:
        dag: the graph.
        files: of the run.
        say: told of each folder, and of what was left out of it because it has no content.
        ended: ids of tasks that do not run any more; their folders may be gone.

    Raises:
        WorkspaceError: a folder cannot be packed.
    """
    if not any(task.workspace and task.workspace.source for task in dag):
        return dag
    told: set[str] = set()
    tasks = []
    for task in dag:
        workspace = task.workspace
        if workspace is not None and workspace.source is not None and task.id not in ended:
            try:
                packed = files.pack(workspace)
            except WorkspaceError as error:
                raise WorkspaceError(error.source, error.problems, task.id) from error
            if packed.digest not in told:
                told.add(packed.digest)
                say(f"packed {workspace.source}: {format_bytes(packed.size_bytes)}, entries: {packed.entries}")
                for skipped in packed.skipped:
                    say(f"packed {workspace.source} without {skipped}")
            tasks.append(replace(task, workspace=replace(workspace, digest=packed.digest)))
        else:
            tasks.append(task)
    return TaskDAG(tasks)
