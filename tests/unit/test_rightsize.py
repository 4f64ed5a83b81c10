"""Quotas proposed from what tasks used."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from dockersched.cli import main
from dockersched.epic import Epic
from dockersched.epicfile import load_mapping
from dockersched.graph.dag import TaskDAG
from dockersched.inspection.rightsize import patch_lines
from dockersched.model import EpicExecutionOptions, QuotaConfig, ScheduledTask
from dockersched.results import SandboxResult, Usage
from dockersched.states import Reason
from tests.support.recorded_runs import RecordedRun

AT = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
MIB = 2**20
QUOTA = QuotaConfig(1, "512m", 128)
SIZED = {"/tmp": "1m", "/home/sandbox": "1m", "/dev/shm": "1m"}


def used(memory: int | None = 100 * MIB, pids: int | None = 20, readings: int = 3) -> Usage:
    return Usage(memory, 1.0, pids, 0, readings, AT)


def ended(usage: Usage | None = None, **changes: Any) -> SandboxResult:
    return SandboxResult("e.t", **{"exit_code": 0, "quota_effective": QUOTA, "usage": usage, **changes})


def epic(*task_ids: str, **fields: Any) -> Epic:
    tasks = [ScheduledTask(id=task_id, depends_on=[], command="true", **fields) for task_id in task_ids]
    return Epic(TaskDAG(tasks), EpicExecutionOptions(epic_id="e"))


def proposed(*results: SandboxResult, headroom: float = 0.25, **fields: Any) -> tuple[Mapping[str, Any], str]:
    """What is proposed for a task with these attempts, its places having sizes of their own, and the whole text."""
    fields = {"tmpfs": SIZED, **fields}
    text = "\n".join(patch_lines(epic("t", **fields), "run-1", {"t": results}, headroom=headroom))
    return yaml.safe_load(text)["tasks"].get("t", {}).get("quota", {}), text


def test_the_most_that_was_seen_and_the_headroom_is_proposed() -> None:
    quota, text = proposed(ended(used()))
    assert quota == {"memory": "128m", "pids": 28}
    assert "memory: 128m  # now 512 MiB; seen: 100 MiB" in text
    assert "# from 3 readings" in text
    assert "run-1" in text


def test_how_to_merge_what_is_proposed_for_a_matrix_is_told() -> None:
    tasks = {"t.3.11": [ended(used())], "t.3.12": [ended(used(pids=40))]}
    text = "\n".join(patch_lines(epic(*tasks), "r", tasks, headroom=0.25))
    assert list(yaml.safe_load(text)["tasks"]) == ["t.3.11", "t.3.12"]
    assert "# What a matrix stands for is told one by one: merge the largest of their limits into the task" in text


def test_a_larger_headroom_gives_more() -> None:
    assert proposed(ended(used()), headroom=1.0)[0] == {"memory": "200m", "pids": 40}


def test_places_that_follow_from_the_limit_keep_room_for_all_that_was_seen() -> None:
    assert proposed(ended(used()), tmpfs={})[0]["memory"] == "200m"
    assert proposed(ended(used()), tmpfs={"/tmp": "1m", "/home/sandbox": "1m"})[0]["memory"] == "200m"
    assert proposed(ended(used()), tmpfs={}, headroom=2)[0]["memory"] == "304m"


def test_all_attempts_count() -> None:
    first = ended(used(memory=200 * MIB, pids=30), exit_code=None, reason=Reason.INTERRUPTED)
    quota, text = proposed(first, ended(used(readings=4)))
    assert quota == {"memory": "256m", "pids": 38}
    assert "# from 7 readings" in text


def test_a_small_task_keeps_some_room() -> None:
    assert proposed(ended(used(memory=1, pids=1)))[0] == {"memory": "16m", "pids": 9}


@pytest.mark.parametrize(
    "result",
    [
        ended(None),
        ended(used(), exit_code=1),
        ended(used(), reason=Reason.OOM_KILLED, exit_code=137),
        ended(used(memory=None, pids=None)),
        ended(used(memory=512 * MIB, pids=128)),
        ended(used(memory=500 * MIB, pids=125)),
        ended(used(memory=450 * MIB, pids=124)),
        ended(used(pids=None), oom_event=True),
        ended(used(), quota_effective=None),
    ],
)
def test_nothing_is_proposed_without_grounds(result: SandboxResult) -> None:
    quota, text = proposed(result)
    assert quota == {}
    assert ": t" in text.splitlines()[-1]


def test_a_limit_that_a_retry_has_grown_is_not_what_the_file_says() -> None:
    grown = ended(used(memory=300 * MIB), quota_effective=QuotaConfig(1, "1g", 128))
    assert proposed(grown, quota=QuotaConfig(1, "256m"))[0] == {"pids": 28}
    assert proposed(grown, quota=QuotaConfig(1, "512m"))[0] == {"memory": "376m", "pids": 28}
    assert "memory: 376m  # now 512 MiB; seen: 300 MiB" in proposed(grown)[1]


def test_what_was_not_read_is_left_out_alone() -> None:
    assert proposed(ended(used(memory=None)))[0] == {"pids": 28}
    assert proposed(ended(used(pids=None)))[0] == {"memory": "128m"}


def test_a_task_that_never_started_is_left_out() -> None:
    assert proposed()[0] == {}


def test_many_tasks_that_are_left_out_take_one_line() -> None:
    names = [f"t{number}" for number in range(1_000)]
    lines = list(patch_lines(epic(*names), "r", {name: [ended()] for name in names}, headroom=0.25))
    assert lines[-1].endswith("t9 and 990 more")
    assert yaml.safe_load("\n".join(lines)) == {"tasks": {}}


def merge(into: Any, patch: Any) -> Any:
    """A patch applied to data: mappings are merged, everything else is replaced."""
    if not (isinstance(into, dict) and isinstance(patch, dict)):
        return patch
    return into | {key: merge(into.get(key), value) for key, value in patch.items()}


def test_the_verb_prints_what_can_be_merged_into_the_epic(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = {
        "epic": "watched",
        "defaults": {"quota": {"memory": "512m", "pids": 128}},
        "tasks": {
            "no": {"command": "true"},
            "1e3": {"command": "true", "quota": {"cpus": 2}},
            "short": {"run": "true"},
        },
    }
    tasks = [ScheduledTask(id=task_id, depends_on=[], command="true") for task_id in ("no", "1e3", "short")]
    run = RecordedRun(tmp_path, "20260131-120000-000000", tasks)
    for task_id, usage in (("no", used()), ("1e3", used(pids=2)), ("short", None)):
        run.start(task_id)
        run.end(task_id, usage=usage, quota_effective=QUOTA)
    run.store.close()
    assert main(["rightsize", "last", "--headroom", "50%", "--state-dir", str(tmp_path)]) == 0
    patched = load_mapping(merge(file, yaml.safe_load(capsys.readouterr().out)))
    quotas = {task.id: task.quota for task in patched.dag}
    assert quotas == {
        "no": QuotaConfig(memory="200m", pids=30),
        "1e3": QuotaConfig(cpus=2, memory="200m", pids=10),
        "short": QuotaConfig(memory="512m", pids=128),
    }


@pytest.mark.parametrize("headroom", ["-1", "lots", "1001"])
def test_a_bad_headroom_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str], headroom: str) -> None:
    assert main(["rightsize", "last", f"--headroom={headroom}", "--state-dir", str(tmp_path)]) == 2
    assert "--headroom" in capsys.readouterr().err
