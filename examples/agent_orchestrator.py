"""A small orchestrator: it writes an epic, runs it, follows its events, repairs what failed, and runs it again.

    .venv/bin/python examples/agent_orchestrator.py FOLDER

Only the command is used, so that the same can be written in any language: `run --output jsonl` prints an event a line,
the last one says how the run ended, and `result.json` has the digest of what failed. Where a real orchestrator would
hand the digest to a language model, this one has two rules. The epic and the state directory go to FOLDER.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

DOCKERSCHED = [sys.executable, "-m", "dockersched"]
MAX_ROUNDS = 4

EPIC: dict[str, Any] = {
    "epic": "orchestrated",
    "defaults": {"timeout": "1m", "quota": {"cpus": 0.5, "memory": "16m", "pids": 32}},
    "tasks": {
        "numbers": {"run": "mkdir out; seq 1 100000 > out/numbers.txt", "outputs": {"list": "out/"}},
        # It holds 30 MB in memory, and gets 16: the first run must fail.
        "sum": {
            "inputs": ["numbers.list"],
            "run": "head -c 30000000 /dev/zero | tail -c 30000000 > /dev/null\n"
            "s=0; while read -r n; do s=$((s + n)); done < list/numbers.txt\n"
            'echo "sum=$s" >> "$DOCKERSCHED_OUTPUT"',
            "values": ["sum"],
        },
        "report": {
            "environment": {"SUM": "${{ tasks.sum.values.sum }}"},
            "run": 'echo "the sum is $SUM"',
        },
    },
}


def main(folder: Path) -> int:
    """Runs the epic until it succeeds, or nothing is known that could help; returns the exit code."""
    epic = json.loads(json.dumps(EPIC))
    path = folder / "epic.json"
    for round_number in range(1, MAX_ROUNDS + 1):
        path.write_text(json.dumps(epic, indent=2))
        result = run(path, folder / "state")
        if result["state"] == "succeeded":
            print(f"round {round_number}: {Path(result['tasks']['report']['log']).read_text().strip()}")
            return 0
        repairs = [repair(epic["tasks"][cause["task"]], cause) for cause in result["digest"]["causes"]]
        print(f"round {round_number}: {result['state']}; {'; '.join(repairs)}")
        if not all(repairs):
            break
    return 1


def run(path: Path, state_dir: Path) -> dict[str, Any]:
    """Runs an epic and tells of its tasks as they end; gives what `result.json` says."""
    command = [*DOCKERSCHED, "run", str(path), "--new", "--output", "jsonl", "--state-dir", str(state_dir)]
    last: dict[str, Any] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            last = json.loads(line)
            if last["type"] == "task_finished":  # types that are not known are passed over
                print(f"  {last['task']}: {last['state']}{' (' + last['reason'] + ')' if last['reason'] else ''}")
    if last.get("type") != "done":  # it was refused before it began, or broke off: stderr says why
        raise SystemExit(process.returncode)
    result: dict[str, Any] = json.loads((state_dir / "runs" / last["run"] / "result.json").read_text())
    return result


def repair(task: dict[str, Any], cause: dict[str, Any]) -> str:
    """Changes a task so that it may succeed, and says how; empty when nothing is known that could help."""
    if cause["reason"] in {"oom_killed", "killed"}:  # an engine can miss that it was for lack of memory
        task.setdefault("quota", {})["memory"] = memory = 4 * cause["quota"]["requested"]["memory"]
        return f"{cause['task']} gets {memory // 2**20} MiB of memory"
    if cause["reason"] == "timed_out":
        task["timeout"] = "10m"
        return f"{cause['task']} gets ten minutes"
    return ""


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
