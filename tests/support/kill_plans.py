"""Epics that are killed, and what must come of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.executions import noted

KEY, VALUE = "KILL_TRIALS_KEY", "sk-0123456789"


@dataclass(frozen=True)
class Plan:
    """An epic, and what must come of it wherever it is killed.

    Args:
        tasks: as in an epic file.
        max_parallel: as in an epic file.
        exit_code: of the command.
        reasons: why tasks do not succeed, by task id.
        attempts: of the tasks that have not just one.
        source: files of a folder `source` beside the epic, by name.
        artifacts: files that come out of the tasks, by path below the run's folder for them.
        prepare_ahead: as in an epic file. A container may be made anew then, as long as its task never ran: counted
            are executions, which the tasks note, in place of starts.
    """

    tasks: Mapping[str, Mapping[str, object]]
    max_parallel: int = 4
    exit_code: int = 0
    reasons: Mapping[str, str] = field(default_factory=dict)
    attempts: Mapping[str, int] = field(default_factory=dict)
    source: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    prepare_ahead: int = 0

    @property
    def state(self) -> str:
        """The state in which the epic ends."""
        return "failed" if self.exit_code else "succeeded"

    @property
    def all_attempts(self) -> set[tuple[str, int]]:
        """Task and number of all attempts that there are in the end."""
        return {(name, number + 1) for name in self.tasks for number in range(self.attempts.get(name, 1))}


DIAMOND = Plan(
    {
        "top": {"run": "echo ran top"},
        "left": {"run": "echo ran left", "depends_on": ["top"]},
        "right": {"run": "echo ran right", "depends_on": ["top"]},
        "bottom": {"run": "echo ran bottom", "depends_on": ["left", "right"]},
        "last": {"run": "echo ran last", "depends_on": ["bottom"]},
        # It lives on when its scheduler dies.
        "beside": {"run": "sleep 1; echo ran beside"},
    }
)
"""All succeed."""

SHARING = Plan(
    {
        **{name: {"run": f"echo ran {name}"} for name in ("one", "two", "three", "four", "five")},
        "six": {"run": "echo ran six", "depends_on": ["one", "five"]},
        "seven": {"run": "echo ran seven"},
    },
    max_parallel=1,
)
"""All but the first are in one network namespace, one after another."""

UNLUCKY = Plan(
    {
        "slow": {
            "run": "trap '' TERM; echo ran slow; sleep 30; sleep 30",
            "timeout": "700ms",
            "stop_grace_period": "300ms",
        },
        "again": {
            "run": "echo ran again; exit 75",
            "retry": {"limit": 1, "on": [{"exit_code": [75]}], "backoff": {"initial": "100ms"}},
        },
        "never": {"run": "echo ran never", "depends_on": ["again"]},
    },
    exit_code=1,
    reasons={"slow": "timed_out", "again": "exit_code", "never": "upstream_failed"},
    attempts={"again": 2, "never": 0},
)
"""A deadline, a retry, a dependent that never starts."""

AHEAD = Plan(
    {
        name: {"run": noted(name, f"sleep {length_s}; echo ran {name}; exit {code}"), "depends_on": dependencies}
        for name, length_s, code, dependencies in (
            ("one", 0.5, 0, []),
            ("two", 0.1, 0, ["one"]),
            ("three", 0, 0, ["two"]),
            ("beside", 0, 0, ["one"]),
            ("breaks", 0.9, 3, []),
            ("never", 0, 0, ["breaks"]),
        )
    },
    exit_code=1,
    reasons={"breaks": "exit_code", "never": "upstream_failed"},
    attempts={"never": 0},
    prepare_ahead=2,
)
"""A chain, a branch beside it, and a task that fails while its dependent waits behind a gate."""

SECRETIVE = Plan(
    {
        name: {
            "run": f"[ $(wc -c < /run/secrets/KEY) = {len(VALUE)} ] && echo ran {name}",
            "secrets": {"KEY": {"env": KEY}},
        }
        for name in ("one", "two")
    }
)
"""Secrets, which are in place whenever a task starts."""

DELIVERING = Plan(
    {
        "makes": {
            "run": 'mkdir out; cp *.txt out; echo sum="$(cat a.txt b.txt)" >> $DOCKERSCHED_OUTPUT; echo ran makes',
            "workspace": "source",
            "outputs": {"copy": "out"},
            "values": ["sum"],
        },
        "uses": {
            "run": '[ "$(cat in/a.txt in/b.txt)" = "$SUM" ]; echo $SUM > sum; echo ran uses',
            "inputs": [{"from": "makes.copy", "at": "/workspace/in"}],
            "environment": {"SUM": "${{ tasks.makes.values.sum }}"},
            "outputs": {"sum": "sum"},
        },
    },
    source={"a.txt": "one ", "b.txt": "two\n"},
    artifacts={"makes/copy/a.txt": "one ", "makes/copy/b.txt": "two\n", "uses/sum/sum": "one two\n"},
)
"""A workspace, an output that is an input, and a value."""
