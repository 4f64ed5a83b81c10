"""A run that goes on: what is on record is taken in before anything that was, or is, asked of the run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from dockersched import (
    EpicControl,
    EpicExecutionOptions,
    ParallelTaskScheduler,
    PermanentRunnerError,
    Reason,
    RetryPolicy,
    SandboxRunOptions,
    ScheduledTask,
    TaskExecutionError,
    TaskState,
)
from dockersched.epic import Epic
from dockersched.epic_run import EpicRun
from dockersched.events import Event, TaskStarted
from dockersched.graph.dag import TaskDAG
from dockersched.recovery import _as_recorded
from dockersched.results import EpicResult, SandboxResult
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.docker.runner import DockerRunner
from dockersched.sandbox.fake import FakeRunner, Script
from dockersched.session.earlier import end_cancelled_attempts, end_early_finals
from dockersched.store.database import StateStore
from dockersched.store.journal import Journal, JournaledRunner
from dockersched.store.requests import CancelRequests

RUN = "r-1"
ONCE = RetryPolicy(limit=0)
FOR_EVER = Script(duration_s=None)


def task(task_id: str, *depends_on: str, **settings: Any) -> ScheduledTask:
    return ScheduledTask(task_id, depends_on, "true", **{"retry": ONCE, **settings})


class Removing(FakeRunner):
    """Also notes what is removed before the run goes on."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.removed: list[tuple[str, int]] = []

    async def remove(self, options: SandboxRunOptions) -> None:
        self.removed.append((options.task_id, options.attempt))


class Run:
    """One run, of which processes die."""

    def __init__(
        self,
        folder: Path,
        tasks: Sequence[ScheduledTask],
        succeeded: Mapping[str, SandboxResult] | None = None,
        **options: Any,
    ) -> None:
        self.store = StateStore(folder)
        self.epic = Epic(TaskDAG(tasks), EpicExecutionOptions(epic_id="e", run_id=RUN, **options))
        self.store.create_run(RUN, self.epic, {}, succeeded or {})
        self.requests = CancelRequests(self.store.run_dir(RUN))
        self.started: list[tuple[str, int]] = []
        self.removed: list[tuple[str, int]] = []

    def journal(self) -> Journal:
        return Journal(self.store, RUN)

    async def until(self, last: str, scripts: dict[str, Script], control: EpicControl | None = None) -> None:
        """A process that dies once this task has started."""
        has_started = asyncio.Event()
        runner = FakeRunner(scripts, on_start=lambda options: has_started.set() if options.task_id == last else None)
        scheduler = ParallelTaskScheduler(JournaledRunner(runner, self.journal()))
        running = asyncio.create_task(
            scheduler.execute_epic(self.epic.dag, self.epic.options, control=control or EpicControl())
        )
        async with asyncio.timeout(10):
            await has_started.wait()
            while not self.intended(last):
                await asyncio.sleep(0.01)
        journal = next(iter([scheduler._backend._journal]))  # type: ignore[attr-defined]
        journal._write = never  # as by a process that is dead
        running.cancel()
        await asyncio.wait([running], timeout=0.2)

    def _note(self, options: SandboxRunOptions) -> None:
        self.started.append((options.task_id, options.attempt))

    def intended(self, task_id: str) -> bool:
        return any(known == task_id for known, _ in self.store.attempts(RUN))

    async def resume(self, *requests: Sequence[str] | None, scripts: Mapping[str, Script] | None = None) -> EpicResult:
        runner = Removing(
            scripts=scripts or {}, on_start=lambda options: self.started.append((options.task_id, options.attempt))
        )
        journal, control = self.journal(), EpicControl()
        sandboxes = [sandbox_options(each, "e", RUN) for each in self.epic.dag]
        docker, asked = cast("DockerRunner", runner), self.requests.of_tasks()
        await end_cancelled_attempts(docker, journal, sandboxes, asked)
        goes_on = None not in requests
        await end_early_finals(docker, journal, self.epic, sandboxes, asked, goes_on=goes_on)
        self.removed = runner.removed
        for task_ids in requests:
            control.cancel(task_ids)
        scheduler = ParallelTaskScheduler(JournaledRunner(runner, journal))
        try:
            async with asyncio.timeout(10):
                return await scheduler.execute_epic(self.epic.dag, self.epic.options, control=control)
        except TaskExecutionError as error:
            return error.result


