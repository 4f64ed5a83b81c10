"""Runs of a Python program on the real engine."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient

import dockersched
from dockersched import EpicError, EpicState, RunOwnedError, UnfinishedRunError
from dockersched.cli import main
from dockersched.epicfile import load_mapping
from dockersched.events import EpicStarted, Event, TaskFinished, TaskStarted
from dockersched.session import Session, SessionSettings
from dockersched.store.database import StateStore

SMALL: dict[str, object] = {"cpus": 0.5, "memory": "32m", "pids": 16}


def epic(name: str, **tasks: dict[str, object]) -> dict[str, object]:
    return {"epic": name, "defaults": {"image": "dockersched/base", "quota": SMALL}, "tasks": tasks}


def nap(seconds: float) -> dict[str, object]:
    return {"command": "sleep", "args": [str(seconds)], "stop_grace_period": "1s"}


def containers(engine: APIClient, run_id: str) -> list[Any]:
    found: list[Any] = engine.containers(all=True, filters={"label": f"io.dockersched.run={run_id}"})
    return found


async def until_a_task_runs(engine: APIClient, handle: dockersched.RunHandle) -> None:
    async for event in handle.events():
        if isinstance(event, TaskStarted):
            break
    while not any(found["State"] == "running" for found in containers(engine, handle.run_id)):
        await asyncio.sleep(0.05)


async def longest_pause(stopped: asyncio.Event) -> float:
    """Seconds for which the loop did nothing else."""
    longest = 0.0
    while not stopped.is_set():
        began = time.monotonic()
        await asyncio.sleep(0.01)
        longest = max(longest, time.monotonic() - began)
    return longest


async def test_runs_go_on_side_by_side_and_other_processes_see_them(
    engine: APIClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(number) for number in signal.Signals]
    stopped = asyncio.Event()
    watching = asyncio.create_task(longest_pause(stopped))
    output: list[bytes] = []
    async with dockersched.connect(state_dir=tmp_path) as client:
        long = await client.start(epic("long", nap=nap(60)))
        await until_a_task_runs(engine, long)
        greeting = epic("short", greet={"run": "echo hello"})
        short = await client.start(greeting, on_output=lambda _task, data: output.append(data))
        result = await short.result()
        assert [signal.getsignal(number) for number in signal.Signals] == handlers
        stopped.set()
        pause = await watching
        with pytest.raises(RunOwnedError) as owned:
            await client.start(epic("long", nap=nap(60)))
        assert owned.value.pid == os.getpid()
        assert await asyncio.to_thread(main, ["ps", "--output", "json", "--state-dir", str(tmp_path)]) == 0
        seen = {run["run"]: (run["state"], run["pid"]) for run in json.loads(capsys.readouterr().out)["runs"]}
        assert seen == {long.run_id: ("running", os.getpid()), short.run_id: ("succeeded", None)}
        # Asked by another process, as any run can be.
        assert await asyncio.to_thread(main, ["cancel", long.run_id, "--state-dir", str(tmp_path)]) == 0
        assert (await long.result()).state is EpicState.CANCELLED
    assert (result.succeeded, b"".join(output)) == (True, b"hello\n")
    assert pause < 0.5
    assert json.loads((short.folder / "result.json").read_text())["state"] == "succeeded"
    assert containers(engine, long.run_id) == []


@pytest.mark.parametrize("leave", ["exception", "cancelled"])
async def test_leaving_the_block_leaves_no_sandbox(engine: APIClient, tmp_path: Path, leave: str) -> None:
    handles: list[dockersched.RunHandle] = []
    running = asyncio.Event()

    async def program() -> None:
        async with dockersched.connect(state_dir=tmp_path) as client:
            handles.append(await client.start(epic("left", nap=nap(60), other=nap(60))))
            await until_a_task_runs(engine, handles[0])
            running.set()
            if leave == "exception":
                raise LookupError
            await handles[0].result()

    task = asyncio.create_task(program())
    await running.wait()
    if leave == "cancelled":
        task.cancel()
    with pytest.raises((LookupError, asyncio.CancelledError)):
        await task
    assert containers(engine, handles[0].run_id) == []
    assert (await handles[0].result()).state is EpicState.CANCELLED


async def test_a_run_whose_program_was_killed_is_resumed(engine: APIClient, tmp_path: Path) -> None:
    process = in_process(engine, tmp_path, f"dockersched.run({epic('killed', nap=nap(2))!r})")
    process.kill()
    process.communicate()
    async with dockersched.connect(state_dir=tmp_path) as client:
        with pytest.raises(UnfinishedRunError) as unfinished:
            await client.start(epic("killed", nap=nap(2)))
        handle = await client.resume(unfinished.value.run_id)
        result = await handle.result()
        assert [event.task_ids async for event in handle.events() if isinstance(event, EpicStarted)] == [("nap",)]
    assert (result.state, result.tasks["nap"].attempts) == (EpicState.SUCCEEDED, 1)


def killed_once_it_says_so(program: str) -> None:
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "cancelled\n"
        process.kill()


async def test_a_task_that_was_cancelled_is_also_after_the_program_was_killed(
    engine: APIClient, tmp_path: Path
) -> None:
    tasks = {"nap": nap(2), "other": nap(60)}
    program = f"""
