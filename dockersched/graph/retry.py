"""Whether and when a task is tried again. Pure: chance comes in as an argument."""

import math

from dockersched.model import RetryPolicy
from dockersched.results import SandboxResult
from dockersched.states import Reason

INFRASTRUCTURE = frozenset({Reason.INTERRUPTED, Reason.ENGINE_ERROR, Reason.OUTPUT_LOST})
"""Reasons that are not the task's doing and may be gone at the next try."""


def wants_retry(policy: RetryPolicy, result: SandboxResult, attempt: int) -> bool:
    """Whether another attempt follows.

    Args:
        policy: of the task.
        result: of its last attempt, which did not succeed.
        attempt: the number of that attempt, from 1.
    """
    if attempt > policy.limit or result.reason is None:
        return False
    if result.reason is Reason.EXIT_CODE and result.exit_code in policy.exit_codes:
        return True
    return result.reason in policy.on or ("infra" in policy.on and result.reason in INFRASTRUCTURE)


def pause_s(policy: RetryPolicy, attempt: int, chance: float) -> float:
    """Seconds to wait after an attempt.

    Args:
        policy: of the task.
        attempt: the number of the attempt that failed, from 1.
        chance: a random number from 0 to 1; with jitter it scales the pause.
    """
    growth = (attempt - 1) * math.log(policy.factor)
    if growth > math.log(policy.max_s / policy.initial_s):  # before the power gets too large to compute
        full = policy.max_s
    else:
        full = policy.initial_s * policy.factor ** (attempt - 1)
    return full * chance if policy.jitter else full


def next_memory_bytes(policy: RetryPolicy, memory_bytes: int, limit_bytes: float) -> int:
    """The memory limit of the attempt after one that was killed for lack of memory, never lower than that one's.

    Args:
        policy: of the task, with a `memory_factor`.
        memory_bytes: the limit of the attempt that was killed.
        limit_bytes: what all tasks of the run may have together.
    """
    most = min(policy.memory_max_bytes or math.inf, limit_bytes)
    return int(max(memory_bytes, min(memory_bytes * (policy.memory_factor or 1), most)))
