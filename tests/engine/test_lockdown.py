"""What an epic can ask of a sandbox, and what is refused before anything starts."""

import subprocess
import sys
from pathlib import Path

from docker.api import APIClient

from dockersched import DockerRunner, Reason
from tests.support.sandboxes import run, sandbox


def refused(tmp_path: Path, text: str, *arguments: str) -> list[str]:
    """What `dockersched run` says of an epic that it must refuse before it puts anything on record."""
    (tmp_path / "e.yaml").write_text(f"epic: lockdown\n{text}")
    command = [sys.executable, "-m", "dockersched", "run", "e.yaml", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert not list(tmp_path.glob(".dockersched/runs/*"))
    return done.stderr.splitlines()


async def test_a_runtime_of_the_engine_is_used(runner: DockerRunner, engine: APIClient) -> None:
    options = sandbox("true", runtime="runc")
    result = await runner.run(options)
    (found,) = engine.containers(all=True, filters={"label": f"io.dockersched.run={options.run_id}"})
    assert engine.inspect_container(found["Id"])["HostConfig"]["Runtime"] == "runc"
    await runner.sweep(options.run_id)
    assert result.succeeded


async def test_a_runtime_that_the_engine_lacks_is_refused_and_never_replaced(
    runner: DockerRunner, engine: APIClient, tmp_path: Path
) -> None:
    options = sandbox("true", runtime="kata-none")
    result = await run(runner, options)
    assert (result.reason, result.exit_code) == (Reason.REJECTED, None)
    assert "wants the runtime 'kata-none', which the engine does not have (it has " in result.detail
    (line,) = refused(tmp_path, "tasks:\n  good: {run: echo}\n  t: {run: echo, runtime: kata-none}\n")
    assert line.startswith("e.yaml:4:27: task 't' wants the runtime 'kata-none'")
    assert engine.containers(all=True, filters={"label": "io.dockersched.epic=lockdown"}) == []