async def program():
    async with dockersched.connect(state_dir={str(tmp_path)!r}) as client:
        handle = await client.start({epic("named", **tasks)!r})
        async for event in handle.events():
            if isinstance(event, EpicStarted):  # so the run is on record
                break
        await handle.cancel("other")
        print("cancelled", flush=True)
        await handle.result()
asyncio.run(program())
"""
    killed_once_it_says_so(f"import asyncio, dockersched\nfrom dockersched.events import EpicStarted\n{program}")
    async with dockersched.connect(state_dir=tmp_path) as client:
        (folder,) = (tmp_path / "runs").iterdir()
        result = await (await client.resume(folder.name)).result()
    states = {task_id: str(entry.state) for task_id, entry in result.tasks.items()}
    assert states == {"nap": "succeeded", "other": "cancelled"}


def test_an_interrupt_of_run_leaves_no_sandbox(engine: APIClient, tmp_path: Path) -> None:
    process = in_process(engine, tmp_path, f"dockersched.run({epic('interrupted', nap=nap(60))!r})")
    (folder,) = (tmp_path / "runs").iterdir()
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=30)
    assert stderr.strip().endswith("KeyboardInterrupt")
    assert json.loads((folder / "result.json").read_text())["state"] == "cancelled"
    assert containers(engine, folder.name) == []


def test_run_handles_signals_if_it_is_asked_to(engine: APIClient, tmp_path: Path) -> None:
    code = f"print(dockersched.run({epic('asked', nap=nap(60))!r}, handle_signals=True).state)"
    process = in_process(engine, tmp_path, code)
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=30)
    assert (process.returncode, stdout.strip()) == (0, "cancelled"), stderr
    (path,) = tmp_path.glob("runs/*/result.json")
    assert json.loads(path.read_text())["exit_code"] == 143


def in_process(engine: APIClient, state_dir: Path, code: str) -> subprocess.Popen[str]:
    """A program whose one run has a running container."""
    # Whoever is started in the background of a shell ignores SIGINT, and so do its children.
    interruptible = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    process = subprocess.Popen(
        [sys.executable, "-c", f"{interruptible}\nimport dockersched\n{code}"],
        env={**os.environ, "DOCKERSCHED_STATE_DIR": str(state_dir)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not any(
        found["State"] == "running" for folder in state_dir.glob("runs/*") for found in containers(engine, folder.name)
    ):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    return process


async def test_what_the_engine_cannot_give_is_told_with_its_place(engine: APIClient, tmp_path: Path) -> None:
    del engine
    path = tmp_path / "large.yaml"
    path.write_text("epic: large\ntasks:\n  a: {command: 'true', quota: {cpus: 4096}}\n")
    async with dockersched.connect(state_dir=tmp_path / "state") as client:
        with pytest.raises(EpicError, match=r"large\.yaml:3:\d+: .*4096 CPUs"):
            await client.start(path)
    assert not (tmp_path / "state" / "runs").exists()


async def test_what_a_display_raises_is_no_tasks_failure(engine: APIClient, tmp_path: Path) -> None:
    raised: list[str] = []

    def fail(*given: object) -> None:
        raised.append(type(given[0]).__name__)
        raise RuntimeError("a mistake in the display")

    async with dockersched.connect(state_dir=tmp_path) as client:
        tasks: dict[str, dict[str, object]] = {"quick": {"run": "echo a"}, "slow": {"run": "echo a; sleep 1; echo b"}}
        handle = await client.start(epic("display", **tasks), on_event=fail, on_output=fail)
        assert (await handle.result()).succeeded
        assert raised == ["RunLaunched", "str"]
        assert containers(engine, handle.run_id) == []


async def test_no_sandbox_is_left_of_a_run_that_an_exception_ends(engine: APIClient, tmp_path: Path) -> None:
    def observe(event: Event) -> None:
        if isinstance(event, TaskFinished):
            raise ValueError("a mistake in an observer")

    run = load_mapping(epic("observer", quick={"run": "echo a"}, long=nap(60)))
    session = Session(run, SessionSettings(tmp_path, observers=(observe,)), StateStore(tmp_path))
    with pytest.raises(ValueError, match="a mistake in an observer"):
        await session.run()
    assert containers(engine, session.run_id) == []
