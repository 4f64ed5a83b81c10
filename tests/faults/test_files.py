"""What goes into sandboxes and comes out of them is whole or not there, whatever happens on the way."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import Reason, ids
from dockersched.data.run_files import RunFiles
from dockersched.events import Event, TaskRetrying
from tests.support.bench import COMMAND
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.file_bench import FileBench
from tests.support.private_engine import PrivateEngine, tmpfs_data_root
from tests.support.spoiled_files import FILE_CALLS, copying_tasks, spoil_files, write_source
from tests.support.trials import left_of, run_epic, runner_on, starts_by_container

PORT = 2375


@pytest.fixture(scope="module")
def private(engine: APIClient) -> Iterator[PrivateEngine]:
    """An engine that listens on a network of its own, and sees nothing that is mounted from now on."""
    del engine  # without one there is no image to load
    with PrivateEngine(flags=[f"--host=tcp://127.0.0.1:{PORT}", "--tls=false"]) as made:
        made.load_image()
        yield made


@pytest.mark.parametrize(
    ("call", "action"),
    [
        ("put archive", "sever"),
        ("get archive", "cut"),
        ("get archive", "short"),
        ("get archive", "error"),
        ("get values", "drop"),
    ],
)
async def test_files_are_whole_when_a_call_for_them_was_spoiled(
    engine: APIClient, tmp_path: Path, call: str, action: Action
) -> None:
    tally = await spoil_files(engine, tmp_path, call, action)
    assert tally.is_clean, tally
    assert tally.counts["attempts"] == 2  # of two tasks


async def test_of_an_output_that_never_comes_whole_nothing_is_there(engine: APIClient, tmp_path: Path) -> None:
    write_source(tmp_path / "source")
    proxy = EngineProxy([Fault(FILE_CALLS["get archive"], "short")])
    files = RunFiles(tmp_path / "store", tmp_path / "artifacts")
    try:
        async with await runner_on(proxy.url, tmp_path, files=files) as runner:
            result = await run_epic(runner, copying_tasks(tmp_path / "source"), epic_id="short")
            await runner.sweep(result.run_id)
    finally:
        proxy.close()
    copies = result.tasks["copies"]
    assert (copies.state, copies.reason, copies.exit_code, copies.attempts) == ("failed", Reason.OUTPUT_LOST, 0, 3)
    assert "output 'copy': the archive was cut off" in copies.detail
    assert list((tmp_path / "artifacts").rglob("*/*")) == []
    assert left_of(engine, result.run_id) == 0


async def test_a_sandbox_never_starts_with_half_a_workspace(engine: APIClient, tmp_path: Path) -> None:
    """The way to the engine breaks in the middle of every upload, so nothing is started but what holds the volumes."""
    write_source(tmp_path / "source")
    proxy, run_id = EngineProxy(), ids.new_run_id()
    files = RunFiles(tmp_path / "store", tmp_path / "artifacts")
    try:
        async with await runner_on(proxy.url, tmp_path, files=files) as runner:
            await runner.images.resolve("dockersched/base", "missing")
            proxy.faults = [Fault(FILE_CALLS["put archive"], "sever")]
            tasks = copying_tasks(tmp_path / "source")
            running = asyncio.create_task(run_epic(runner, tasks, epic_id="half", run_id=run_id))
            async with asyncio.timeout(30):
                while len(proxy.spoiled) < 5:
                    await asyncio.sleep(0.05)
            running.cancel()
            await asyncio.wait([running])
            await runner.sweep(run_id)
    finally:
        proxy.close()
    started = starts_by_container(engine, run_id)
    assert [name.rpartition("-")[2] for name in started] == ["workspace"]
    assert left_of(engine, run_id) == 0


async def test_an_output_that_went_down_with_the_daemon_is_made_again(private: PrivateEngine, tmp_path: Path) -> None:
    content = write_source(tmp_path / "source")
    retries: list[TaskRetrying] = []

    def observer(event: Event) -> None:
        if isinstance(event, TaskRetrying):
            retries.append(event)

    # The task has ended, and its output is about to be copied out.
    proxy = EngineProxy([Fault(FILE_CALLS["look at path"], "hang", times=1)], upstream=private.endpoint)
    files = RunFiles(tmp_path / "store", tmp_path / "artifacts")
    try:
        async with await runner_on(proxy.url, tmp_path, call_timeout_s=5, files=files) as runner:
            tasks = copying_tasks(tmp_path / "source")
            running = asyncio.create_task(run_epic(runner, tasks, epic_id="down", observers=[observer]))
            async with asyncio.timeout(30):
                while not proxy.spoiled:
                    await asyncio.sleep(0.01)
            await asyncio.to_thread(private.kill)
            await asyncio.to_thread(private.start)
            result = await asyncio.wait_for(running, 60)
            leaked = await runner.sweep(result.run_id)
    finally:
        proxy.close()
    assert [event.sandbox.reason for event in retries] == [Reason.OUTPUT_LOST]
    assert [(task.state, task.attempts) for task in result.tasks.values()] == [("succeeded", 2), ("succeeded", 1)]
    assert (tmp_path / "artifacts" / "copies" / "copy" / "big").read_bytes() == content
    assert leaked == []


def test_an_engine_that_does_not_see_our_disk_gets_the_workspace_and_gives_the_outputs(private: PrivateEngine) -> None:
    with tmpfs_data_root(50) as folder, private.client() as client:
        (folder / "there").touch()
        assert not (Path(f"/proc/{private.pid}/root") / str(folder)[1:] / "there").exists()
        bench = FileBench(client, folder)
        bench.put(**{"a.txt": "from here\n"})
        copy = {"run": "mkdir out; cp a.txt out; echo v=1 > $DOCKERSCHED_OUTPUT", "outputs": {"copy": "out"}}
        use = {"run": "cat in/a.txt > sum; echo $V >> sum", "environment": {"V": "${{ tasks.copies.values.v }}"}}
        gets = {"inputs": [{"from": "copies.copy", "at": "/workspace/in"}], "outputs": {"sum": "sum"}}
        bench.write({"copies": {**copy, "workspace": "source"}, "uses": {**use, **gets}})
        done = subprocess.run(
            private.room.on_network([*COMMAND, "run", "epic.json", "--output", "json"]),
            cwd=folder,
            env={**bench.environ, "DOCKER_HOST": f"tcp://127.0.0.1:{PORT}"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["state"] == "succeeded"
        assert bench.artifacts("uses") == {"sum/sum": "from here\n1\n"}
        assert bench.on_engine() == []
