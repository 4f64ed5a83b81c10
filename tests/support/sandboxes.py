"""Short ways to build and run sandboxes on the real engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dockersched import DockerRunner, QuotaConfig, SandboxRunOptions, ids
from dockersched.results import SandboxResult

SMALL = QuotaConfig(cpus=0.5, memory="32m", pids=32)


def sandbox(*command: str, task_id: str = "task", run_id: str | None = None, **changes: Any) -> SandboxRunOptions:
    """Options for one command in a small sandbox."""
    return SandboxRunOptions(
        ids.sandbox_id("engine-tests", task_id),
        command[0],
        command[1:],
        epic_id="engine-tests",
        run_id=run_id or ids.new_run_id(),
        task_id=task_id,
        **{"quota": SMALL, "timeout_s": 30.0, "stop_grace_s": 0.5, **changes},
    )


def shell(script: str, **changes: Any) -> SandboxRunOptions:
    """Options for a shell script."""
    return sandbox("sh", "-c", script, **changes)


async def run(runner: DockerRunner, options: SandboxRunOptions) -> SandboxResult:
    """Runs a sandbox and removes its container."""
    try:
        return await runner.run(options)
    finally:
        await runner.sweep(options.run_id)


def log_of(result: SandboxResult) -> bytes:
    """What a sandbox wrote."""
    assert result.log is not None
    return Path(result.log.path).read_bytes()
