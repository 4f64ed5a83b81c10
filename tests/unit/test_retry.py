import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import Reason, RetryPolicy, SandboxResult
from dockersched.graph.retry import pause_s, wants_retry


def result(reason: Reason, exit_code: int | None = None) -> SandboxResult:
    return SandboxResult("s", exit_code, reason)


@pytest.mark.parametrize(
    ("policy", "ended", "again"),
    [
        (RetryPolicy(), result(Reason.INTERRUPTED), True),
        (RetryPolicy(), result(Reason.ENGINE_ERROR), True),
        (RetryPolicy(), result(Reason.EXIT_CODE, 1), False),
        (RetryPolicy(), result(Reason.TIMED_OUT), False),
        (RetryPolicy(limit=0), result(Reason.INTERRUPTED), False),
        (RetryPolicy(on=["timed_out"]), result(Reason.TIMED_OUT), True),
        (RetryPolicy(on=["timed_out"]), result(Reason.INTERRUPTED), False),
        (RetryPolicy(on=["exit_code"]), result(Reason.EXIT_CODE, 1), True),
        (RetryPolicy(on=[], exit_codes=[75]), result(Reason.EXIT_CODE, 75), True),
        (RetryPolicy(on=[], exit_codes=[75]), result(Reason.EXIT_CODE, 74), False),
        (RetryPolicy(on=["oom_killed"]), result(Reason.OOM_KILLED, 137), True),
    ],
)
def test_wants_retry(policy: RetryPolicy, ended: SandboxResult, again: bool) -> None:
    assert wants_retry(policy, ended, 1) == again
    assert not wants_retry(policy, ended, policy.limit + 1)


def test_pauses_grow_up_to_the_longest() -> None:
    policy = RetryPolicy(initial_s=1, factor=2, max_s=5, jitter=False)
    assert [pause_s(policy, attempt, 0.5) for attempt in (1, 2, 3, 4, 10_000)] == [1, 2, 4, 5, 5]


def test_a_pause_is_never_too_large_to_compute() -> None:
    assert pause_s(RetryPolicy(limit=100, factor=1e9, jitter=False), 99, 1) == 30


@given(st.integers(1, 10**6), st.floats(0, 1))
def test_jitter_only_shortens(attempt: int, chance: float) -> None:
    full = pause_s(RetryPolicy(jitter=False), attempt, chance)
    assert 0 <= pause_s(RetryPolicy(), attempt, chance) <= full <= 30


@pytest.mark.parametrize(
    "fields",
    [
        {"limit": -1},
        {"limit": True},
        {"on": "infra"},
        {"on": ["rain"]},
        {"exit_codes": [0]},
        {"initial_s": 0},
        {"factor": 0.5},
    ],
)
def test_a_policy_refuses_what_cannot_be(fields: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        RetryPolicy(**fields)  # type: ignore[arg-type]
