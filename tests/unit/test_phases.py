"""Where the time of attempts goes: who measures it, and who puts it together."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from pytest_mock import MockerFixture

from dockersched.events import Event, TaskFinished
from dockersched.model import EpicExecutionOptions, RetryPolicy, ScheduledTask
from dockersched.results import EpicResult, Phases, SandboxResult, TaskResult
from dockersched.sandbox.base import SandboxBackend, SandboxRunOptions
from dockersched.sandbox.docker.phase_clock import PhaseClock
from dockersched.sandbox.fake import FakeRunner, Script
from dockersched.scheduler import ParallelTaskScheduler
from dockersched.session.removals import with_removals
from dockersched.states import EpicState, Reason, TaskState

AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
RAN = SandboxResult("e.t", 0, started_at=AT + timedelta(seconds=3), finished_at=AT + timedelta(seconds=10))


class Seconds:
    """Both clocks, which go on only as the test says."""

    def __init__(self) -> None:
        self.passed = 100.0

    def __call__(self) -> float:
        return self.passed

    def engine_now(self) -> datetime:
        return AT + timedelta(seconds=self.passed - 100)

    def clock(self) -> PhaseClock:
        return PhaseClock(Phases(2, queued_ms=7.5), self.engine_now)


@pytest.fixture
def seconds(mocker: MockerFixture) -> Seconds:
    passed = Seconds()
    mocker.patch("dockersched.sandbox.docker.phase_clock.time.monotonic", passed)
    return passed


def test_phases_follow_one_another_and_add_up(seconds: Seconds) -> None:
    clock = seconds.clock()
    seconds.passed += 2
    with clock.starting():
        seconds.passed += 1.5  # the process starts a second after it was asked for
    clock.launched()
    seconds.passed += 6.5
    clock.exit_noticed()  # it ends now
    seconds.passed += 0.25
    clock.exit_noticed()  # the first time it had not been seen to
    seconds.passed += 0.5
    assert clock.phases(RAN) == Phases(2, 7.5, 2_000.0, 1_500.0, 7_000.0, 250.0, 500.0)


def test_a_start_that_is_repeated_is_one_that_took_longer(seconds: Seconds) -> None:
    clock = seconds.clock()
    seconds.passed += 1
    with suppress(OSError), clock.starting():
        seconds.passed += 2
        raise OSError
    seconds.passed += 4
    with clock.starting():
        seconds.passed += 8
    clock.launched()
    phases = clock.phases(SandboxResult("e.t", None, Reason.CANCELLED))
    assert phases == Phases(2, 7.5, create_ms=1_000.0, start_ms=14_000.0)


def test_of_a_sandbox_that_an_earlier_process_started_making_it_is_not_known(seconds: Seconds) -> None:
    clock = seconds.clock()
    seconds.passed += 1
    clock.launched()
    assert clock.phases(RAN) == Phases(2, 7.5, run_ms=7_000.0)


def test_a_sandbox_that_is_refused_has_no_more_than_its_making(seconds: Seconds) -> None:
    clock = seconds.clock()
    seconds.passed += 0.125
    assert clock.phases(SandboxResult("e.t", reason=Reason.REJECTED)) == Phases(2, 7.5, create_ms=125.0)


def test_an_end_by_a_clock_that_is_ahead_was_seen_at_once(seconds: Seconds) -> None:
    clock = seconds.clock()
    clock.launched()
    clock.exit_noticed()
    assert clock.phases(RAN).exit_seen_ms == 0.0


def test_a_removal_before_the_record_is_told_and_not_collecting(seconds: Seconds) -> None:
    clock = seconds.clock()
    clock.launched()
    clock.exit_noticed()
    seconds.passed += 1
    with clock.removing():
        seconds.passed += 2
    seconds.passed += 4
    phases = clock.phases(RAN)
    assert (phases.collect_ms, phases.remove_ms) == (1_000.0, 2_000.0)


def test_a_removal_that_failed_is_not_told(seconds: Seconds) -> None:
    clock = seconds.clock()
    clock.launched()
    clock.exit_noticed()
    with suppress(OSError), clock.removing():
        seconds.passed += 2
        raise OSError
    phases = clock.phases(RAN)
    assert (phases.collect_ms, phases.remove_ms) == (0.0, None)


def queued_ms(result: EpicResult, task_id: str) -> list[float]:
    found = [phases.queued_ms for phases in result.tasks[task_id].phases]
    return [waited for waited in found if waited is not None]


async def test_a_task_is_queued_from_when_it_could_have_started() -> None:
    tasks = [
        ScheduledTask("first", [], "x", priority=1),
        ScheduledTask("beside", [], "x"),
        ScheduledTask("after", ["beside"], "x"),
    ]
    runner = FakeRunner({name: Script(duration_s=0.2) for name in ("first", "beside")})
    result = await ParallelTaskScheduler(runner).execute_epic(tasks, EpicExecutionOptions(max_parallel=1))
    (first,), (beside,), (after,) = (queued_ms(result, task.id) for task in tasks)
    assert first < 100
    assert 200 <= beside < 400
    assert after < 100  # not from when the run began


class _FailsOnce(SandboxBackend):
    """A runner whose sandboxes fail, but for the second attempt."""

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        return SandboxResult(options.sandbox_id, 75 if options.attempt == 1 else 0, phases=options.phases)


async def test_every_attempt_is_told_and_a_pause_is_no_waiting() -> None:
    policy = RetryPolicy(limit=1, on=["exit_code"], initial_s=0.2, jitter=False)
    seen: list[Event] = []
    scheduler = ParallelTaskScheduler(_FailsOnce(), observers=[seen.append])
    result = await scheduler.execute_epic([ScheduledTask("t", [], "x", retry=policy)])
    assert [phases.attempt for phases in result.tasks["t"].phases] == [1, 2]
    assert all(waited < 150 for waited in queued_ms(result, "t"))
    (finished,) = (event for event in seen if isinstance(event, TaskFinished))
    assert finished.result.phases == result.tasks["t"].phases


async def test_a_task_that_is_cancelled_in_its_pause_tells_of_its_attempt() -> None:
    policy = RetryPolicy(limit=1, on=["exit_code"], initial_s=30, jitter=False)
    tasks = [ScheduledTask("t", [], "x", retry=policy), ScheduledTask("bad", [], "x", retry=RetryPolicy(limit=0))]
    runner = FakeRunner({"t": Script(exit_code=1), "bad": Script(exit_code=1, duration_s=0.05)})
    seen: list[Event] = []
    with pytest.raises(Exception, match="'bad'"):
        await ParallelTaskScheduler(runner, observers=[seen.append]).execute_epic(
            tasks, EpicExecutionOptions(fail_fast=True)
        )
    told = {event.result.task_id: event.result for event in seen if isinstance(event, TaskFinished)}
    assert told["t"].state is TaskState.CANCELLED
    assert [phases.attempt for phases in told["t"].phases] == [1]
    assert told["t"].earlier == []


async def test_a_runner_that_failed_leaves_what_the_scheduler_knows() -> None:
    class Broken(SandboxBackend):
        async def run(self, options: SandboxRunOptions) -> SandboxResult:
            raise OSError(options.task_id)

    seen: list[Event] = []
    with pytest.raises(Exception, match="'t'"):
        await ParallelTaskScheduler(Broken(), observers=[seen.append]).execute_epic([ScheduledTask("t", [], "x")])
    (finished,) = (event for event in seen if isinstance(event, TaskFinished))
    (phases,) = finished.result.phases
    assert phases.queued_ms is not None
    assert phases.create_ms is None


def test_removals_are_added_to_the_attempts_that_they_were_of() -> None:
    first, second = (SandboxResult("s", 0, phases=Phases(number, remove_ms=5.0)) for number in (1, 3))
    plain = SandboxResult("s", 0)
    tasks = {
        "a": TaskResult("a", TaskState.SUCCEEDED, attempts=2, sandbox=second, earlier=[first]),
        "b": TaskResult("b", TaskState.SUCCEEDED, attempts=1, sandbox=plain),
        "c": TaskResult("c", TaskState.SKIPPED),
    }
    result = EpicResult("e", "r", EpicState.SUCCEEDED, tasks, AT, AT)
    told = with_removals(result, {("r", "a", 3): 40.0, ("r", "b", 1): 50.0, ("other", "a", 1): 60.0})
    assert told.tasks["a"].phases == [Phases(1, remove_ms=5.0), Phases(3, remove_ms=40.0)]
    assert (told.tasks["b"].sandbox, told.tasks["c"]) == (plain, tasks["c"])


def test_waiting_does_not_tell_options_apart() -> None:
    one, other = (SandboxRunOptions("e.t", "x", queued_s=waited) for waited in (1.0, 2.0))
    assert one == other != SandboxRunOptions("e.t", "y", queued_s=1.0)
    assert hash(one) == hash(other)
