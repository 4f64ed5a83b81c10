"""The scheduler's own requirement, line by line: [1_PRD-REQ-PERF-003]."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
from pytest_mock import MockerFixture

import dockersched
from dockersched import (
    EpicCancelledError,
    EpicControl,
    EpicError,
    EpicExecutionOptions,
    EpicState,
    EpicTimeoutError,
    ParallelTaskScheduler,
    PermanentRunnerError,
    QuotaConfig,
    Reason,
    RetryPolicy,
    SandboxResult,
    SandboxRunner,
    SandboxRunOptions,
    ScheduledTask,
    TaskDAG,
    TaskExecutionError,
    TaskState,
    TransientRunnerError,
)
from dockersched.epic_run import EpicRun
from dockersched.events import EpicFinished, EpicStarted, Event, TaskFinished, TaskRetrying, TaskStarted
from dockersched.graph.capacity import Capacity
from dockersched.model import TaskIs, ValueIs, When
from dockersched.results import EpicResult
from dockersched.sandbox.asked import sandbox_options
from dockersched.sandbox.fake import FakeRunner, Script


def task(task_id: str, *depends_on: str) -> ScheduledTask:
    return ScheduledTask(id=task_id, depends_on=depends_on, command="true")


class RecordingRunner:
    """The least that an embedder writes; runs `body` and keeps what was asked for and what was alive."""

    def __init__(self, body: Callable[[SandboxRunOptions], int] = lambda _: 0, steps: int = 3) -> None:
        self.body = body
        self.steps = steps
        self.alive = 0
        self.peak = 0
        self.log: list[tuple[str, str]] = []

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        self.log.append(("start", options.task_id))
        self.alive += 1
        self.peak = max(self.peak, self.alive)
        for _ in range(self.steps):  # lets others run in between
            await asyncio.sleep(0)
        self.alive -= 1
        self.log.append(("end", options.task_id))
        return SandboxResult(sandbox_id=options.sandbox_id, exit_code=self.body(options))


# [1_PRD-REQ-PERF-003]
def test_identifies_independent_tasks_from_dag() -> None:
    dag = TaskDAG([task("T1"), task("T2"), task("T3", "T1")])
    assert [ready.id for ready in ParallelTaskScheduler.get_ready_tasks(dag, [])] == ["T1", "T2"]


# [1_PRD-REQ-PERF-003]
async def test_schedules_ready_tasks_into_sandboxes_concurrently(mocker: MockerFixture) -> None:
    in_flight: set[str] = set()
    together: list[set[str]] = []

    async def ten_milliseconds(options: SandboxRunOptions) -> SandboxResult:
        in_flight.add(options.task_id)
        await asyncio.sleep(0.01)
        together.append(set(in_flight))
        in_flight.discard(options.task_id)
        return SandboxResult(sandbox_id=options.sandbox_id, exit_code=0)

    runner = mocker.create_autospec(SandboxRunner, instance=True)
    runner.run.side_effect = ten_milliseconds
    options = EpicExecutionOptions(max_parallel=3)
    await ParallelTaskScheduler(runner).execute_epic([task("T1"), task("T2"), task("T3")], options)
    assert together[0] == {"T1", "T2", "T3"}
    assert runner.run.await_count == 3


# [1_PRD-REQ-PERF-003]
async def test_respects_max_parallel_limit() -> None:
    runner = RecordingRunner()
    tasks = [task(f"T{number}") for number in range(5)]
    await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=2))
    assert runner.peak == 2
    assert len(runner.log) == 10


# [1_PRD-REQ-PERF-003]
async def test_dependent_task_runs_only_after_dependency_completes() -> None:
    runner = RecordingRunner()
    await ParallelTaskScheduler(runner).execute_epic([task("T1"), task("T2", "T1")])
    assert runner.log == [("start", "T1"), ("end", "T1"), ("start", "T2"), ("end", "T2")]


# [1_PRD-REQ-PERF-003]
async def test_propagates_task_failure_and_cancels_dependents() -> None:
    runner = RecordingRunner(lambda options: 1 if options.task_id == "T1" else 0)
    with pytest.raises(TaskExecutionError, match="T1") as caught:
        await ParallelTaskScheduler(runner).execute_epic([task("T1"), task("T2", "T1")])
    assert ("start", "T2") not in runner.log
    assert caught.value.failed_task_ids == ["T1", "T2"]
    assert caught.value.root_cause_ids == ["T1"]


@pytest.mark.parametrize(
    ("completed", "ready"),
    [
        ([], ["a", "b"]),
        (["a"], ["b", "c"]),
        (["a", "b"], ["c", "d"]),
        (("b", "a", "c"), ["d"]),
        ({"a", "b", "c", "d"}, []),
        (iter(["a", "unheard-of"]), ["b", "c"]),
    ],
)
def test_ready_tasks_for_every_kind_of_completed_ids(completed: Sequence[str], ready: list[str]) -> None:
    tasks = [task("a"), task("b"), task("c", "a"), task("d", "a", "b")]
    assert [found.id for found in ParallelTaskScheduler.get_ready_tasks(iter(tasks), completed)] == ready


def test_ready_tasks_has_no_side_effect() -> None:
    completed = {"a"}
    dag = TaskDAG([task("a"), task("b", "a")])
    first = ParallelTaskScheduler.get_ready_tasks(dag, completed)
    assert ParallelTaskScheduler.get_ready_tasks(dag, completed) == first == [dag["b"]]
    assert completed == {"a"}


def test_max_parallel_defaults_to_four() -> None:
    assert EpicExecutionOptions().max_parallel == 4


def test_exports_are_all_there() -> None:
    for name in dockersched.__all__:
        assert getattr(dockersched, name) is not None, name


async def test_sandbox_options_carry_the_task() -> None:
    seen: list[SandboxRunOptions] = []
    runner = FakeRunner(on_start=seen.append)
    wanted = ScheduledTask("a.b", [], "cc", ["-c"], image="gcc", environment={"A": "1"}, timeout_s=5)
    await ParallelTaskScheduler(runner).execute_epic([wanted], EpicExecutionOptions(epic_id="e", run_id="r"))
    (options,) = seen
    assert (options.epic_id, options.run_id, options.task_id, options.attempt) == ("e", "r", "a.b", 1)
    assert (options.command, options.args, options.image, options.timeout_s) == ("cc", ("-c",), "gcc", 5)
    assert options.environment == {"A": "1"}


def test_sandbox_options_are_the_tasks_whatever_is_called_the_same() -> None:
    wanted = ScheduledTask(
        "t",
        ["a"],
        "cc",
        ["-c"],
        image="gcc",
        environment={"A": "1"},
        working_dir="/w",
        user="7",
        network="bridge",
        timeout_s=5,
        stop_grace_s=6,
        pull_policy="never",
        runtime="runsc",
        profile="trusted",
        read_only=True,
        tmpfs={"/x": "1m"},
        values=["key"],
    )
    options = sandbox_options(wanted, "e", "r", 2, 1.5)
    same = [name for name in options.__struct_fields__ if hasattr(wanted, name)]
    assert [getattr(options, name) for name in same] == [getattr(wanted, name) for name in same]
    assert (options.run_id, options.attempt, options.queued_s, options.upstream) == ("r", 2, 1.5, {})


async def test_result_of_a_success_is_in_declaration_order() -> None:
    tasks = [task("last", "first"), task("other"), task("first")]
    result = await ParallelTaskScheduler(RecordingRunner()).execute_epic(tasks)
    assert list(result.tasks) == ["last", "other", "first"]
    assert result.state is EpicState.SUCCEEDED
    assert result.exit_code == 0
    assert all(found.state is TaskState.SUCCEEDED and found.attempts == 1 for found in result.tasks.values())


async def test_an_empty_epic_succeeds() -> None:
    result = await ParallelTaskScheduler(RecordingRunner()).execute_epic([])
    assert (result.succeeded, dict(result.tasks)) == (True, {})


async def test_an_independent_branch_goes_on() -> None:
    runner = FakeRunner({"bad": Script(exit_code=3)})
    tasks = [task("bad"), task("never", "bad"), task("never2", "never"), task("good"), task("better", "good")]
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(tasks)
    result = caught.value.result
    assert {name: found.state.value for name, found in result.tasks.items()} == {
        "bad": "failed",
        "never": "upstream_failed",
        "never2": "upstream_failed",
        "good": "succeeded",
        "better": "succeeded",
    }
    assert (result.tasks["bad"].reason, result.tasks["bad"].exit_code) == (Reason.EXIT_CODE, 3)
    assert result.tasks["never2"].root_cause == "bad"
    assert result.exit_code == 1
    assert not {"never", "never2"} & set(runner.started)


async def test_all_dispatched_sandboxes_settle_before_the_error() -> None:
    runner = FakeRunner({"bad": Script(exit_code=1), "slow": Script(duration_s=0.05)})
    with pytest.raises(TaskExecutionError):
        await ParallelTaskScheduler(runner).execute_epic([task("bad"), task("slow")])
    assert runner.finished == ["bad", "slow"]


async def test_a_raising_runner_is_an_engine_error_of_that_task_alone() -> None:
    runner = FakeRunner({"bad": Script(raises=OSError("no engine"))})
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic([task("bad"), task("good")])
    bad = caught.value.result.tasks["bad"]
    assert (bad.reason, bad.detail) == (Reason.ENGINE_ERROR, "OSError: no engine")
    assert caught.value.result.tasks["good"].succeeded


async def test_a_runner_that_returns_something_else_is_an_engine_error(mocker: MockerFixture) -> None:
    runner = mocker.create_autospec(SandboxRunner, instance=True)
    runner.run.return_value = {"exit_code": 0}
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic([task("T1")])
    assert caught.value.result.tasks["T1"].reason is Reason.ENGINE_ERROR


async def test_a_lost_exit_code_is_never_a_success() -> None:
    class Vague:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            return SandboxResult(options.sandbox_id)

    with pytest.raises(TaskExecutionError):
        await ParallelTaskScheduler(Vague()).execute_epic([task("T1")])


async def test_fail_fast_stops_what_runs_and_starts_nothing_more() -> None:
    runner = FakeRunner({"bad": Script(exit_code=1, duration_s=0.01), "long": Script(duration_s=None)})
    tasks = [task("bad"), task("long"), task("waiting", "long"), task("below", "bad")]
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(fail_fast=True))
    found = caught.value.result.tasks
    assert [entry.state.value for entry in found.values()] == ["failed", "cancelled", "cancelled", "upstream_failed"]
    assert found["long"].reason is Reason.FAIL_FAST
    assert caught.value.failed_task_ids == ["bad", "below"]
    assert caught.value.result.state is EpicState.FAILED
    assert runner.alive == set()


async def test_epic_timeout_stops_running_sandboxes_and_cancels_the_rest() -> None:
    runner = FakeRunner({"long": Script(duration_s=None, stop_s=0.01)})
    tasks = [task("quick"), task("long"), task("waiting", "long")]
    with pytest.raises(EpicTimeoutError, match="timed out") as caught:
        await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(timeout_s=0.05))
    result = caught.value.result
    assert [entry.state.value for entry in result.tasks.values()] == ["succeeded", "cancelled", "cancelled"]
    assert result.tasks["waiting"].reason is Reason.EPIC_TIMED_OUT
    assert result.exit_code == 4
    assert runner.finished == ["quick", "long"]


async def test_an_epic_that_ends_in_time_is_not_timed_out() -> None:
    result = await ParallelTaskScheduler(FakeRunner()).execute_epic([task("a")], EpicExecutionOptions(timeout_s=60))
    assert result.succeeded


async def test_control_cancels_the_epic() -> None:
    control = EpicControl()
    runner = FakeRunner({"long": Script(duration_s=None)}, on_start=lambda _: control.cancel())
    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(runner).execute_epic([task("long"), task("below", "long")], control=control)
    assert [entry.state.value for entry in caught.value.result.tasks.values()] == ["cancelled", "cancelled"]
    assert runner.alive == set()


async def test_control_that_cancelled_before_the_start_starts_nothing() -> None:
    control = EpicControl()
    control.cancel()
    control.cancel()
    runner = FakeRunner()
    with pytest.raises(EpicCancelledError):
        await ParallelTaskScheduler(runner).execute_epic([task("a")], control=control)
    assert runner.started == []


async def test_a_task_with_finally_can_be_cancelled_after_the_epic_was() -> None:
    control = EpicControl()

    def cancel(options: SandboxRunOptions) -> None:
        control.cancel(None if options.task_id == "long" else [options.task_id])

    runner = FakeRunner({"long": Script(duration_s=None), "last": Script(duration_s=None)}, on_start=cancel)
    epic = ParallelTaskScheduler(runner).execute_epic(
        [task("long"), ScheduledTask("last", (), "true", finally_=True)], control=control
    )
    with pytest.raises(EpicCancelledError) as caught:
        await asyncio.wait_for(epic, 10)
    assert [entry.detail for entry in caught.value.result.tasks.values()] == [
        "the epic was cancelled",
        "the task was cancelled",
    ]


async def test_a_sandbox_that_ends_well_just_before_it_is_stopped_has_succeeded() -> None:
    control = EpicControl()

    class Stubborn:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            control.cancel()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise dockersched.SandboxCancelled(SandboxResult(options.sandbox_id, exit_code=0)) from None
            raise AssertionError

    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(Stubborn()).execute_epic([task("a"), task("b", "a")], control=control)
    assert [entry.state.value for entry in caught.value.result.tasks.values()] == ["succeeded", "cancelled"]


async def test_a_sandbox_that_fails_just_before_it_is_stopped_is_a_root_cause() -> None:
    class Late:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise dockersched.SandboxCancelled(SandboxResult(options.sandbox_id, exit_code=9)) from None
            raise AssertionError

    with pytest.raises(EpicTimeoutError) as caught:
        await ParallelTaskScheduler(Late()).execute_epic([task("a")], EpicExecutionOptions(timeout_s=0.01))
    assert caught.value.root_cause_ids == ["a"]


def test_something_that_cannot_run_is_no_runner() -> None:
    with pytest.raises(TypeError, match="has none"):
        ParallelTaskScheduler(object())  # type: ignore[arg-type]


async def test_cancelling_the_call_stops_all_sandboxes_and_waits_for_them() -> None:
    started = asyncio.Event()
    scripts = {"a": Script(duration_s=None, stop_s=0.01), "b": Script(duration_s=None)}
    runner = FakeRunner(scripts, on_start=lambda options: started.set() if options.task_id == "b" else None)
    call = asyncio.create_task(ParallelTaskScheduler(runner).execute_epic([task("a"), task("b"), task("c", "a")]))
    await started.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert sorted(runner.finished) == ["a", "b"]
    assert runner.alive == set()


async def test_an_observer_that_fails_stops_all_sandboxes() -> None:
    def observer(event: Event) -> None:
        if isinstance(event, TaskFinished):
            raise OSError("disk full")

    runner = FakeRunner({"long": Script(duration_s=None)})
    with pytest.raises(OSError, match="disk full"):
        await ParallelTaskScheduler(runner, observers=[observer]).execute_epic([task("a"), task("long")])
    assert runner.alive == set()


async def test_observers_see_every_step_in_order() -> None:
    events: list[Event] = []
    await ParallelTaskScheduler(FakeRunner(), observers=[events.append]).execute_epic([task("a"), task("b", "a")])
    assert [type(event) for event in events] == [
        EpicStarted, TaskStarted, TaskFinished, TaskStarted, TaskFinished, EpicFinished,
    ]  # fmt: skip


async def test_every_settled_sandbox_is_discarded_once_its_result_was_observed() -> None:
    runner = FakeRunner({"bad": Script(exit_code=1)})
    observed: list[str] = []

    def observer(event: Event) -> None:
        if isinstance(event, TaskFinished):
            assert event.result.task_id not in runner.discarded
            observed.append(event.result.task_id)

    with pytest.raises(TaskExecutionError):
        await ParallelTaskScheduler(runner, observers=[observer]).execute_epic([task("a"), task("bad")])
    assert runner.discarded == observed == ["a", "bad"]


async def test_what_comes_next_is_started_ahead_only_if_asked_for() -> None:
    ahead: list[list[str]] = []

    async def run(prepare_ahead: int) -> FakeRunner:
        ahead.clear()
        runner = FakeRunner(on_start=lambda _: ahead.append([*runner.ahead]))
        options = EpicExecutionOptions(max_parallel=1, prepare_ahead=prepare_ahead)
        await ParallelTaskScheduler(runner).execute_epic([task("a"), task("b", "a"), task("c", "b")], options)
        return runner

    assert (await run(0)).ahead == []
    assert ahead == [[], [], []]
    runner = await run(2)
    assert ahead == [["b"], ["c"], []]
    assert runner.ahead == []


@pytest.mark.parametrize("ends", ["failure", "cancel", "exception"])
async def test_what_was_started_ahead_and_will_not_run_is_discarded(ends: str) -> None:
    control, stop = EpicControl(), asyncio.Event()

    class Runner(FakeRunner):
        def start_ahead(self, options: SandboxRunOptions) -> None:
            super().start_ahead(options)
            stop.set()

    runner = Runner({"a": Script(exit_code=1, duration_s=0.05 if ends == "failure" else None)})
    tasks, options = [task("a"), task("b", "a")], EpicExecutionOptions(prepare_ahead=1)
    epic = asyncio.ensure_future(ParallelTaskScheduler(runner).execute_epic(tasks, options, control=control))
    await stop.wait()
    assert runner.ahead == ["b"]
    if ends == "cancel":
        control.cancel()
    elif ends == "exception":
        epic.cancel()
    with pytest.raises((TaskExecutionError, asyncio.CancelledError)):
        await epic
    assert runner.ahead == []
    assert "b" in runner.discarded
    assert runner.started == ["a"]


async def test_nothing_is_started_ahead_while_the_runner_holds() -> None:
    class Runner(FakeRunner):
        asked = 0
        is_full = False

        def holds(self, resumed: Callable[[], None]) -> bool:
            self.asked += 1
            held, self.is_full = self.is_full, self.is_full or self.asked == 1  # full once "a" may start
            if held and self.asked == 2:
                asyncio.get_running_loop().call_later(0.01, self.has_room, resumed)
            return held

        def has_room(self, resumed: Callable[[], None]) -> None:
            self.is_full = False
            resumed()

        def start_ahead(self, options: SandboxRunOptions) -> None:
            assert not self.is_full
            super().start_ahead(options)

    started_ahead: list[list[str]] = []
    runner = Runner({"a": Script(duration_s=0.1)}, on_start=lambda _: started_ahead.append([*runner.ahead]))
    await ParallelTaskScheduler(runner).execute_epic([task("a"), task("b", "a")], EpicExecutionOptions(prepare_ahead=1))
    assert runner.finished == ["a", "b"]
    assert runner.asked > 2
    assert started_ahead == [[], []]


async def test_one_scheduler_runs_two_epics_at_the_same_time() -> None:
    scheduler = ParallelTaskScheduler(RecordingRunner())
    first, second = await asyncio.gather(
        scheduler.execute_epic([task("a")], EpicExecutionOptions(epic_id="one")),
        scheduler.execute_epic([task("a")], EpicExecutionOptions(epic_id="two")),
    )
    assert (first.epic_id, second.epic_id) == ("one", "two")
    assert first.run_id != second.run_id


class FlakyRunner:
    """Ends a task as its script says, one entry for each attempt."""

    def __init__(self, **scripts: list[SandboxResult | Exception]) -> None:
        self.scripts = scripts
        self.attempts: list[tuple[str, int]] = []
        self.alive: set[str] = set()

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        self.attempts.append((options.task_id, options.attempt))
        await asyncio.sleep(0)
        script = self.scripts.get(options.task_id)
        outcome = script.pop(0) if script else SandboxResult(options.sandbox_id, exit_code=0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


INTERRUPTED = SandboxResult("s", reason=Reason.INTERRUPTED)
SOON = RetryPolicy(limit=2, initial_s=0.01, exit_codes=[75])


def patient(task_id: str, *depends_on: str, policy: RetryPolicy = SOON) -> ScheduledTask:
    return ScheduledTask(task_id, depends_on, "true", retry=policy)


async def test_an_interrupted_attempt_is_tried_again() -> None:
    events: list[Event] = []
    runner = FlakyRunner(a=[INTERRUPTED, TransientRunnerError("no answer")])
    tasks = [patient("a"), task("b", "a")]
    result = await ParallelTaskScheduler(runner, observers=[events.append]).execute_epic(tasks)
    assert runner.attempts == [("a", 1), ("a", 2), ("a", 3), ("b", 1)]
    assert result.tasks["a"].attempts == 3
    assert [event.attempt for event in events if isinstance(event, TaskRetrying)] == [1, 2]


async def test_retries_come_to_an_end() -> None:
    runner = FlakyRunner(a=[INTERRUPTED] * 5)
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic([patient("a"), task("b", "a")])
    assert runner.attempts == [("a", 1), ("a", 2), ("a", 3)]
    assert caught.value.result.tasks["a"].reason is Reason.INTERRUPTED
    assert caught.value.failed_task_ids == ["a", "b"]


@pytest.mark.parametrize(
    ("outcome", "attempts"),
    [
        (SandboxResult("s", exit_code=1), 1),
        (SandboxResult("s", exit_code=75), 2),
        (SandboxResult("s", exit_code=137, reason=Reason.OOM_KILLED), 1),
        (PermanentRunnerError("never"), 1),
        (RuntimeError("a mistake in the runner"), 1),
    ],
)
async def test_only_what_the_policy_names_is_tried_again(outcome: SandboxResult | Exception, attempts: int) -> None:
    runner = FlakyRunner(a=[outcome])
    with suppress(TaskExecutionError):
        await ParallelTaskScheduler(runner).execute_epic([patient("a")])
    assert len(runner.attempts) == attempts


async def test_a_task_that_waits_for_its_retry_holds_no_slot() -> None:
    runner = FlakyRunner(a=[INTERRUPTED])
    tasks = [patient("a", policy=RetryPolicy(initial_s=0.05, jitter=False)), task("b"), task("c", "a")]
    await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=1))
    assert runner.attempts == [("a", 1), ("b", 1), ("a", 2), ("c", 1)]


async def test_a_task_that_waits_for_its_retry_can_be_cancelled() -> None:
    control = EpicControl()

    def cancel_soon(event: Event) -> None:
        if isinstance(event, TaskRetrying):
            asyncio.get_running_loop().call_later(0.02, control.cancel)

    runner = FlakyRunner(a=[INTERRUPTED])
    slow = FakeRunner({"long": Script(duration_s=0.1, stop_s=0.1)})

    class Both:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            return await (slow if options.task_id == "long" else runner).run(options)

    tasks = [patient("a", policy=RetryPolicy(initial_s=0.05, jitter=False)), task("long")]
    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(Both(), observers=[cancel_soon]).execute_epic(tasks, control=control)
    assert runner.attempts == [("a", 1)]
    cancelled = caught.value.result.tasks["a"]
    assert (cancelled.state, cancelled.attempts, cancelled.sandbox) == (TaskState.CANCELLED, 1, INTERRUPTED)


async def test_a_broken_graph_starts_nothing() -> None:
    runner = FakeRunner()
    with pytest.raises(EpicError, match="cycle"):
        await ParallelTaskScheduler(runner).execute_epic([task("a", "b"), task("b", "a")])
    assert runner.started == []


async def test_a_chain_of_many_thousands_needs_no_recursion() -> None:
    runner = FakeRunner({"0": Script(exit_code=1)})
    chain = [task("0"), *(task(str(number), str(number - 1)) for number in range(1, 20_000))]
    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(chain)
    assert len(caught.value.failed_task_ids) == 20_000
    assert runner.started == ["0"]


async def test_error_message_names_a_few_root_causes_of_many() -> None:
    runner = FakeRunner({str(number): Script(exit_code=1) for number in range(12)})
    with pytest.raises(TaskExecutionError, match="and 2 more failed"):
        await ParallelTaskScheduler(runner).execute_epic([task(str(number)) for number in range(12)])


class SizedRunner(FakeRunner):
    """A fake runner on an engine of some size, which notes the most that its sandboxes held together."""

    capacity = Capacity(cpus=2, memory_bytes=10 * 2**30)

    def full_quota(self, quota: QuotaConfig | None) -> QuotaConfig:
        return (quota or QuotaConfig()).or_default(QuotaConfig(cpus=1, memory="1g"))


async def test_quotas_of_running_sandboxes_stay_within_the_engine() -> None:
    runner = SizedRunner({f"T{number}": Script(duration_s=0.01) for number in range(6)})
    tasks = [task(f"T{number}") for number in range(6)]
    await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=6))
    assert runner.peak == 2


async def test_overcommit_lets_more_sandboxes_run_side_by_side() -> None:
    runner = SizedRunner({f"T{number}": Script(duration_s=0.01) for number in range(6)})
    tasks = [task(f"T{number}") for number in range(6)]
    options = EpicExecutionOptions(max_parallel=6, overcommit_cpus=2)
    await ParallelTaskScheduler(runner).execute_epic(tasks, options)
    assert runner.peak == 4


async def test_memory_is_free_again_only_when_a_sandbox_is_gone() -> None:
    control = EpicControl()

    def on_start(options: SandboxRunOptions) -> None:
        if options.task_id == "slow":
            control.cancel(["slow"])

    runner = SizedRunner({"slow": Script(duration_s=None, stop_s=0.05)}, on_start=on_start)
    large = QuotaConfig(memory="8g")
    tasks = [ScheduledTask("slow", [], "true", quota=large), ScheduledTask("next", [], "true", quota=large)]
    with pytest.raises(EpicCancelledError):
        await ParallelTaskScheduler(runner).execute_epic(tasks, control=control)
    assert runner.finished == ["slow", "next"]
    assert runner.peak == 1


async def test_a_task_that_failed_just_before_it_was_cancelled_is_not_tried_again() -> None:
    control = EpicControl()

    class Failing(FakeRunner):
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            try:
                return await super().run(options)
            except asyncio.CancelledError:
                failed = SandboxResult(options.sandbox_id, exit_code=137, reason=Reason.OOM_KILLED)
                raise dockersched.SandboxCancelled(failed) from None

    runner = Failing({"a": Script(duration_s=None)}, on_start=lambda _: control.cancel(["a"]))
    tasks = [ScheduledTask("a", [], "true", retry=RetryPolicy(on=["oom_killed"])), task("b"), task("after", "b")]
    with pytest.raises(TaskExecutionError) as failed:
        await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=2), control=control)
    results = failed.value.result.tasks
    assert (results["a"].state, results["a"].reason, results["a"].attempts) == (
        TaskState.CANCELLED,
        Reason.CANCELLED,
        1,
    )
    assert results["a"].sandbox is not None
    assert results["a"].sandbox.reason is Reason.OOM_KILLED
    assert results["after"].state is TaskState.SUCCEEDED


async def test_a_task_larger_than_the_whole_starts_nothing() -> None:
    runner = SizedRunner()
    tasks = [task("small"), ScheduledTask("large", [], "true", quota=QuotaConfig(memory="9g"))]
    with pytest.raises(EpicError, match="'large' asks for 9 GiB of memory, but all tasks together may have 8 GiB"):
        await ParallelTaskScheduler(runner).execute_epic(tasks)
    assert runner.started == []


async def test_the_longest_path_starts_first_by_what_earlier_runs_took() -> None:
    tasks = [task("a"), task("b"), task("c"), task("d", "c")]
    options = EpicExecutionOptions(max_parallel=1)
    runner = FakeRunner()
    await ParallelTaskScheduler(runner).execute_epic(tasks, options)
    assert runner.started == ["c", "a", "b", "d"]
    runner = FakeRunner()
    await ParallelTaskScheduler(runner).execute_epic(tasks, options, history={"a": 1, "b": 9, "c": 2, "d": 2})
    assert runner.started == ["b", "c", "d", "a"]


class GreedyRunner(SizedRunner):
    """Kills a task for lack of memory until it has enough."""

    def __init__(self, needs: str) -> None:
        super().__init__()
        self.needs = QuotaConfig(memory=needs).memory_bytes or 0
        self.given: list[QuotaConfig] = []

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        quota = self.full_quota(options.quota)
        if options.task_id != "greedy":
            return await super().run(options)
        self.given.append(quota)
        is_enough = (quota.memory_bytes or 0) >= self.needs
        reason = None if is_enough else Reason.OOM_KILLED
        return SandboxResult(options.sandbox_id, 0 if is_enough else 137, reason, quota_requested=quota)


def greedy(memory: str | None = None, **policy: Any) -> ScheduledTask:
    quota = QuotaConfig(cpus=0.5, memory=memory)
    return ScheduledTask(
        "greedy", [], "true", quota=quota, retry=RetryPolicy(limit=4, on=["oom_killed"], initial_s=0.001, **policy)
    )


async def test_an_attempt_after_an_oom_kill_gets_more_memory() -> None:
    runner = GreedyRunner("3g")
    result = await ParallelTaskScheduler(runner).execute_epic([greedy(memory_factor=2)])
    assert [(given.cpus, given.memory_bytes) for given in runner.given] == [
        (0.5, 2**30), (0.5, 2 * 2**30), (0.5, 4 * 2**30),
    ]  # fmt: skip
    sandbox = result.tasks["greedy"].sandbox
    assert sandbox is not None
    assert sandbox.quota_requested == runner.given[-1]


@pytest.mark.parametrize(
    ("policy", "most_gib"),
    [
        ({}, 2),
        ({"memory_factor": 3}, 8),
        ({"memory_factor": 3, "memory_max": "5g"}, 5),
        ({"memory_factor": 3, "memory_max": "1g"}, 2),
    ],
)
async def test_memory_grows_up_to_a_limit_and_never_shrinks(policy: dict[str, Any], most_gib: int) -> None:
    runner = GreedyRunner("9g")
    with pytest.raises(TaskExecutionError):
        await ParallelTaskScheduler(runner).execute_epic([greedy("2g", **policy)])
    assert len(runner.given) == 5
    assert runner.given[-1].memory_bytes == most_gib * 2**30


async def test_a_retry_with_more_memory_waits_until_that_is_free() -> None:
    runner = GreedyRunner("8g")
    runner.scripts = {"other": Script(duration_s=0.1)}
    started: list[tuple[str, bool]] = []
    other = ScheduledTask("other", [], "true", quota=QuotaConfig(memory="1g"))

    def observe(event: Event) -> None:
        if isinstance(event, TaskStarted):
            started.append((event.task_id, "epic.other" in runner.alive))

    tasks = [other, greedy("4g", memory_factor=2)]
    await ParallelTaskScheduler(runner, observers=[observe]).execute_epic(tasks)
    assert started[-1] == ("greedy", False)
    assert [given.memory_bytes for given in runner.given] == [4 * 2**30, 8 * 2**30]


async def test_only_an_oom_kill_gets_a_task_more_memory() -> None:
    seen: list[QuotaConfig | None] = []

    class Lost(SizedRunner):
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            seen.append(options.quota)
            return SandboxResult(options.sandbox_id, 0) if len(seen) > 1 else INTERRUPTED

    policy = RetryPolicy(on=["infra", "oom_killed"], initial_s=0.001, memory_factor=2)
    await ParallelTaskScheduler(Lost()).execute_epic([patient("a", policy=policy)])
    assert seen == [None, None]


async def test_a_runner_that_does_not_tell_its_defaults_gets_no_more_memory() -> None:
    runner = FlakyRunner(greedy=[SandboxResult("s", 137, Reason.OOM_KILLED)])
    policy = RetryPolicy(on=["oom_killed"], initial_s=0.001, memory_factor=2)
    result = await ParallelTaskScheduler(runner).execute_epic([patient("greedy", policy=policy)])
    assert result.tasks["greedy"].attempts == 2


def lenient(task_id: str, *depends_on: str) -> ScheduledTask:
    return ScheduledTask(id=task_id, depends_on=depends_on, command="true", allow_failure=True)


@pytest.mark.parametrize("fail_fast", [False, True])
async def test_a_failure_that_is_allowed_has_no_consequences(fail_fast: bool) -> None:
    runner = RecordingRunner(lambda options: 1 if options.task_id == "T1" else 0)
    options = EpicExecutionOptions(max_parallel=1, fail_fast=fail_fast)

    result = await ParallelTaskScheduler(runner).execute_epic([lenient("T1"), task("T2", "T1"), task("T3")], options)

    assert (result.state, result.exit_code) == (EpicState.SUCCEEDED, 0)
    assert (result.root_cause_ids, result.failed_task_ids) == ([], [])
    failed = result.tasks["T1"]
    assert (failed.state, failed.reason, failed.failure_allowed) == (TaskState.FAILED, Reason.EXIT_CODE, True)
    assert result.tasks["T2"].succeeded
    assert not result.tasks["T2"].failure_allowed


async def test_a_failure_that_is_allowed_does_not_hide_another() -> None:
    runner = RecordingRunner(lambda _: 1)

    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic([lenient("T1"), task("T2", "T1"), lenient("T3", "T2")])

    assert caught.value.root_cause_ids == ["T2"]
    assert caught.value.failed_task_ids == ["T2", "T3"]
    assert not caught.value.result.tasks["T3"].failure_allowed


async def test_a_cancelled_task_is_not_allowed_to_fail() -> None:
    control = EpicControl()
    control.cancel(["T1"])

    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(RecordingRunner()).execute_epic(
            [lenient("T1"), task("T2", "T1"), task("T3")], control=control
        )

    states = [found.state for found in caught.value.result.tasks.values()]
    assert states == [TaskState.CANCELLED, TaskState.CANCELLED, TaskState.SUCCEEDED]


def test_allow_failure_is_yes_or_no() -> None:
    with pytest.raises(TypeError, match="allow_failure must be True or False, not 'yes'"):
        ScheduledTask("T1", [], "true", allow_failure="yes")  # type: ignore[arg-type]


def conditional(task_id: str, when: When, *depends_on: str) -> ScheduledTask:
    return ScheduledTask(id=task_id, depends_on=depends_on, command="true", when=when)


async def test_conditions_decide_what_runs_after_a_failure() -> None:
    runner = RecordingRunner(lambda options: 1 if options.task_id == "build" else 0)
    tasks = [
        task("build"),
        task("test", "build"),
        conditional("rollback", "failure", "test"),
        conditional("diagnose", TaskIs("build", "failed"), "build"),
        conditional("celebrate", TaskIs("build", "succeeded"), "build"),
        task("publish", "celebrate"),
        conditional("tidy", "always", "publish", "test"),
    ]

    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(tasks)

    results = caught.value.result.tasks
    assert {task_id: (found.state, found.reason, found.root_cause) for task_id, found in results.items()} == {
        "build": (TaskState.FAILED, Reason.EXIT_CODE, None),
        "test": (TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "build"),
        "rollback": (TaskState.SUCCEEDED, None, None),
        "diagnose": (TaskState.SUCCEEDED, None, None),
        "celebrate": (TaskState.SKIPPED, Reason.CONDITION, None),
        "publish": (TaskState.SKIPPED, Reason.UPSTREAM_SKIPPED, "celebrate"),
        "tidy": (TaskState.SUCCEEDED, None, None),
    }
    assert results["celebrate"].detail == "when: build is succeeded"
    assert results["publish"].detail == "'celebrate' was skipped"
    assert caught.value.root_cause_ids == ["build"]


async def test_an_epic_with_skipped_tasks_succeeds() -> None:
    tasks = [task("build"), conditional("rollback", "failure", "build"), task("report", "rollback")]

    result = await ParallelTaskScheduler(RecordingRunner()).execute_epic(tasks)

    assert (result.state, result.exit_code) == (EpicState.SUCCEEDED, 0)
    assert [found.state for found in result.tasks.values()] == [
        TaskState.SUCCEEDED,
        TaskState.SKIPPED,
        TaskState.SKIPPED,
    ]


async def test_an_allowed_failure_is_failed_to_who_asks_and_a_success_to_others() -> None:
    tasks = [
        lenient("audit"),
        conditional("explain", TaskIs("audit", "failed"), "audit"),
        conditional("rollback", "failure", "audit"),
    ]
    runner = RecordingRunner(lambda options: 1 if options.task_id == "audit" else 0)

    result = await ParallelTaskScheduler(runner).execute_epic(tasks)

    assert [found.state for found in result.tasks.values()] == [
        TaskState.FAILED,
        TaskState.SUCCEEDED,
        TaskState.SKIPPED,
    ]


@pytest.mark.parametrize(
    ("when", "depends_on", "message"),
    [
        ("sometimes", ["T1"], "when must be one of success, failure, always, not 'sometimes'"),
        ("failure", [], "when: failure needs tasks to depend on"),
        (TaskIs("T2", "failed"), ["T1"], "when asks for 'T2', which is not in depends_on"),
    ],
)
def test_a_condition_that_cannot_be_meant_is_refused(when: Any, depends_on: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ScheduledTask("T", depends_on, "true", when=when)


def test_a_condition_names_an_ending_that_there_is() -> None:
    with pytest.raises(ValueError, match="ending must be one of succeeded, failed, skipped, not 'done'"):
        TaskIs("T1", "done")  # type: ignore[arg-type]


def at_end(task_id: str, *depends_on: str, allow_failure: bool = False, **fields: Any) -> ScheduledTask:
    return ScheduledTask(task_id, depends_on, "true", finally_=True, allow_failure=allow_failure, **fields)


def states_of(result: EpicResult) -> dict[str, TaskState]:
    return {task_id: found.state for task_id, found in result.tasks.items()}


def test_tasks_at_the_end_are_ready_once_all_others_are_completed() -> None:
    tasks = [at_end("tidy"), task("T1"), at_end("last", "tidy"), task("T2", "T1")]

    def ready(*completed: str) -> list[str]:
        return [found.id for found in ParallelTaskScheduler.get_ready_tasks(tasks, completed)]

    assert ready() == ["T1"]
    assert ready("T1") == ["T2"]
    assert ready("T1", "T2") == ["tidy"]
    assert ready("T1", "T2", "tidy") == ["last"]


@pytest.mark.parametrize("fail_fast", [False, True])
async def test_tasks_at_the_end_run_after_a_failure(fail_fast: bool) -> None:
    runner = FakeRunner({"T1": Script(exit_code=1), "T2": Script(duration_s=0.05)})
    options = EpicExecutionOptions(fail_fast=fail_fast)

    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(
            [at_end("last", "tidy"), at_end("tidy"), task("T1"), task("T2"), task("T3", "T1")], options
        )

    states = states_of(caught.value.result)
    assert states["T2"] is (TaskState.CANCELLED if fail_fast else TaskState.SUCCEEDED)
    assert [states["tidy"], states["last"]] == [TaskState.SUCCEEDED] * 2
    assert runner.started == ["T1", "T2", "tidy", "last"]
    assert runner.finished[-2:] == ["tidy", "last"]
    assert caught.value.root_cause_ids == ["T1"]


async def test_tasks_at_the_end_run_after_the_epic_timeout_and_beyond_it() -> None:
    runner = FakeRunner({"T1": Script(duration_s=None), "tidy": Script(duration_s=0.1)})

    with pytest.raises(EpicTimeoutError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(
            [task("T1"), task("T2", "T1"), at_end("tidy")], EpicExecutionOptions(timeout_s=0.02)
        )

    assert states_of(caught.value.result) == {
        "T1": TaskState.CANCELLED,
        "T2": TaskState.CANCELLED,
        "tidy": TaskState.SUCCEEDED,
    }


async def test_the_epic_timeout_does_not_stop_what_runs_at_the_end() -> None:
    runner = FakeRunner({"tidy": Script(duration_s=0.1)})

    result = await ParallelTaskScheduler(runner).execute_epic(
        [task("T1"), at_end("tidy")], EpicExecutionOptions(timeout_s=0.05)
    )

    assert result.state is EpicState.SUCCEEDED


async def test_a_cancelled_epic_runs_its_tasks_at_the_end_with_their_retries() -> None:
    control = EpicControl()
    attempts: list[str] = []

    class Runner:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            attempts.append(options.task_id)
            if options.task_id == "T1":
                control.cancel()
                await asyncio.Event().wait()
            control.cancel()  # once more: the end goes on
            reason = Reason.INTERRUPTED if len(attempts) == 2 else None
            return SandboxResult(options.sandbox_id, exit_code=None if reason else 0, reason=reason)

    retry = RetryPolicy(limit=1, initial_s=0.001)
    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(Runner()).execute_epic(
            [task("T1"), task("T2"), at_end("tidy", retry=retry)], EpicExecutionOptions(max_parallel=1), control=control
        )

    assert attempts == ["T1", "tidy", "tidy"]
    assert list(states_of(caught.value.result).values()) == [
        TaskState.CANCELLED,
        TaskState.CANCELLED,
        TaskState.SUCCEEDED,
    ]


async def test_a_task_at_the_end_can_be_cancelled_by_its_id() -> None:
    control = EpicControl()
    runner = FakeRunner({"tidy": Script(duration_s=None)}, on_start=lambda options: control.cancel([options.task_id]))

    with pytest.raises(EpicCancelledError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(
            [at_end("tidy"), at_end("last", "tidy"), at_end("other", "tidy", when="always")], control=control
        )

    states = states_of(caught.value.result)
    assert [states["tidy"], states["last"]] == [TaskState.CANCELLED] * 2
    assert "other" in runner.started
    assert caught.value.result.tasks["tidy"].detail == "the task was cancelled"


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_failure_at_the_end_fails_the_epic_unless_allowed(allowed: bool) -> None:
    runner = FakeRunner({"tidy": Script(exit_code=1)})
    running = ParallelTaskScheduler(runner).execute_epic([task("T1"), at_end("tidy", allow_failure=allowed)])

    if allowed:
        assert (await running).state is EpicState.SUCCEEDED
        return
    with pytest.raises(TaskExecutionError) as caught:
        await running
    assert caught.value.root_cause_ids == ["tidy"]


async def test_a_task_cancelled_by_its_id_is_stopped_once_when_the_epic_is_cancelled_too() -> None:
    control = EpicControl()

    def cancel_twice(options: SandboxRunOptions) -> None:
        if options.task_id == "T1":
            control.cancel(["T1"])
            control.cancel()

    runner = FakeRunner({"T1": Script(duration_s=None, stop_s=0.02)}, on_start=cancel_twice)

    with pytest.raises(EpicCancelledError):
        await ParallelTaskScheduler(runner).execute_epic([task("T1"), at_end("tidy")], control=control)

    assert runner.finished == ["T1", "tidy"]


def test_nothing_starts_without_the_images_not_even_at_the_end() -> None:
    run = EpicRun(TaskDAG([task("T1"), at_end("tidy")]), EpicExecutionOptions(), ())

    run.reject({"T1": "no such image"})

    with pytest.raises(TaskExecutionError) as caught:
        run.finish()
    tidy = caught.value.result.tasks["tidy"]
    assert (tidy.state, tidy.reason) == (TaskState.CANCELLED, Reason.IMAGE_UNAVAILABLE)


def test_a_main_task_cannot_depend_on_one_at_the_end_nor_that_on_a_main_task_but_for_what_it_takes() -> None:
    takes = at_end("takes", args=["${{ tasks.T1.values.url }}"])
    with pytest.raises(EpicError) as caught:
        TaskDAG([task("T1", "tidy"), at_end("tidy"), at_end("late", "T2"), takes, task("T2")])

    assert [(problem.path, problem.message) for problem in caught.value.problems] == [
        (
            ("tasks", "T1", "depends_on", 0),
            "task 'T1' depends on 'tidy', which has finally and runs after all tasks without: give 'T1' finally too, "
            "or remove the dependency",
        ),
        (
            ("tasks", "late", "depends_on", 0),
            "task 'late' has finally, so it runs after 'T2' anyway: remove that from depends_on",
        ),
    ]


async def test_what_a_task_at_the_end_takes_from_may_have_failed() -> None:
    tasks = [
        at_end("takes", args=["${{ tasks.T1.values.url }}"]),
        at_end("explains", args=["${{ tasks.T1.values.url }}"], when=TaskIs("T1", "failed")),
        task("T1"),
    ]
    runner = FakeRunner({"T1": Script(exit_code=1)})

    with pytest.raises(TaskExecutionError) as caught:
        await ParallelTaskScheduler(runner).execute_epic(tasks)

    assert runner.started == ["T1", "takes", "explains"]
    assert caught.value.root_cause_ids == ["T1"]


@pytest.mark.parametrize(
    ("written", "equal", "detail"),
    [
        ({"flag": "yes"}, True, ""),
        ({"flag": "no"}, True, "when: tasks.build.values.flag equals 'yes', but it is 'no'"),
        ({}, True, "when: tasks.build.values.flag equals 'yes', but 'build' did not write it"),
        ({"flag": "no"}, False, ""),
        ({"flag": "yes"}, False, "when: tasks.build.values.flag is not 'yes', but it is 'yes'"),
        ({}, False, "when: tasks.build.values.flag is not 'yes', but 'build' did not write it"),
    ],
)
async def test_a_value_decides_what_runs(written: dict[str, str], equal: bool, detail: str) -> None:
    class Runner:
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            return SandboxResult(options.sandbox_id, exit_code=0, values=written)

    deploy = conditional("deploy", ValueIs("build", "flag", "yes", equal=equal))

    result = await ParallelTaskScheduler(Runner()).execute_epic([task("build"), deploy, task("after", "deploy")])

    expected = TaskState.SKIPPED if detail else TaskState.SUCCEEDED
    assert states_of(result) == {"build": TaskState.SUCCEEDED, "deploy": expected, "after": expected}
    assert (result.tasks["deploy"].detail or "") == detail


@pytest.mark.parametrize("allowed", [False, True])
async def test_a_task_that_failed_wrote_no_value(allowed: bool) -> None:
    build = lenient("build") if allowed else task("build")
    deploy = conditional("deploy", ValueIs("build", "flag", "yes"))
    running = ParallelTaskScheduler(RecordingRunner(lambda _: 1)).execute_epic([build, deploy])

    if allowed:
        deployed = (await running).tasks["deploy"]
        assert (deployed.state, deployed.reason) == (TaskState.SKIPPED, Reason.CONDITION)
        assert deployed.detail == "when: tasks.build.values.flag equals 'yes', but 'build' did not write it"
        return
    with pytest.raises(TaskExecutionError) as caught:
        await running
    assert states_of(caught.value.result)["deploy"] is TaskState.UPSTREAM_FAILED


@pytest.mark.parametrize("reached", [False, True])
def test_a_run_that_is_given_up_starts_nothing_at_the_end(reached: bool) -> None:
    run = EpicRun(TaskDAG([task("T1"), at_end("tidy"), at_end("last", "tidy")]), EpicExecutionOptions(), ())
    index, sandbox = run.start_next()
    if reached:
        run.settle(index, SandboxResult(sandbox.sandbox_id, exit_code=0))
        index, sandbox = run.start_next()
        assert run.stop(Reason.CANCELLED) == []

    assert run.stop(Reason.CANCELLED, spare_final=False) == [index]
    run.settle(index, asyncio.CancelledError())

    assert not run.plan.unfinished
    with pytest.raises(EpicCancelledError) as caught:
        run.finish()
    states = list(states_of(caught.value.result).values())
    assert states == [TaskState.SUCCEEDED if reached else TaskState.CANCELLED, *[TaskState.CANCELLED] * 2]
