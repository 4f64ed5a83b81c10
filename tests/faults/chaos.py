"""Everything that can be broken, broken everywhere: `make chaos`. Prints a table; ends with 1 if anything was wrong.

Each row is a function that tries one fault and returns its tally; `python -m tests.faults.chaos NAME …` runs some.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from docker.api import APIClient

from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from tests.support.kill_points import DIAMOND, SECRETIVE, UNLUCKY, Plan, Trial, Verdict, judge_all
from tests.support.truncation import cut_everywhere

_COLUMNS = ("fault", "tries", "wrong outcomes", "double starts", "orphans", "lost records")


@dataclass(frozen=True)
class Tally:
    """What many tries of one fault came to."""

    fault: str
    tries: int
    wrong: int
    double_starts: int
    orphans: int
    lost: int

    @property
    def is_clean(self) -> bool:
        """Whether all was as it should be."""
        return not (self.wrong or self.double_starts or self.orphans or self.lost)


def killed_at_every_point() -> Tally:
    """SIGKILL before and after each engine call, statement and file of a run."""
    return _killed("dockersched killed in a run", DIAMOND)


def killed_while_stopping() -> Tally:
    """The same for an epic with a deadline and a retry."""
    return _killed("dockersched killed in deadline and retry", UNLUCKY)


def killed_with_secrets() -> Tally:
    """The same for tasks with secrets, whose volumes must be there at the start and gone in the end."""
    return _killed("dockersched killed in a run with secrets", SECRETIVE)


def killed_in_resume() -> Tally:
    """SIGKILL in the middle of a run, and then at every point of its resumption."""
    return _killed("dockersched killed again in resume", DIAMOND, "POST containers/*/start #4 after")


def state_truncated() -> Tally:
    """The state database and its write-ahead log cut off at small steps, in the header at every byte."""
    with tempfile.TemporaryDirectory(prefix="dockersched-chaos-") as name:
        outcomes = cut_everywhere(Path(name), step=13)
    wrong = sum(count for outcome, count in outcomes.items() if outcome not in {"loaded", "refused"})
    return Tally("state database cut off", outcomes.total(), wrong, 0, 0, 0)


ROWS: dict[str, Callable[[], Tally]] = {
    "run": killed_at_every_point,
    "stops": killed_while_stopping,
    "secrets": killed_with_secrets,
    "resume": killed_in_resume,
    "truncation": state_truncated,
}


def _killed(fault: str, plan: Plan, *before: str) -> Tally:
    with tempfile.TemporaryDirectory(prefix="dockersched-chaos-") as name:
        folder = Path(name)
        baseline = Trial(_client(), folder / "points", plan)
        points = baseline.points_of_resume(*before) if before else baseline.points()
        found = judge_all(_client, folder, [[*before, point] for point in points], plan=plan, on_verdict=_show)
    return Tally(
        fault,
        sum(verdict.missed == 0 for verdict in found),
        sum(bool(verdict.wrong) for verdict in found),
        sum(verdict.double_starts for verdict in found),
        sum(verdict.orphans for verdict in found),
        sum(verdict.lost for verdict in found),
    )


def _show(verdict: Verdict) -> None:
    mark = "." if verdict.is_clean and not verdict.missed else "-" if verdict.is_clean else f"\n{verdict}\n"
    _say(mark)


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def _client() -> APIClient:
    return make_client(resolve_endpoint(), version="1.41", timeout=60)


def _table(tallies: Sequence[Tally]) -> str:
    lines = [_COLUMNS, tuple("---" for _ in _COLUMNS)]
    lines += [
        (tally.fault, *map(str, (tally.tries, tally.wrong, tally.double_starts, tally.orphans, tally.lost)))
        for tally in tallies
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main(names: Sequence[str]) -> int:
    """Tries the named faults, or all; returns the exit code."""
    tallies = []
    for name in names or ROWS:
        _say(f"\n{name}: ")
        tallies.append(ROWS[name]())
    _say("\n")
    sys.stdout.write(f"{_table(tallies)}\n")
    return 0 if all(tally.is_clean for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
