"""Runs an epic: a graph of tasks, each in its own Docker container.

Names are imported when they are first used, so that a program pays only for the parts it needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockersched.client import Client, RunHandle, connect, run
    from dockersched.control import EpicControl
    from dockersched.epic import Epic
    from dockersched.epicfile.load import load
    from dockersched.errors import (
        DockerschedError,
        EngineUnavailableError,
        EpicCancelledError,
        EpicError,
        EpicTimeoutError,
        FinishedRunError,
        MountRefusedError,
        PermanentRunnerError,
        Problem,
        RunnerError,
        RunOwnedError,
        StateError,
        TaskExecutionError,
        TransientRunnerError,
        UnfinishedRunError,
    )
    from dockersched.graph.dag import TaskDAG
    from dockersched.model import EpicExecutionOptions, Mount, QuotaConfig, RetryPolicy, ScheduledTask, SecretSource
    from dockersched.results import EpicResult, LogSummary, Phases, SandboxResult, TaskResult, Usage
    from dockersched.sandbox.base import SandboxBackend, SandboxCancelled, SandboxRunner, SandboxRunOptions
    from dockersched.sandbox.docker.runner import DockerRunner
    from dockersched.sandbox.fake import FakeRunner
    from dockersched.scheduler import ParallelTaskScheduler
    from dockersched.states import EpicState, Reason, TaskState

__version__ = "0.1.0"

__all__ = [
    "Client",
    "DockerRunner",
    "DockerschedError",
    "EngineUnavailableError",
    "Epic",
    "EpicCancelledError",
    "EpicControl",
    "EpicError",
    "EpicExecutionOptions",
    "EpicResult",
    "EpicState",
    "EpicTimeoutError",
    "FakeRunner",
    "FinishedRunError",
    "LogSummary",
    "Mount",
    "MountRefusedError",
    "ParallelTaskScheduler",
    "PermanentRunnerError",
    "Phases",
    "Problem",
    "QuotaConfig",
    "Reason",
    "RetryPolicy",
    "RunHandle",
    "RunOwnedError",
    "RunnerError",
    "SandboxBackend",
    "SandboxCancelled",
    "SandboxResult",
    "SandboxRunOptions",
    "SandboxRunner",
    "ScheduledTask",
    "SecretSource",
    "StateError",
    "TaskDAG",
    "TaskExecutionError",
    "TaskResult",
    "TaskState",
    "TransientRunnerError",
    "UnfinishedRunError",
    "Usage",
    "connect",
    "load",
    "run",
]

_MODULES = {
    "client": "Client RunHandle connect run",
    "control": "EpicControl",
    "epic": "Epic",
    "epicfile": "load",
    "errors": "DockerschedError EngineUnavailableError EpicCancelledError EpicError EpicTimeoutError "
    "FinishedRunError MountRefusedError PermanentRunnerError Problem RunOwnedError RunnerError "
    "StateError TaskExecutionError TransientRunnerError UnfinishedRunError",
    "graph.dag": "TaskDAG",
    "model": "EpicExecutionOptions Mount QuotaConfig RetryPolicy ScheduledTask SecretSource",
    "results": "EpicResult LogSummary Phases SandboxResult TaskResult Usage",
    "sandbox.base": "SandboxBackend SandboxCancelled SandboxRunOptions SandboxRunner",
    "sandbox.docker.runner": "DockerRunner",
    "sandbox.fake": "FakeRunner",
    "scheduler": "ParallelTaskScheduler",
    "states": "EpicState Reason TaskState",
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Imports a public name on its first use (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - only when something is imported

    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Every public name, imported or not."""
    return sorted({*globals(), *__all__})