async def never() -> None:
    await asyncio.Event().wait()


def states(result: EpicResult) -> dict[str, TaskState]:
    return {task_id: entry.state for task_id, entry in result.tasks.items()}


async def test_a_task_that_had_succeeded_before_it_was_to_be_cancelled_has_succeeded(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a"), task("b", "a"), task("c", "b")])
    await run.until("c", {"c": FOR_EVER})
    result = await run.resume(["a"])
    assert set(states(result).values()) == {TaskState.SUCCEEDED}
    assert run.started == [("c", 1)]


async def test_a_run_that_is_cancelled_as_it_goes_on_keeps_what_is_on_record(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a"), task("b", "a")])
    await run.until("b", {"b": FOR_EVER})
    assert states(await run.resume(None, scripts={"b": FOR_EVER})) == {
        "a": TaskState.SUCCEEDED,
        "b": TaskState.CANCELLED,
    }


async def test_a_failure_on_record_stops_only_what_is_not_on_record(tmp_path: Path) -> None:
    tasks = [task("a", priority=5), task("c"), task("b", "c"), task("d", "b"), task("z", finally_=True)]
    run = Run(tmp_path, tasks, fail_fast=True)
    await run.until("z", {"a": Script(exit_code=3, duration_s=0.3), "d": FOR_EVER, "z": FOR_EVER})
    as_recorded = states(_as_recorded(run.store, RUN, run.journal()))
    assert (as_recorded["a"], as_recorded["b"]) == (TaskState.FAILED, TaskState.SUCCEEDED)
    result = states(await run.resume())
    assert [result[task_id] for task_id in "acbz"] == [
        TaskState.FAILED, TaskState.SUCCEEDED, TaskState.SUCCEEDED, TaskState.SUCCEEDED,
    ]  # fmt: skip


async def test_what_was_not_tried_again_for_good_is_not_when_the_run_goes_on(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a", retry=RetryPolicy()), task("h", "a", when="failure"), task("b", "a")])
    await run.until("h", {"a": Script(raises=PermanentRunnerError("refused")), "h": FOR_EVER})
    result = states(await run.resume())
    assert result == {"a": TaskState.FAILED, "h": TaskState.SUCCEEDED, "b": TaskState.UPSTREAM_FAILED}
    assert run.started == [("h", 1)]


async def test_a_share_that_is_held_for_what_must_wait_is_given_to_what_it_waits_for(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a"), task("k", "a", when="always")], max_parallel=1)
    control = EpicControl()
    asyncio.get_running_loop().call_later(0.1, control.cancel, ["a"])
    await run.until("k", {"a": FOR_EVER, "k": FOR_EVER}, control)
    result = await run.resume()
    assert set(states(result).values()) == {TaskState.SUCCEEDED}
    assert run.started == [("a", 2), ("k", 1)]


async def test_a_share_is_held_until_a_failure_on_record_has_stopped_what_would_take_it(tmp_path: Path) -> None:
    again = RetryPolicy(initial_s=0.2, jitter=False)
    tasks = [task("a"), task("b"), task("f", finally_=True, retry=again), task("g", finally_=True)]
    run = Run(tmp_path, tasks, max_parallel=1, fail_fast=True)
    for result in (SandboxResult("e.a", exit_code=3), SandboxResult("e.f", reason=Reason.INTERRUPTED)):
        task_id = result.sandbox_id.removeprefix("e.")
        await run.store.intend(RUN, task_id, 1)
        await run.store.record(RUN, task_id, 1, result)
    await run.store.intend(RUN, "f", 2)
    await run.resume()
    assert run.started == [("f", 2), ("g", 1)]


async def stopped_and_then_killed(folder: Path, last: str) -> Run:
    tasks = [task("m"), task("f", finally_=True), task("g", "f", finally_=True)]
    run = Run(folder, tasks, max_parallel=1)
    control = EpicControl()
    asyncio.get_running_loop().call_later(0.1, control.cancel)
    await run.until(last, {"m": FOR_EVER, last: FOR_EVER}, control)
    return run


async def test_tasks_with_finally_run_again_after_what_goes_on(tmp_path: Path) -> None:
    run = await stopped_and_then_killed(tmp_path, "g")
    assert set(states(await run.resume()).values()) == {TaskState.SUCCEEDED}
    assert run.removed == [("g", 1)]
    assert run.started == [("m", 2), ("f", 2), ("g", 2)]
    assert run.store.attempts(RUN)["g", 1].result.reason is Reason.CANCELLED  # type: ignore[union-attr]
    run.started.clear()
    assert set(states(await run.resume()).values()) == {TaskState.SUCCEEDED}
    assert run.started == []


async def test_a_task_with_finally_is_not_run_again_where_nothing_goes_on(tmp_path: Path) -> None:
    run = await stopped_and_then_killed(tmp_path, "g")
    run.requests.put(["m"])
    result = states(await run.resume(["m"]))
    assert (result["m"], result["f"], result["g"]) == (
        TaskState.CANCELLED, TaskState.SUCCEEDED, TaskState.SUCCEEDED,
    )  # fmt: skip
    assert (run.removed, run.started) == ([], [("g", 1)])


async def test_what_still_runs_is_stopped_in_its_own_right_by_a_failure_on_record(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a"), task("d"), task("z", finally_=True)], fail_fast=True)
    await run.until("d", {"a": FOR_EVER, "d": FOR_EVER})
    await run.store.record(RUN, "a", 1, SandboxResult("e.a", exit_code=3))
    result = await run.resume(scripts={"d": FOR_EVER})
    assert states(result) == {"a": TaskState.FAILED, "d": TaskState.CANCELLED, "z": TaskState.SUCCEEDED}
    assert (result.tasks["d"].attempts, run.started) == (1, [("d", 1), ("z", 1)])
    assert run.journal().unfinished() == []


async def test_what_came_after_a_task_that_was_cancelled_by_name_stays_on_record(tmp_path: Path) -> None:
    tasks = [task("a"), task("k", "a", when="always"), task("f", finally_=True), task("g", "f", finally_=True)]
    run = Run(tmp_path, tasks)
    control = EpicControl()
    asyncio.get_running_loop().call_later(0.1, control.cancel, ["a"])
    await run.until("g", {"a": FOR_EVER, "g": FOR_EVER}, control)
    run.requests.put(["a"])
    ended = states(_as_recorded(run.store, RUN, run.journal()))
    assert (ended["a"], ended["k"], ended["f"]) == (TaskState.CANCELLED, TaskState.SUCCEEDED, TaskState.SUCCEEDED)
    result = states(await run.resume(["a"]))
    assert (result["a"], result["k"], result["g"]) == (TaskState.CANCELLED, TaskState.SUCCEEDED, TaskState.SUCCEEDED)
    assert (run.removed, run.started) == ([], [("g", 1)])


async def test_an_old_attempt_of_a_task_with_finally_never_stands_for_a_later_one(tmp_path: Path) -> None:
    run = await stopped_and_then_killed(tmp_path, "g")
    await run.store.record(RUN, "g", 1, SandboxResult("e.g", reason=Reason.CANCELLED))
    await run.store.intend(RUN, "m", 2)
    await run.store.record(RUN, "m", 2, SandboxResult("e.m", reason=Reason.CANCELLED))
    run.requests.put(["m"])
    await run.store.intend(RUN, "f", 2)
    assert states(_as_recorded(run.store, RUN, run.journal()))["f"] is TaskState.CANCELLED
    assert states(await run.resume(["m"]))["f"] is TaskState.SUCCEEDED
    assert run.started == [("f", 2), ("g", 2)]


async def test_tasks_with_finally_stay_on_record_when_the_clock_is_set_back(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("m"), task("f", finally_=True), task("g", "f", finally_=True)])
    await run.store.intend(RUN, "m", 1, datetime.now(UTC) + timedelta(hours=1))
    await run.store.record(RUN, "m", 1, SandboxResult("e.m", exit_code=0))
    await run.until("g", {"g": FOR_EVER})
    assert set(states(await run.resume()).values()) == {TaskState.SUCCEEDED}
    assert run.started == [("g", 1)]


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
async def test_a_result_of_an_earlier_run_stays_whatever_goes_on(ahead_s: float, tmp_path: Path) -> None:
    ended = datetime.now(UTC) + timedelta(seconds=ahead_s)  # by a clock that is not ours
    earlier = {"c": SandboxResult("e.c", exit_code=0, started_at=ended, finished_at=ended)}
    run = Run(tmp_path, [task("m"), task("c", finally_=True)], earlier)
    await run.until("m", {"m": FOR_EVER})
    assert set(states(await run.resume()).values()) == {TaskState.SUCCEEDED}
    assert run.started == [("m", 1)]


@pytest.mark.parametrize("named", [[], ["x"]])
async def test_a_failure_on_record_stops_a_run_whatever_was_cancelled_by_name(tmp_path: Path, named: list[str]) -> None:
    tasks = [task("x"), task("k", "x", when="always"), task("a"), task("b"), task("z", finally_=True)]
    run = Run(tmp_path, [*tasks, task("y", "z", finally_=True)], fail_fast=True)
    control = EpicControl()
    asyncio.get_running_loop().call_later(0.1, control.cancel, named)
    scripts = {"x": FOR_EVER if named else Script(), "b": FOR_EVER, "y": FOR_EVER}
    await run.until("y", {**scripts, "a": Script(exit_code=3, duration_s=0.3)}, control)
    if named:
        run.requests.put(named)
    ended = _as_recorded(run.store, RUN, run.journal())
    assert (ended.exit_code, ended.tasks["z"].state) == (1, TaskState.SUCCEEDED)
    result = await run.resume(*([named] if named else []))
    assert (result.exit_code, run.started) == (1, [("y", 1)])
    for each in (ended, result):
        assert each.tasks["k"].state is TaskState.SUCCEEDED


async def test_a_final_that_had_succeeded_before_it_was_to_be_cancelled_has_succeeded(tmp_path: Path) -> None:
    tasks = [task("a"), task("b"), task("z", finally_=True), task("y", "z", finally_=True)]
    run = Run(tmp_path, tasks, fail_fast=True)
    await run.until("y", {"a": Script(exit_code=3, duration_s=0.3), "b": FOR_EVER, "y": FOR_EVER})
    run.requests.put(["z"])
    assert states(_as_recorded(run.store, RUN, run.journal()))["z"] is TaskState.SUCCEEDED
    assert states(await run.resume(["z"]))["z"] is TaskState.SUCCEEDED
    assert run.started == [("y", 1)]


async def test_an_order_that_comes_while_a_final_is_taken_in_does_not_undo_it(tmp_path: Path) -> None:
    tasks = [task("a"), task("b"), task("z", finally_=True), task("y", "z", finally_=True)]
    run, control = Run(tmp_path, tasks, fail_fast=True), EpicControl()
    await run.until("y", {"a": Script(exit_code=3, duration_s=0.3), "b": FOR_EVER, "y": FOR_EVER})

    def cancel(event: Event) -> None:
        if isinstance(event, TaskStarted) and event.task_id == "z":
            control.cancel(["z"])

    scheduler = ParallelTaskScheduler(JournaledRunner(FakeRunner(), run.journal()), observers=[cancel])
    with pytest.raises(TaskExecutionError) as caught:
        await scheduler.execute_epic(run.epic.dag, run.epic.options, control=control)
    assert caught.value.result.tasks["z"].state is TaskState.SUCCEEDED


async def test_a_task_that_is_cancelled_gets_no_attempt_after_those_on_record(tmp_path: Path) -> None:
    again = RetryPolicy(limit=5, exit_codes=[3], initial_s=0.05, max_s=0.05)
    run = Run(tmp_path, [task("a", retry=again), task("b", "a"), task("long")])
    await run.until("long", {"a": FOR_EVER, "long": FOR_EVER})
    await run.store.record(RUN, "a", 1, SandboxResult("e.a", exit_code=3))
    run.requests.put(["a"])
    result = await run.resume(["a"])
    assert (result.tasks["a"].state, result.tasks["a"].attempts) == (TaskState.CANCELLED, 1)
    assert run.started == [("long", 1)]


AGAIN = RetryPolicy(limit=2, exit_codes=[3], initial_s=0.01)


def failed(task_id: str) -> SandboxResult:
    return SandboxResult(f"e.{task_id}", exit_code=3, reason=Reason.EXIT_CODE)


async def on_record(run: Run, task_id: str, result: SandboxResult | None = None, stop: Reason | None = None) -> None:
    """An attempt of an earlier process."""
    await run.store.intend(RUN, task_id, 1)
    if stop is not None:
        await run.store.intend_stop(RUN, task_id, 1, stop)
    if result is not None:
        await run.store.record(RUN, task_id, 1, result)


async def test_what_is_cancelled_while_its_intent_is_written_has_a_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, control = Run(tmp_path, [task("m"), task("l")]), EpicControl()
    intend = StateStore.intend

    async def cancelled_meanwhile(store: StateStore, run_id: str, task_id: str, attempt: int, at: datetime) -> None:
        if task_id == "m":
            asyncio.get_running_loop().call_soon(control.cancel, ["m"])
        await intend(store, run_id, task_id, attempt, at)

    monkeypatch.setattr(StateStore, "intend", cancelled_meanwhile)
    runner = FakeRunner()
    with pytest.raises(TaskExecutionError):
        await ParallelTaskScheduler(JournaledRunner(runner, run.journal())).execute_epic(
            run.epic.dag, run.epic.options, control=control
        )
    row = run.store.attempts(RUN)["m", 1]
    assert row.result is not None
    assert row.result.reason is Reason.CANCELLED


async def test_a_failure_as_it_was_cancelled_means_the_same_live_and_on_record(tmp_path: Path) -> None:
    tasks = [task("a", retry=AGAIN), task("h", "a", when="failure"), task("l")]
    run = Run(tmp_path, tasks)
    await on_record(run, "a", failed("a"), Reason.CANCELLED)
    await on_record(run, "l")
    run.requests.put(["a"])
    resumed = await run.resume(["a"])

    live = EpicRun(TaskDAG(tasks), EpicExecutionOptions(), ())
    begun = dict([live.start_next(), live.start_next()])
    a = next(index for index, options in begun.items() if options.task_id == "a")
    assert live.cancel(["a"]) == [a]
    live.settle(a, failed("a"))
    for index in begun.keys() - {a}:
        live.settle(index, SandboxResult("e.l", exit_code=0))
    with pytest.raises(TaskExecutionError) as told:
        live.finish()
    assert states(resumed) == states(told.value.result)
    assert states(resumed) == {"a": TaskState.CANCELLED, "h": TaskState.CANCELLED, "l": TaskState.SUCCEEDED}


async def test_the_end_of_a_run_without_an_owner_keeps_the_finals_on_record(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("m"), task("f", finally_=True), task("g", "f", finally_=True)])
    await on_record(run, "m", SandboxResult("e.m", reason=Reason.CANCELLED), Reason.CANCELLED)
    await on_record(run, "f", SandboxResult("e.f", exit_code=0))
    await on_record(run, "g")
    told = states(_as_recorded(run.store, RUN, run.journal()))
    assert told == {"m": TaskState.CANCELLED, "f": TaskState.SUCCEEDED, "g": TaskState.CANCELLED}


async def test_a_run_without_an_owner_ends_with_the_time_at_which_it_began(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("a"), task("b", "a")])
    await run.until("b", {"b": FOR_EVER})

    ended = _as_recorded(run.store, RUN, run.journal())

    assert ended.started_at == datetime.fromisoformat(run.store.run(RUN).created_at)


async def test_finals_on_record_come_no_second_time_in_a_run_that_is_cancelled(tmp_path: Path) -> None:
    run = Run(tmp_path, [task("m"), task("f", finally_=True), task("g", "f", finally_=True)])
    await on_record(run, "m", SandboxResult("e.m", reason=Reason.CANCELLED), Reason.CANCELLED)
    await on_record(run, "f", SandboxResult("e.f", exit_code=0))
    await on_record(run, "g")
    told = states(await run.resume(None))
    assert told == {"m": TaskState.CANCELLED, "f": TaskState.SUCCEEDED, "g": TaskState.SUCCEEDED}
    assert run.started == [("g", 1)]


@pytest.mark.parametrize("requests", [[["a"], ["k"]], [["k"], ["a"]], [["a", "k"]]])
async def test_what_runs_behind_a_task_that_was_cancelled_too_is_removed(
    tmp_path: Path, requests: Sequence[Sequence[str]]
) -> None:
    run = Run(tmp_path, [task("a"), task("k", "a", when="always"), task("l")])
    await on_record(run, "a", SandboxResult("e.a", reason=Reason.CANCELLED))
    await on_record(run, "k")
    await on_record(run, "l")
    for task_ids in requests:
        run.requests.put(task_ids)
    told = states(await run.resume(*requests))
    assert told == {"a": TaskState.CANCELLED, "k": TaskState.CANCELLED, "l": TaskState.SUCCEEDED}
    assert run.started == [("l", 1)]
    assert run.store.attempts(RUN)["k", 1].result is not None
