"""What all tasks together may have, and who asks for more."""

from __future__ import annotations

import math

import pytest

from dockersched import EpicExecutionOptions, QuotaConfig, RetryPolicy, ScheduledTask, TaskDAG
from dockersched.graph.capacity import Capacity, check_capacity, resumed, share_out
from dockersched.graph.demand import Limits
from dockersched.graph.standing import Standing
from dockersched.sandbox.docker.defaults import SandboxDefaults

ENGINE = Capacity(4, 10 * 2**30)
GIB = 2**30


def dag(*quotas: QuotaConfig | None) -> TaskDAG:
    return TaskDAG([ScheduledTask(f"t{index}", [], "true", quota=quota) for index, quota in enumerate(quotas)])


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (EpicExecutionOptions(), Limits(4, 4e9, 8 * GIB)),
        (EpicExecutionOptions(overcommit_cpus=2, overcommit_memory=0.5), Limits(4, 8e9, 5 * GIB)),
        (EpicExecutionOptions(max_cpus=0.5, max_memory="20g"), Limits(4, 5e8, 20 * GIB)),
        (EpicExecutionOptions(max_cpus=16, overcommit_cpus=2), Limits(4, 16e9, 8 * GIB)),
    ],
)
def test_the_whole_is_what_the_options_say_of_the_engine(options: EpicExecutionOptions, limits: Limits) -> None:
    assert share_out(dag(), options, ENGINE).limits == limits


def test_without_an_engine_only_the_options_limit() -> None:
    shares = share_out(dag(None), EpicExecutionOptions(max_parallel=2, max_memory="1g"))
    assert shares.limits == Limits(2, math.inf, GIB)
    assert shares.demands == [(0, 0)]


def test_a_share_is_the_quota_with_the_runners_defaults() -> None:
    shares = share_out(
        dag(None, QuotaConfig(cpus=0.5), QuotaConfig(memory="1g")),
        EpicExecutionOptions(),
        full_quota=SandboxDefaults(quota=QuotaConfig(cpus=2)).fill_quota,
    )
    assert shares.demands == [(2_000_000_000, GIB // 2), (500_000_000, GIB // 2), (2_000_000_000, GIB)]


@pytest.mark.parametrize(
    ("quota", "options", "problem"),
    [
        (QuotaConfig(cpus=4, memory="8g"), {}, None),
        (QuotaConfig(cpus=5), {"overcommit_cpus": 2},
         "task 't0' asks for 5 CPUs, but the engine has 4: lower quota.cpus"),
        (QuotaConfig(memory="11g"), {"max_memory": "12g"},
         "task 't0' asks for 11 GiB of memory, but the engine has 10 GiB: lower quota.memory"),
        (QuotaConfig(memory="9g"), {},
         "task 't0' asks for 9 GiB of memory, but all tasks together may have 8 GiB: "
         "lower quota.memory, or raise max_memory"),
        (None, {"max_cpus": 0.5},
         "task 't0' asks for 1 CPU, but all tasks together may have 0.5: lower quota.cpus, or raise max_cpus"),
    ],
)  # fmt: skip
def test_a_task_that_asks_for_more_than_there_is_is_named(
    quota: QuotaConfig | None, options: dict[str, float], problem: str | None
) -> None:
    one = dag(quota)
    chosen = EpicExecutionOptions(**options)  # type: ignore[arg-type]
    shares = share_out(one, chosen, ENGINE, SandboxDefaults().fill_quota)
    found = check_capacity(one, shares, ENGINE)
    assert [entry.message for entry in found] == ([problem] if problem else [])


@pytest.mark.parametrize(
    "options",
    [
        {"max_cpus": 0}, {"max_cpus": math.inf}, {"max_cpus": True}, {"max_memory": "1m"}, {"overcommit_cpus": 0},
        {"overcommit_memory": math.nan},
    ],
)  # fmt: skip
def test_what_cannot_be_a_limit_is_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
        EpicExecutionOptions(**options)  # type: ignore[arg-type]


def test_what_is_in_flight_holds_what_its_memory_has_grown_to() -> None:
    patient = RetryPolicy(on=["oom_killed"], memory_factor=2, memory_max="3g")
    names = {"plain": RetryPolicy(), "grown": patient, "done": patient, "most": patient}
    tasks = TaskDAG(
        [ScheduledTask(name, [], "true", quota=QuotaConfig(memory="1g"), retry=names[name]) for name in names]
    )
    standing = {
        "plain": Standing(1, in_flight=True, oom_kills=1),
        "grown": Standing(2, in_flight=True, oom_kills=1),
        "done": Standing(2, oom_kills=1),
        "most": Standing(0, in_flight=True, oom_kills=5),
    }
    found = resumed(tasks, share_out(tasks, EpicExecutionOptions(), ENGINE), standing)
    assert found.recorded == {0: 1, 1: 2, 2: 2}
    assert found.in_flight == {0: (0, GIB), 1: (0, 2 * GIB), 3: (0, 3 * GIB)}
