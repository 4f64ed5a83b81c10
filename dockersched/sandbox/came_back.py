"""What it means how a runner's coroutine came back: with a result, cancelled, or with an exception."""

from __future__ import annotations

import asyncio

from dockersched.errors import TransientRunnerError
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxCancelled, SandboxRunOptions
from dockersched.states import Reason, TaskState


def interpret(
    options: SandboxRunOptions, outcome: SandboxResult | BaseException
) -> tuple[SandboxResult, TaskState, bool]:
    """The result, the state it leads to, and whether it may be tried again at all."""
    if isinstance(outcome, SandboxCancelled):
        if outcome.result.reason is Reason.CANCELLED:
            return outcome.result, TaskState.CANCELLED, False
        outcome = outcome.result  # it had ended by itself just before it was to be stopped
    if isinstance(outcome, asyncio.CancelledError):
        cancelled = SandboxResult(options.sandbox_id, reason=Reason.CANCELLED, phases=options.phases)
        return cancelled, TaskState.CANCELLED, False
    if isinstance(outcome, SandboxResult):
        return outcome, TaskState.SUCCEEDED if outcome.succeeded else TaskState.FAILED, not outcome.is_final
    if isinstance(outcome, Exception):
        detail = f"{type(outcome).__name__}: {outcome}"
    else:
        detail = f"the runner returned {outcome!r} instead of a SandboxResult"
    sandbox = SandboxResult(options.sandbox_id, reason=Reason.ENGINE_ERROR, detail=detail, phases=options.phases)
    return sandbox, TaskState.FAILED, isinstance(outcome, TransientRunnerError)
