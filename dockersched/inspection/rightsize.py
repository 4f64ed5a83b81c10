"""What quotas would have been enough: a patch for the epic file, from what the tasks of a run were seen to use."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import yaml
from msgspec import Struct

from dockersched.epic import Epic
from dockersched.model import ScheduledTask
from dockersched.model.opening import SHARED_MEMORY
from dockersched.results import SandboxResult, Usage
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.places import HOME, TMP
from dockersched.units import format_bytes

_MEMORY_STEP_BYTES = 8 * 2**20
_LEAST_MEMORY_BYTES = 16 * 2**20
_LEAST_SPARE_PIDS = 8
_WHOLE = 0.95
_NAMED_MAX = 10

_HEAD = """\
# Quotas for {epic}, from run {run}: the most that each task was seen to use in it, and {percent} % more.
# Merge them into the epic file. Use is read every few seconds: shorter peaks of pids are not seen, nor is what comes
# after the last reading. Memory counts the page cache, and the places in memory. /tmp, HOME and /dev/shm get half of
# the limit each, so that it is at least twice what was seen, but for tasks that give all three a size in tmpfs.
# What a matrix stands for is told one by one: merge the largest of their limits into the task that has the matrix."""

_PLACES = {TMP, HOME, SHARED_MEMORY}


class _Limit(Struct, frozen=True):
    """One limit of one task: what to write, what was there, and what was seen."""

    key: str
    proposed: str
    now: str
    seen: str


def patch_lines(
    epic: Epic, run_id: str, attempts: Mapping[str, Sequence[SandboxResult]], *, headroom: float
) -> Iterator[str]:
    """A YAML document with quotas below the present ones, which says in comments what each is based on.

    A limit is proposed only where use was measured, for tasks that succeeded: one that broke off would have used more.
    CPUs are not proposed: with fewer a task does not fail, it takes longer.

    Args:
        epic: of the run.
        run_id: of the run.
        attempts: the results of each task's attempts that have ended, in their order, by task id.
        headroom: what to add to the most that was seen, as a fraction of it.
    """
    yield from _HEAD.format(epic=_scalar(epic.options.epic_id), run=run_id, percent=f"{headroom * 100:g}").splitlines()
    left_out: dict[str, list[str]] = {}
    proposed = False
    for task in epic.dag:
        task_id, results = task.id, attempts.get(task.id, ())
        usage = _highest([result.usage for result in results if result.usage is not None])
        why = _why_not(results, usage)
        limits = [] if why or usage is None else list(_limits(task, results[-1], usage, headroom))
        if not limits:
            left_out.setdefault(why or "already close to what they use, or at their limit", []).append(task_id)
            continue
        if not proposed:
            yield "tasks:"
            proposed = True
        yield f"  {_scalar(task_id)}:"
        yield f"    quota:  # from {usage.readings if usage else 0} readings"
        for limit in limits:
            yield f"      {limit.key}: {limit.proposed}  # now {limit.now}; seen: {limit.seen}"
    if not proposed:
        yield "tasks: {}"
    for why, task_ids in left_out.items():
        yield f"# {why}: {_named(task_ids)}"


def _why_not(results: Sequence[SandboxResult], usage: Usage | None) -> str | None:
    """Why nothing can be said of a task; None when something can."""
    if not results or not results[-1].succeeded:
        return "did not succeed, so that their use tells nothing"
    return "too short to be read" if usage is None else None


def _limits(task: ScheduledTask, result: SandboxResult, usage: Usage, headroom: float) -> Iterator[_Limit]:
    quota = result.quota_effective
    memory, pids = (quota.memory_bytes, quota.pids) if quota else (None, None)
    if memory and (peak := usage.memory_peak_bytes) is not None and peak < _WHOLE * memory and not result.oom_event:
        # All of the peak may have been files in one place whose size follows from the limit.
        factor = 1 + headroom if task.tmpfs.keys() >= _PLACES else max(2.0, 1 + headroom)
        wanted = max(_LEAST_MEMORY_BYTES, _MEMORY_STEP_BYTES * math.ceil(peak * factor / _MEMORY_STEP_BYTES))
        now = min(memory, SandboxDefaults().fill_quota(task.quota).memory_bytes or memory)  # a retry may have had more
        if wanted < now:
            yield _Limit("memory", f"{wanted // 2**20}m", format_bytes(now), format_bytes(peak))
    if pids and (peak := usage.pids_peak) is not None and peak < pids:
        wanted = max(peak + _LEAST_SPARE_PIDS, math.ceil(peak * (1 + headroom)))
        if wanted < pids:
            yield _Limit("pids", str(wanted), str(pids), str(peak))


def _highest(usages: Collection[Usage]) -> Usage | None:
    """The most of all attempts."""
    if not usages:
        return None
    last = max(usages, key=lambda usage: usage.last_read_at)
    return Usage(
        memory_peak_bytes=_most(usage.memory_peak_bytes for usage in usages),
        cpu_s=last.cpu_s,
        pids_peak=_most(usage.pids_peak for usage in usages),
        written_bytes=last.written_bytes,
        readings=sum(usage.readings for usage in usages),
        last_read_at=last.last_read_at,
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _scalar(text: str) -> str:
    """A text as YAML has it, in quotes only where it would be something else without."""
    dumped: str = yaml.safe_dump(text, width=math.inf, allow_unicode=True)
    return dumped.removesuffix("\n").removesuffix("\n...")


def _named(task_ids: Sequence[str]) -> str:
    more = len(task_ids) - _NAMED_MAX
    return ", ".join(task_ids[:_NAMED_MAX]) + (f" and {more:,} more" if more > 0 else "")
