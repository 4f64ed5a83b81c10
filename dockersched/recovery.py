"""Mends what processes that died left behind: containers without an owner, runs without an end, old runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct

from dockersched import ids
from dockersched.data.run_files import STORE
from dockersched.data.store import PRUNE_GRACE_S, ContentStore
from dockersched.errors import RunOwnedError, TaskExecutionError, UnknownRunError
from dockersched.replay import cancel, disregard_early_finals, replay, replayed
from dockersched.report.digest import DigestSettings, make_digest
from dockersched.report.document import write_result
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.docker import leftovers
from dockersched.sandbox.docker.connect import connect
from dockersched.sandbox.docker.leftovers import Leftovers
from dockersched.sandbox.docker.translate import LABEL_PREFIX, LABEL_RUN
from dockersched.states import Reason
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal
from dockersched.store.lock import own_run, owner_of
from dockersched.store.requests import CancelRequests
from dockersched.units import format_bytes


class Garbage(Struct, frozen=True):
    """What was removed, or would be, and what could not be removed; in words."""

    removed: Sequence[str]
    leaked: Sequence[str]


async def end_orphan(store: StateStore, run_id: str, digest: DigestSettings | None = None) -> list[str]:
    """Ends a run whose owner died: its containers and volumes are removed, what has no record is cancelled.

    Args:
        store: the state database.
        run_id: the run.
        digest: how its failures are digested.

    Returns:
        in words, what could not be removed.

    Raises:
        RunOwnedError: it has an owner after all.
        RunnerError: the engine failed.
    """
    engine = await connect()
    try:
        with own_run(store.run_dir(run_id)):
            found = await leftovers.find(engine.pool, f"{LABEL_RUN}={run_id}")
            leaked = await leftovers.remove(engine.pool, found.get(run_id, Leftovers()))
            journal = Journal(store, run_id)
            epic_id = store.run(run_id).epic_id
            for task_id, attempt in journal.unfinished():
                cancelled = SandboxResult(ids.sandbox_id(epic_id, task_id), reason=Reason.CANCELLED)
                await journal.record(task_id, attempt, cancelled)
            result = _as_recorded(store, run_id, journal)
            path = store.run_dir(run_id) / "result.json"
            told = make_digest(result, digest or DigestSettings())
            write_result(path, result, digest=told)
            store.finish_run(run_id, str(result.state), result.exit_code)
            CancelRequests(store.run_dir(run_id)).clear()
            return leaked
    finally:
        store.close()
        engine.close()


async def cancel_orphaned_tasks(store: StateStore, run_id: str, task_ids: Sequence[str]) -> list[str]:
    """Cancels tasks of a run whose owner died: their containers are removed, and whoever resumes it starts no others.

    Returns:
        names of containers that could not be removed.

    Raises:
        RunOwnedError: it has an owner after all.
        RunnerError: the engine failed.
    """
    engine = await connect()
    try:
        with own_run(store.run_dir(run_id)):
            CancelRequests(store.run_dir(run_id)).put(task_ids)
            journal = Journal(store, run_id)
            epic = store.epic(run_id)
            unfinished = [(task_id, attempt) for task_id, attempt in journal.unfinished() if task_id in task_ids]
            names = {ids.container_name(epic.options.epic_id, run_id, *attempt) for attempt in unfinished}
            found = await leftovers.find(engine.pool, f"{LABEL_RUN}={run_id}")
            leaked = await leftovers.remove(engine.pool, found.get(run_id, Leftovers()).of_containers(names))
            for task_id, attempt in unfinished:
                cancelled = SandboxResult(ids.sandbox_id(epic.options.epic_id, task_id), reason=Reason.CANCELLED)
                await journal.record(task_id, attempt, cancelled)
            return leaked
    finally:
        store.close()
        engine.close()


def _as_recorded(store: StateStore, run_id: str, journal: Journal) -> EpicResult:
    """The result of a run in which nothing more starts: what is on record stands, the rest is cancelled."""
    epic = store.epic(run_id)
    requests = CancelRequests(store.run_dir(run_id)).of_tasks()
    disregard_early_finals(epic.dag, epic.options, journal, requests, goes_on=False)
    run, in_flight = replayed(epic.dag, epic.options, journal, requests)
    if run.plan.unfinished:
        cancel(run, in_flight)
        for _ in replay(run, journal.recorded):
            pass
        run.stop(Reason.CANCELLED, spare_final=False)
    try:
        return run.finish()
    except TaskExecutionError as error:
        return error.result


async def collect_garbage(store: StateStore, *, keep: int, dry_run: bool) -> Garbage:
    """Removes what this state directory's runs left on the engine, if nobody owns them, and old finished runs.

    Of a run that ended before it was on record, nothing was started: there is nothing to keep.

    Containers and volumes with our labels whose run this state directory does not know, or whose name does not agree
    with their labels, belong to somebody else.
    """
    removed: list[str] = []
    leaked: list[str] = []
    runs = store.runs()
    engine = await connect()
    try:
        found = await leftovers.find(engine.pool, f"{LABEL_PREFIX}.sandbox")
        for run in runs:
            left = found.get(run.run_id, Leftovers())
            with _without_owner(store.run_dir(run.run_id), dry_run=dry_run) as is_free:
                if left.things and is_free:
                    failed = [] if dry_run else await leftovers.remove(engine.pool, left)
                    leaked += failed
                    removed += [f"{thing} of run {run.run_id}" for thing in left.things if thing not in failed]
    finally:
        engine.close()
    for run in [run for run in runs if run.state is not None][keep:]:
        with _without_owner(store.run_dir(run.run_id), dry_run=dry_run) as is_free:
            if is_free:
                removed.append(f"run {run.run_id} of {run.epic_id} ({run.state})")
                if not dry_run:
                    shutil.rmtree(store.run_dir(run.run_id), ignore_errors=True)
                    store.forget_run(run.run_id)
    removed += _remove_unstarted(store, dry_run=dry_run)
    if not dry_run and (freed := prune(store)):
        removed.append(f"{format_bytes(freed)} of files that no run needs")
    return Garbage(removed, leaked)


def _remove_unstarted(store: StateStore, *, dry_run: bool) -> Iterator[str]:
    """Removes the folders of runs that ended before they were on record."""
    for run_dir in sorted(lock.parent for lock in store.run_dir("").glob("*/owner.lock")):
        if _is_recorded(store, run_dir.name):
            continue
        with _without_owner(run_dir, dry_run=dry_run) as is_free:
            if is_free and not _is_recorded(store, run_dir.name):  # its owner may have begun, and ended, since
                yield f"run {run_dir.name} (not started)"
                if not dry_run:
                    shutil.rmtree(run_dir, ignore_errors=True)


def _is_recorded(store: StateStore, run_id: str) -> bool:
    try:
        store.run(run_id)
    except UnknownRunError:
        return False
    return True


def prune(store: StateStore, *, grace_s: float = PRUNE_GRACE_S) -> int:
    """Removes what no run that is left needs from the content store; returns how many bytes are free for it."""
    keep: set[str] = set()
    for run in store.runs():
        with suppress(UnknownRunError):  # somebody else has removed it since
            keep.update(_digests(store, run.run_id))
    return ContentStore(store.run_dir("").parent / STORE).prune(keep, grace_s=grace_s)


def _digests(store: StateStore, run_id: str) -> Iterator[str]:
    """Of all files that a run brought in or put out."""
    for task in store.epic(run_id).dag:
        if task.workspace and task.workspace.digest is not None:
            yield task.workspace.digest
    for row in store.attempts(run_id).values():
        if row.result:
            yield from (made.digest for made in row.result.outputs.values())


@contextmanager
def _without_owner(run_dir: Path, *, dry_run: bool) -> Iterator[bool]:
    """Whether nobody owns a run; nobody comes to own it while the block runs."""
    if dry_run or not run_dir.exists():
        yield owner_of(run_dir) is None
        return
    with ExitStack() as stack:
        try:
            stack.enter_context(own_run(run_dir))
        except (RunOwnedError, FileNotFoundError):  # or somebody else is just removing it
            yield False
        else:
            yield True
