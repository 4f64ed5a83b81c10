"""One engine call that puts files into a sandbox or takes them out, spoiled once in one way."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from docker.api import APIClient

from dockersched import RetryPolicy, ScheduledTask
from dockersched.data.run_files import RunFiles
from dockersched.model import Input, Output, QuotaConfig, Workspace
from tests.support.engine_proxy import Action, EngineProxy, Fault
from tests.support.spoiled_calls import ACTIONS
from tests.support.tally import Tally
from tests.support.trials import left_of, run_epic, runner_on, starts_by_container

FILE_CALLS = {
    "create volume": r"POST /v[\d.]+/volumes/create",
    "put archive": r"PUT /v[\d.]+/containers/[^/]+/archive\?path=%2Fworkspace",
    "put values": r"PUT /v[\d.]+/containers/[^/]+/archive\?path=%2Frun",
    "look at path": r"HEAD /v[\d.]+/containers/[^/]+/archive",
    "get archive": r"GET /v[\d.]+/containers/[^/]+/archive\?path=%2Fworkspace",
    "get values": r"GET /v[\d.]+/containers/[^/]+/archive\?path=%2Frun",
    "remove volume": r"DELETE /v[\d.]+/volumes/",
}
FILE_ACTIONS: dict[Action, list[str]] = {
    **{action: [*FILE_CALLS] for action in ACTIONS},
    "cut": [call for call in FILE_CALLS if call != "look at path"],  # its reply has no body
    "short": ["get archive", "get values"],
    "sever": ["put archive"],
}
"""The calls that each fault can meet."""

_CALL_TIMEOUT_S = 3.0
_BYTES = 1_500_000
_QUOTA = QuotaConfig(cpus=1, memory="64m", pids=32)


async def spoil_files(engine: APIClient, folder: Path, call: str, action: Action, *, times: int = 1) -> Tally:
    """Runs an epic whose first `call` meets the fault: one task copies its workspace out, the next one sums it up."""
    tally = Tally(f"{action} on {call}", tries=1)
    content = write_source(folder / "source")
    proxy = EngineProxy()
    files = RunFiles(folder / "store", folder / "artifacts")
    try:
        async with await runner_on(proxy.url, folder, call_timeout_s=_CALL_TIMEOUT_S, files=files) as runner:
            await runner.images.resolve("dockersched/base", "missing")
            proxy.faults = [Fault(FILE_CALLS[call], action, times=times)]
            result = await run_epic(runner, copying_tasks(folder / "source"), epic_id="spoiled-files")
            leaked = await runner.sweep(result.run_id)
    finally:
        proxy.close()
    for task in result.tasks.values():
        tally.expect(f"{tally.fault}: {task}", holds=task.succeeded)
    tally.expect(f"{tally.fault}: nothing was spoiled: {proxy.requests}", holds=bool(proxy.spoiled))
    tally.expect(f"{tally.fault}: leaked {leaked}", holds=leaked == [])
    copied = folder / "artifacts" / "copies" / "copy" / "big"
    tally.expect(f"{tally.fault}: the output is not whole", holds=copied.is_file() and copied.read_bytes() == content)
    sums = result.tasks["sums"].sandbox
    said = Path(sums.log.path).read_text() if sums and sums.log else ""
    expected = f"{hashlib.sha256(content).hexdigest()}\n100 files\n"
    tally.expect(f"{tally.fault}: the input is not whole: {said}", holds=said == expected)
    tally.counts["attempts"] = sum(task.attempts for task in result.tasks.values())
    tally.double_starts = sum(count > 1 for count in starts_by_container(engine, result.run_id).values())
    tally.orphans = left_of(engine, result.run_id)
    return tally


def write_source(folder: Path) -> bytes:
    """Writes a folder with a file that does not fit into one piece, and many small ones; gives its content."""
    folder.mkdir(parents=True)
    content = random.Random(7).randbytes(_BYTES)  # noqa: S311 - only noise
    (folder / "big").write_bytes(content)
    for number in range(99):
        (folder / f"small-{number:02}").write_text(f"{number}\n")
    return content


def copying_tasks(source: Path) -> list[ScheduledTask]:
    """The tasks; both fail when a file that was put in is not whole."""
    retry = RetryPolicy(limit=2, initial_s=0.05)
    copy = "[ $(ls | wc -l) = 100 ] && mkdir copy && cp big small-* copy"
    copy += " && echo sum=$(sha256sum big) >> $DOCKERSCHED_OUTPUT"
    sums = 'echo ${SUM% *}; echo $(ls in | wc -l) files; cd in && [ "$(echo $(sha256sum big))" = "$SUM" ]'
    return [
        ScheduledTask(
            "copies",
            [],
            "sh",
            ["-c", copy],
            _QUOTA,
            retry=retry,
            workspace=Workspace(str(source)),
            outputs={"copy": Output("copy")},
        ),
        ScheduledTask(
            "sums",
            [],
            "sh",
            ["-c", sums],
            _QUOTA,
            retry=retry,
            inputs=[Input("copies", "copy", "/workspace/in")],
            environment={"SUM": "${{ tasks.copies.values.sum }}"},
        ),
    ]
