"""Why tasks stand where they stand, on state directories made without an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dockersched.cli import main
from dockersched.epic_run import EpicRun
from dockersched.errors import StateError
from dockersched.events import EpicStarted, Event, TaskFinished
from dockersched.graph.capacity import Capacity, share_out
from dockersched.graph.dag import TaskDAG
from dockersched.inspection.explain import explain
from dockersched.inspection.explain_document import explain_schema
from dockersched.inspection.runs import find_run
from dockersched.model import EpicExecutionOptions, QuotaConfig, RetryPolicy, ScheduledTask, TaskIs, ValueIs, When
from dockersched.report.wording import advice
from dockersched.results import SandboxResult, TaskResult
from dockersched.states import Reason, TaskState
from dockersched.store.lock import own_run
from dockersched.store.reader import StateReader
from tests.support.recorded_runs import AT, RecordedRun

RUN = "20260131-000000-aaaaaa"
GIB = 2**30
FOR_YEARS_S = 1e9


def task(task_id: str, *needs: str, memory: str = "512m", cpus: float = 1.0, **fields: Any) -> ScheduledTask:
    return ScheduledTask(task_id, needs, "true", quota=QuotaConfig(cpus=cpus, memory=memory), **fields)


@pytest.fixture
def explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[Any, str]]:
    """What `explain` says of a task of the newest run: as JSON, and in words."""

    def ask(task_id: str) -> tuple[Any, str]:
        argv = ["explain", "last", task_id, "--state-dir", str(tmp_path)]
        assert main([*argv, "--output", "json"]) == 0
        document = json.loads(capsys.readouterr().out)
        jsonschema.validate(document, explain_schema())
        assert main(argv) == 0
        return document, capsys.readouterr().out

    return ask


Ask = Callable[[str], tuple[Any, str]]


def test_of_a_running_task_it_is_told_since_when_and_where_its_output_is(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a b")])
    run.start("a b")

    with own_run(run.folder):
        assert explained("a b")[1] == (
            "a b is running, attempt 1 of at most 3\n"
            f"since 2026-01-31T12:00:00.000000Z; `dockersched logs {RUN} 'a b'` has its output so far\n"
        )
    assert explained("a b")[1].endswith(f"its run's process is gone: `dockersched resume {RUN}` goes on with it\n")


def test_the_log_of_a_run_that_was_moved_is_named_where_it_is(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path / "old", RUN, [task("a")])
    run.start("a")
    run.end("a", b"bad\n", exit_code=3, reason=Reason.EXIT_CODE)
    for part in ("runs", "state.db"):
        (tmp_path / "old" / part).rename(tmp_path / part)

    assert f"\nlog: {tmp_path}/runs/{RUN}/logs/a.log\n" in explained("a")[1]


def test_a_pending_task_waits_for_what_has_not_ended(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a"), task("b"), task("c"), task("d", "a", "b", "c")])
    for task_id in ("a", "b"):
        run.start(task_id)
    run.end("a")
    document, text = explained("d")
    assert document["waits_for"] == [{"task": "b", "state": "running"}, {"task": "c", "state": "ready"}]
    assert "d is pending\nwaits for b (running), c (ready)\n" in text
    assert f"`dockersched resume {RUN}`" in text  # nobody owns the run here


def test_a_task_at_the_end_waits_for_all_others(tmp_path: Path, explained: Ask) -> None:
    tasks = [task("a"), task("b"), task("tidy", finally_=True), task("last", "tidy", finally_=True)]
    run = RecordedRun(tmp_path, RUN, tasks)
    run.start("a")
    run.end("a", exit_code=1)
    assert explained("tidy")[0]["waits_for"] == [{"task": "b", "state": "ready"}]
    run.start("b")
    run.end("b")
    assert explained("tidy")[0]["state"] == "ready"
    assert explained("last")[0]["waits_for"] == [{"task": "tidy", "state": "ready"}]


def test_a_ready_task_lacks_what_others_hold(tmp_path: Path, explained: Ask) -> None:
    tasks = [task("a", memory="1g"), task("b", memory="4608m", cpus=0.5), task("c", memory="4g")]
    run = RecordedRun(tmp_path, RUN, tasks, limits=(4, 8.0, 8 * GIB))
    run.start("a")
    run.start("b")
    document, text = explained("c")
    assert document["lacks"] == [
        {"resource": "memory", "needed": 4 * GIB, "free": 2.5 * GIB, "whole": 8 * GIB, "held_by": ["b", "a"]}
    ]
    assert "needs 4 GiB of memory; 2.5 GiB of 8 GiB free; held by b, a" in text


@pytest.mark.parametrize("when", ["failure", "always", TaskIs("a", "failed")])
def test_a_task_that_runs_after_a_failure_is_ready(tmp_path: Path, explained: Ask, when: When) -> None:
    tasks = [task("a"), task("b"), task("rollback", "a", when=when)]
    run = RecordedRun(tmp_path, RUN, tasks, options=EpicExecutionOptions(max_parallel=1), limits=(1, None, None))
    run.start("a")
    run.end("a", exit_code=1)
    run.start("b")
    document, _ = explained("rollback")
    assert document["state"] == "ready"
    assert [lack["held_by"] for lack in document["lacks"]] == [["b"]]


def test_a_task_whose_value_is_not_looked_at_yet_is_ready(tmp_path: Path, explained: Ask) -> None:
    tasks = [task("a", values=("v",)), task("b", "a", when=ValueIs("a", "v", "x"))]
    run = RecordedRun(tmp_path, RUN, tasks)
    run.start("a")
    run.end("a", values={"v": "x"})
    assert explained("b")[0]["state"] == "ready"


def test_tasks_at_the_end_are_ready_by_their_own_conditions(tmp_path: Path, explained: Ask) -> None:
    tasks = [task("a", values=("v",)), task("first", finally_=True, when=ValueIs("a", "v", "x"))]
    tasks += [task(when, "first", finally_=True, when=when) for when in ("success", "failure")]
    run = RecordedRun(tmp_path, RUN, tasks)
    run.start("a")
    run.end("a", values={"v": "x"})
    assert explained("first")[0]["state"] == "ready"
    run.start("first")
    run.end("first", exit_code=1)
    assert [explained(task_id)[0]["state"] for task_id in ("success", "failure")] == ["pending", "ready"]
    assert "what it depends on has ended, and what follows from that is not on record yet\n" in explained("success")[1]


def test_a_pending_task_waits_for_nothing_that_has_ended(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a"), task("b"), task("c", "a", "b", when="always")])
    run.start("a")
    run.end("a", exit_code=1)
    assert explained("c")[0]["waits_for"] == [{"task": "b", "state": "ready"}]


def test_a_ready_task_lacks_a_slot_and_cpus(tmp_path: Path, explained: Ask) -> None:
    options = EpicExecutionOptions(max_parallel=1, max_cpus=2)
    run = RecordedRun(tmp_path, RUN, [task("a", cpus=1.5), task("b")], options=options, limits=(1, 2.0, None))
    run.start("a")
    _, text = explained("b")
    assert "needs a slot; 0 of 1 free; held by a\nneeds 1 CPUs; 0.5 of 2 free; held by a\n" in text
    run.end("a")
    document, text = explained("b")
    assert document["lacks"] == []
    assert "it starts next, unless" in text


def test_an_attempt_after_one_out_of_memory_holds_more(tmp_path: Path, explained: Ask) -> None:
    policy = RetryPolicy(on=["oom_killed"], memory_factor=2.0)
    run = RecordedRun(
        tmp_path, RUN, [task("a", memory="1g", retry=policy), task("b", memory="3g")], limits=(4, None, 4 * GIB)
    )
    run.start("a")
    run.come_back("a", SandboxResult("s", 137, Reason.OOM_KILLED), retry_in_s=FOR_YEARS_S)
    document, text = explained("a")
    assert document["state"] == "retrying"
    assert (document["retry"]["covered"], document["retry"]["attempts_left"]) == (True, 2)
    assert "its pause before attempt 2 is not over" in text
    run.start("a", 2)
    (lack,) = explained("b")[0]["lacks"]
    assert (lack["free"], lack["held_by"]) == (2 * GIB, ["a"])


def test_after_its_pause_a_task_is_ready_again_and_lacks_what_others_hold(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a"), task("b")], options=EpicExecutionOptions(max_parallel=1))
    run.start("a")
    run.come_back("a", SandboxResult("s", reason=Reason.INTERRUPTED), retry_in_s=1.5)
    run.start("b")

    document, text = explained("a")

    assert {key: document[key] for key in ("state", "since", "attempt", "reason")} == {
        "state": "ready",
        "since": "2026-01-31T12:00:01.500000Z",
        "attempt": 1,
        "reason": "interrupted",
    }
    assert [lack["held_by"] for lack in document["lacks"]] == [["b"]]
    assert "needs a slot; 0 of 1 free; held by b\n" in text


def test_a_task_that_was_skipped_says_by_what_rule(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a"), task("b", "a", when="failure"), task("c", "b")])
    run.start("a")
    run.end("a")
    rule = TaskResult("b", TaskState.SKIPPED, Reason.CONDITION, "when: failure")
    run.tell(TaskFinished(AT, rule))
    run.tell(TaskFinished(AT, TaskResult("c", TaskState.SKIPPED, Reason.UPSTREAM_SKIPPED, "'b' was skipped", "b")))
    _, text = explained("b")
    assert "b is skipped\nwas skipped, as its `when` did not hold\ndetail: when: failure" in text
    _, text = explained("c")
    assert "c is skipped\nnever started, because b was skipped" in text


def test_a_task_that_was_cancelled_with_another_does_not_call_that_failed(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("slow"), task("after", "slow")])
    cancelled = EpicRun(TaskDAG([task("slow"), task("after", "slow")]), EpicExecutionOptions(), [run.tell])
    cancelled.cancel(["slow"])
    document, text = explained("after")
    assert (document["root_cause"], document["reason"]) == ("slow", "cancelled")
    assert "never started, because slow was cancelled\n" in text


def test_a_task_that_never_started_tells_the_way_from_the_root_cause(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a"), task("fine"), task("b", "fine", "a"), task("c", "b"), task("d", "c")])
    run.start("fine")
    run.end("fine")
    run.start("a")
    run.end("a", exit_code=3)
    for task_id in ("b", "c", "d"):
        never = TaskResult(task_id, TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "'a' failed", "a")
        run.tell(TaskFinished(AT, never))
    document, text = explained("d")
    assert (document["root_cause"], document["path"]) == ("a", ["a", "b", "c", "d"])
    assert "never started, because a failed" in text
    assert "the way from the root cause: a -> b -> c -> d" in text


@pytest.mark.parametrize(
    ("policy", "reason", "words"),
    [
        (
            RetryPolicy(),
            Reason.EXIT_CODE,
            "its policy is for infra, which this is not; this is not a failure of the engine",
        ),
        (RetryPolicy(limit=0), Reason.ENGINE_ERROR, "none are allowed; this is not the task's doing"),
        (RetryPolicy(limit=1), Reason.ENGINE_ERROR, "1 attempt left; this is not the task's doing"),
    ],
)
def test_a_failure_tells_whether_a_retry_can_help(
    policy: RetryPolicy, reason: Reason, words: str, tmp_path: Path, explained: Ask
) -> None:
    asked = QuotaConfig(cpus=1, memory="512m", pids=128)
    code = 3 if reason is Reason.EXIT_CODE else None
    sandbox = SandboxResult(
        "s", code, reason, "what it said", quota_requested=asked, quota_effective=replace(asked, pids=64)
    )
    run = RecordedRun(tmp_path, RUN, [task("a", retry=policy)])
    run.start("a")
    run.come_back("a", sandbox)
    document, text = explained("a")
    assert document["retry"] == {
        "limit": policy.limit,
        "on": ["infra"],
        "exit_codes": [],
        "attempts_left": policy.limit,
        "covered": reason is Reason.ENGINE_ERROR,
        "infrastructure": reason is Reason.ENGINE_ERROR,
    }
    assert (document["exit_code"], document["quota"]["effective"]["pids"]) == (code, 64)
    assert words in text
    assert "quota asked for: 1 CPUs, 512 MiB of memory, 128 pids\n" in text
    assert "quota in effect: 1 CPUs, 512 MiB of memory, 64 pids\n" in text
    assert "detail: what it said" in text
    assert f"what helps: {advice(TaskResult('a', TaskState.FAILED, reason))}" in text


def test_a_task_cancelled_for_an_image_of_another_is_not_told_to_correct_its_own(
    tmp_path: Path, explained: Ask
) -> None:
    run = RecordedRun(tmp_path, RUN, [task("bad", image="nope"), task("fine", image="busybox")])
    rejected = EpicRun(TaskDAG([task("bad"), task("fine")]), EpicExecutionOptions(), [run.tell])
    rejected.reject({"bad": "no such image"})
    _, text = explained("fine")
    assert "never started: an image of another task is not available\n" in text
    assert "what helps: see to the task whose image is not available\n" in text
    assert "what helps: correct the name of `image`" in explained("bad")[1]


def test_a_cancelled_task_tells_why(tmp_path: Path, explained: Ask) -> None:
    run = RecordedRun(tmp_path, RUN, [task("a")])
    run.end_without_owner()
    assert (
        "a is cancelled\nnever started: cancelled\nwhat helps: run it again if it is still wanted\n"
        in explained("a")[1]
    )


def test_what_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    RecordedRun(tmp_path, RUN, [task("build")])
    assert main(["explain", "last", "biuld", "--state-dir", str(tmp_path)]) == 2
    assert "has no task 'biuld' (did you mean 'build'?)" in capsys.readouterr().err
    RecordedRun(tmp_path, "later")
    reader = StateReader(tmp_path)
    with pytest.raises(StateError, match="run later has no tasks on record"):
        explain(reader, find_run(reader, "later"), "build")


def test_hostile_names_cannot_steer_a_terminal(tmp_path: Path, explained: Ask) -> None:
    RecordedRun(tmp_path, RUN, [task("\x1b[2Ja"), task("b\u202e", "\x1b[2Ja")])
    _, text = explained("b\u202e")
    assert text.isascii()
    assert "\x1b" not in text


def test_a_run_tells_its_limits_when_it_begins() -> None:
    told: list[Event] = []
    dag, options = TaskDAG([task("a")]), EpicExecutionOptions(max_parallel=3, overcommit_memory=0.5)
    EpicRun(dag, options, [told.append], share_out(dag, options, Capacity(2, 8 * GIB)))
    EpicRun(dag, options, [told.append])
    limits = [
        (event.max_parallel, event.max_cpus, event.max_memory_bytes) for event in told if isinstance(event, EpicStarted)
    ]
    assert limits == [(3, 2.0, 4 * GIB), (3, None, None)]
