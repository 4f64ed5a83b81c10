"""Mends what processes that died left behind: containers without an owner, runs without an end, old runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from dockersched import ids
from dockersched.data.run_files import STORE, RunFiles
from dockersched.data.store import PRUNE_GRACE_S, ContentStore
from dockersched.errors import RunOwnedError, StateError, TaskExecutionError, UnknownRunError
from dockersched.inspection.recorded_events import has_started
from dockersched.replay import cancel, disregard_early_finals, replay, replayed
from dockersched.report.digest import DigestSettings, make_digest
from dockersched.report.document import write_result
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.docker import leftovers
from dockersched.sandbox.docker.connect import connect
from dockersched.sandbox.docker.leftovers import Leftovers
from dockersched.sandbox.docker.translate import LABEL_PREFIX, LABEL_RUN
from dockersched.states import Reason
from dockersched.store.codec import load_time
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal
from dockersched.store.lock import own_run, owner_of
from dockersched.store.requests import CancelRequests
from dockersched.units import format_bytes


class Garbage(Struct):
    """What there was to remove.

    Args:
        removed: what was removed, or would be; in words.
        leaked: what could not be removed from the engine, as `tell_leaked` of the command takes it.
        failed: what else could not be removed, and why; in words.
        kept: ids of runs that are not on record, and yet have started tasks.
    """

    removed: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


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
        FinishedRunError: an owner has ended it since.
        RunnerError: the engine failed.
    """
    engine = await connect()
    try:
        with own_run(store.run_dir(run_id)):
            store.refuse_finished(run_id)
            found = await leftovers.find(engine.pool, f"{LABEL_RUN}={run_id}")
            leaked = await leftovers.remove(engine.pool, found.get(run_id, Leftovers()))
            journal = Journal(store, run_id)
            epic_id = store.run(run_id).epic_id
            for task_id, attempt in journal.unfinished():
                cancelled = SandboxResult(ids.sandbox_id(epic_id, task_id), reason=Reason.CANCELLED)
                await journal.record(task_id, attempt, cancelled)
            RunFiles.of_run(store.run_dir(run_id)).remove_unfinished()
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
        FinishedRunError: an owner has ended it since.
        RunnerError: the engine failed.
    """
    engine = await connect()
    try:
        with own_run(store.run_dir(run_id)):
            store.refuse_finished(run_id)
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
        result = run.finish()
    except TaskExecutionError as error:
        result = error.result
    return replace(result, started_at=load_time(store.run(run_id).created_at))


async def collect_garbage(store: StateStore, garbage: Garbage, *, keep: int, dry_run: bool) -> None:
    """Removes what this state directory's runs left on the engine, if nobody owns them, and old finished runs.

    Of a run that ended before it was on record, nothing was started: there is nothing to keep. One that started tasks
    and is not on record was lost with its database, and is kept. What cannot be removed keeps nothing else.

    Containers and volumes with our labels whose run this state directory does not know, or whose name does not agree
    with their labels, belong to somebody else.

    Args:
        store: of the state directory.
        garbage: gets what is removed as soon as it is, whatever fails after it.
        keep: how many finished runs stay.
        dry_run: whether nothing is removed, only told.

    Raises:
        RunnerError: the engine failed.
    """
    runs = store.runs()
    engine = await connect()
    try:
        found = await leftovers.find(engine.pool, f"{LABEL_PREFIX}.sandbox")
        for run in runs:
            left = found.get(run.run_id, Leftovers())
            if not left.things:
                continue
            with _told(garbage, f"what run {run.run_id} left"), _free(store, run.run_id, dry_run=dry_run) as is_free:
                if is_free:
                    leaked = [] if dry_run else await leftovers.remove(engine.pool, left)
                    garbage.leaked += leaked
                    garbage.removed += [f"{thing} of run {run.run_id}" for thing in left.things if thing not in leaked]
    finally:
        engine.close()
    for run in [run for run in runs if run.state is not None][keep:]:
        with _told(garbage, f"run {run.run_id}"), _free(store, run.run_id, dry_run=dry_run) as is_free:
            if is_free:
                if not dry_run:
                    _remove_folder(store.run_dir(run.run_id))
                    store.forget_run(run.run_id)
                garbage.removed.append(f"run {run.run_id} of {run.epic_id} ({run.state})")
    is_any_beginning = _remove_unrecorded(store, garbage, dry_run=dry_run)
    # What was lost with a database may need any file, and so may a run that is not on record yet.
    if not (dry_run or garbage.kept or is_any_beginning):
        with _told(garbage, "what no run needs of the store"):
            if freed := prune(store):
                garbage.removed.append(f"{format_bytes(freed)} of files that no run needs")


def _remove_unrecorded(store: StateStore, garbage: Garbage, *, dry_run: bool) -> bool:
    """Removes the folders of runs that ended before they were on record; whether one that is not has an owner."""
    is_any_owned = False
    for run_dir in sorted(lock.parent for lock in store.run_dir("").glob("*/owner.lock")):
        run_id = run_dir.name
        if _is_recorded(store, run_id):
            continue
        with _told(garbage, f"run {run_id}"), _free(store, run_id, dry_run=dry_run) as is_free:
            if not is_free:
                is_any_owned = True
                continue
            if _is_recorded(store, run_id):  # its owner may have begun, and ended, since
                continue
            if has_started(run_dir):
                garbage.kept.append(run_id)
                continue
            if not dry_run:
                _remove_folder(run_dir)
            garbage.removed.append(f"run {run_id} (not started)")
    return is_any_owned


@contextmanager
def _told(garbage: Garbage, what: str) -> Iterator[None]:
    """Makes a line of what keeps something from being removed, so that the rest is removed still."""
    try:
        yield
    except (OSError, StateError, RecursionError) as error:  # of folders that are too deep
        garbage.failed.append(f"{what} cannot be removed: {error}")


def _remove_folder(run_dir: Path) -> None:
    """Removes a run's folder, which may be a link, or gone already.

    Raises:
        OSError: something of it is left.
    """
    if run_dir.is_symlink():
        run_dir.unlink()
    elif run_dir.exists():
        shutil.rmtree(run_dir)


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
def _free(store: StateStore, run_id: str, *, dry_run: bool) -> Iterator[bool]:
    """Whether nobody owns a run; nobody comes to own it while the block runs.

    Raises:
        OSError: that cannot be known.
    """
    run_dir = store.run_dir(run_id)
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
