"""Epics whose run is killed at chosen points and resumed until it is finished, and what is found of them then."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import docker.api
import jsonschema

from dockersched import ids
from dockersched.report import document
from dockersched.store.database import FILE_NAME, RunRow, StateStore
from tests.support.executions import Executions
from tests.support.file_bench import tree_of
from tests.support.kill_plans import DIAMOND, KEY, VALUE, Plan
from tests.support.kill_points import AT, PASSED
from tests.support.trials import Seen, attempt_starts, watching

ROOT = Path(__file__).parents[2]
_LIMIT_S = 90.0

QUOTA = {"cpus": 0.5, "memory": "32m", "pids": 16}


@dataclass
class Verdict:
    """What was found after a run was killed and mended.

    Attributes:
        points: where it was killed.
        missed: how many of them it never came to.
        wrong: what is not as it should be, in words.
        double_starts, orphans, lost: containers started more than once, containers and volumes left or started
            without a record, and attempts without exactly one record and one log.
    """

    points: Sequence[str]
    missed: int = 0
    wrong: list[str] = field(default_factory=list)
    double_starts: int = 0
    orphans: int = 0
    lost: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.wrong or self.double_starts or self.orphans or self.lost)


class Trial:
    """One epic, killed at points and resumed until it is finished.

    Args:
        client: of the engine.
        folder: a new one.
        plan: the epic.
    """

    def __init__(self, client: docker.api.APIClient, folder: Path, plan: Plan = DIAMOND) -> None:
        folder.mkdir(parents=True)
        self._plan = plan
        self._client = client
        self._folder = folder
        self._state_dir = folder / "state"
        self._epic_id = f"kill-{secrets.token_hex(4)}"
        self._epic = folder / "epic.json"
        fields = {
            "epic": self._epic_id,
            "max_parallel": plan.max_parallel,
            "defaults": {"quota": QUOTA},
            "tasks": plan.tasks,
        }
        self._executions: Executions | None = None
        if plan.prepare_ahead:
            self._executions = Executions(folder / "executed")
            mount = self._executions.mount
            seen = {"source": mount.source, "target": mount.target, "read_only": mount.read_only}
            fields["prepare_ahead"] = plan.prepare_ahead
            fields["tasks"] = {name: {**task, "mounts": [seen]} for name, task in plan.tasks.items()}
        self._epic.write_text(json.dumps(fields))
        for name, content in plan.source.items():
            (folder / "source").mkdir(exist_ok=True)
            (folder / "source" / name).write_text(content)

    def points(self) -> list[str]:
        """The points of a run that is left alone."""
        done, passed = self._run("run", str(self._epic))
        assert done.returncode == self._plan.exit_code, done.stderr
        return passed

    def points_of_resume(self, first: str) -> list[str]:
        """The points of going on with a run that was killed at a point."""
        self._run("run", str(self._epic), at=first)
        done, passed = self._run("resume")
        assert done.returncode == self._plan.exit_code, done.stderr
        return passed

    def judge(self, *points: str) -> Verdict:
        """Runs the epic and kills it at the first point, each resumption at the next, and lets the last one be."""
        verdict = Verdict(points)
        with watching(self._client, f"io.dockersched.epic={self._epic_id}") as seen:
            for point in points:
                done, passed = self._go_on(at=point)
                if done.returncode != -signal.SIGKILL:
                    verdict.missed += 1
                elif passed[-1:] != [point] and point not in passed:
                    verdict.wrong.append(f"killed, but not at {point}")
            done, _ = self._go_on()
        if done.returncode != self._plan.exit_code:
            verdict.wrong.append(f"resume ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        self._check(verdict, seen)
        return verdict

    def _go_on(self, at: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Resumes; where there is nothing to resume, because no run came to be on record, begins the epic."""
        run = self._only_run()
        if run is not None and run.state is not None:
            return subprocess.CompletedProcess([], run.exit_code or 0, "", ""), []
        if run is not None:
            return self._run("resume", at=at)
        if any(self._folder.glob("*.points")):  # it was killed before
            done, _ = self._run("resume")
            assert done.returncode == 2, done
            assert "is unfinished" in done.stderr, done
        return self._run("run", str(self._epic), at=at)

    def _run(self, *args: str, at: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
        allowed = ["--allow-mount", str(self._executions.folder)] if self._executions else []
        passed = self._folder / f"{secrets.token_hex(4)}.points"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "tests.support.kill_points",
                *args,
                *allowed,
                "--quiet",
                "--state-dir",
                str(self._state_dir),
            ],
            cwd=ROOT,
            env={**os.environ, PASSED: str(passed), AT: at, KEY: VALUE},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
        return done, passed.read_text().splitlines()

    def _only_run(self) -> RunRow | None:
        """The run as it is on record; looking changes nothing."""
        path = self._state_dir / FILE_NAME
        if not path.exists():
            return None
        with closing(sqlite3.connect(path)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchall():
                return None
            rows = connection.execute("SELECT run_id, epic_id, created_at, state, exit_code FROM runs").fetchall()
        assert len(rows) <= 1, rows
        return RunRow(*rows[0]) if rows else None

    def _check(self, verdict: Verdict, seen: Sequence[Seen]) -> None:
        ours = {"label": f"io.dockersched.epic={self._epic_id}"}
        left = self._client.containers(all=True, filters=ours)
        for container in left:
            self._client.remove_container(container["Id"], force=True)
        left_volumes = self._client.volumes(filters=ours)["Volumes"] or []
        for volume in left_volumes:
            self._client.remove_volume(volume["Name"])
        verdict.orphans += len(left) + len(left_volumes)
        run = self._only_run()
        if run is None or run.state != self._plan.state:
            verdict.wrong.append(f"the run is on record as {run}")
        if run is None:
            return
        folder = self._state_dir / "runs" / run.run_id
        self._check_attempts(verdict, run.run_id, folder, seen)
        verdict.wrong += _problems_of_documents(folder, self._plan)
        if (found := tree_of(folder / "artifacts")) != self._plan.artifacts:
            verdict.wrong.append(f"came out of the tasks: {found}")

    def _check_attempts(self, verdict: Verdict, run_id: str, folder: Path, seen: Sequence[Seen]) -> None:
        attempts = StateStore(self._state_dir).attempts(run_id)
        if set(attempts) != self._plan.all_attempts:
            verdict.wrong.append(f"attempts on record: {sorted(attempts)}")
        starts = self._begun(run_id, seen)
        for (task, number), row in attempts.items():
            started = starts.pop(ids.container_name(self._epic_id, run_id, task, number), 0)
            verdict.double_starts += started > 1
            log = folder / "logs" / ids.log_name(task, number)
            whole = log.is_file() and log.read_text() == f"ran {task}\n"
            reason = row.result and row.result.reason
            if row.result is None or reason != self._plan.reasons.get(task) or not whole or started == 0:
                verdict.lost += 1
                verdict.wrong.append(f"{task}: {started} starts, log whole: {whole}, record {row.result}")
        verdict.orphans += len(starts)
        verdict.wrong += [f"{name} was started, but is not on record" for name in starts]

    def _begun(self, run_id: str, seen: Sequence[Seen]) -> Counter[str]:
        """How often each attempt began, by the name of its container."""
        if self._executions is None:
            return attempt_starts(seen)
        names = {task: ids.container_name(self._epic_id, run_id, task, 1) for task in self._executions.tasks}
        return Counter({name: self._executions.of(task) for task, name in names.items()})


def _problems_of_documents(folder: Path, plan: Plan) -> list[str]:
    try:
        result = json.loads((folder / "result.json").read_text())
        jsonschema.validate(result, document.result_schema())
        events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    except (OSError, ValueError, jsonschema.ValidationError) as error:
        return [f"files of the run: {error}"]
    problems = []
    reasons = {name: task["reason"] for name, task in result["tasks"].items() if task["reason"]}
    attempts = {name: task["attempts"] for name, task in result["tasks"].items() if task["attempts"] != 1}
    found = (result["state"], result["exit_code"], reasons, attempts)
    if found != (plan.state, plan.exit_code, plan.reasons, plan.attempts):
        problems.append(f"result.json says {found}")
    begun = [name for name, task in result["tasks"].items() if task["attempts"] == 0 and task["started_at"]]
    if begun:
        problems.append(f"without an attempt, but begun: {begun}")
    if events[-1]["type"] != "done":
        problems.append(f"events.jsonl ends with {events[-1]}")
    return problems


def judge_all(
    client: Callable[[], docker.api.APIClient],
    folder: Path,
    points: Sequence[Sequence[str]],
    *,
    plan: Plan = DIAMOND,
    side_by_side: int = 2,
    on_verdict: Callable[[Verdict], None] = lambda _verdict: None,
) -> list[Verdict]:
    """Judges many trials, a few at a time."""

    def judge(numbered: tuple[int, Sequence[str]]) -> Verdict:
        number, kills = numbered
        verdict = Trial(client(), folder / str(number), plan).judge(*kills)
        on_verdict(verdict)
        return verdict

    with ThreadPoolExecutor(side_by_side) as pool:
        return list(pool.map(judge, enumerate(points)))


def spread(points: Sequence[str], count: int) -> list[str]:
    """Some of the points, spread evenly; the same ones each time."""
    return [points[index * (len(points) - 1) // (count - 1)] for index in range(count)]
