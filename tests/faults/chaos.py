"""Everything that can be broken, broken everywhere: `make chaos`. Prints a table; ends with 1 if anything was wrong.

Each row of the table, or a few of a kind, comes from a function here: `make chaos ARGS="NAME …"` runs some of them.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

from docker.api import APIClient

from dockersched.sandbox.docker.connection import resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
from tests.support import foreign, full_disk, promised_times
from tests.support.engine_proxy import Action
from tests.support.kill_plans import AHEAD, DELIVERING, DIAMOND, SECRETIVE, SHARING, UNLUCKY, Plan
from tests.support.kill_trials import Trial, Verdict, judge_all
from tests.support.lives.trial import try_lives
from tests.support.lost_releases import INPUT_ACTIONS, lose_releases
from tests.support.lost_replies import lose_start_replies
from tests.support.many_tasks import run_many
from tests.support.outages import PHASES, PHASES_AHEAD, WAYS, Phase, try_outages
from tests.support.spoiled_ahead import AHEAD_CALLS, OCCURRENCES, spoil_ahead
from tests.support.spoiled_calls import ACTIONS, CALLS, spoil
from tests.support.spoiled_files import FILE_ACTIONS, spoil_files
from tests.support.tally import Tally, table
from tests.support.trials import client
from tests.support.truncation import cut_everywhere

Row = Callable[[Path], Iterable[Tally]]


def killed_at_every_point(folder: Path) -> Iterator[Tally]:
    """SIGKILL before and after each engine call, statement and file of a run of six tasks with a diamond."""
    yield _killed(folder, "dockersched killed in a run", DIAMOND)


def killed_while_stopping(folder: Path) -> Iterator[Tally]:
    """The same for an epic with a deadline and a retry."""
    yield _killed(folder, "dockersched killed in deadline and retry", UNLUCKY)


def killed_in_namespaces(folder: Path) -> Iterator[Tally]:
    """The same for tasks that use a network namespace one after another."""
    yield _killed(folder, "dockersched killed in a run that shares namespaces", SHARING)


def killed_with_secrets(folder: Path) -> Iterator[Tally]:
    """The same for tasks with secrets, whose volumes must be there at the start and gone in the end."""
    yield _killed(folder, "dockersched killed in a run with secrets", SECRETIVE)


def files_lost(folder: Path) -> Iterator[Tally]:
    """The same for a workspace, an output that is an input, and a value; each call for them meets every fault."""
    yield _killed(folder, "dockersched killed in a run with files", DELIVERING)
    with client() as engine:
        for action in FILE_ACTIONS:
            calls = FILE_ACTIONS[action]
            total = Tally(f"{action}: each of {', '.join(calls)}")
            for call in calls:
                total.add(_tried(asyncio.run(spoil_files(engine, folder / f"{call}-{action}", call, action))))
            yield total


def killed_in_resume(folder: Path) -> Iterator[Tally]:
    """SIGKILL in the middle of a run, and then at every point of its resumption."""
    yield _killed(folder, "dockersched killed again in resume", DIAMOND, "POST containers/*/start #4 after")


def killed_while_ahead(folder: Path) -> Iterator[Tally]:
    """The same for a run that starts sandboxes ahead, and each attach and release besides."""
    yield _killed(folder, "dockersched killed in a run, with sandboxes started ahead", AHEAD)


def lives_ended(_folder: Path) -> Iterator[Tally]:
    """20,000 random epics, whose processes die and are resumed, in worlds without an engine and by virtual time."""
    yield try_lives(range(20_000))


def daemons_down(folder: Path) -> Iterator[Tally]:
    """Daemons of the test's own end, politely and not, while tasks are created, run and end."""
    yield from _daemons_down(folder, PHASES)


def daemons_down_ahead(folder: Path) -> Iterator[Tally]:
    """The same while sandboxes are started ahead, wait behind their gates, and are released."""
    yield from _daemons_down(folder, PHASES_AHEAD)


def releases_lost(folder: Path) -> Iterator[Tally]:
    """Connections that release are cut, stall or are slow right before, at and after the byte."""
    with client() as engine:
        for action in INPUT_ACTIONS:
            yield asyncio.run(lose_releases(engine, folder / action, 100, action))


def starts_unanswered(folder: Path) -> Iterator[Tally]:
    """500 replies to a start are lost."""
    with client() as engine:
        yield asyncio.run(lose_start_replies(engine, folder, 500))


def calls_spoiled(folder: Path) -> Iterator[Tally]:
    """Every engine call of a task's life meets every fault."""
    with client() as engine:
        for action in ACTIONS:
            total = Tally(f"{action}: each of {', '.join(CALLS)}")
            for call in CALLS:
                total.add(_tried(asyncio.run(spoil(engine, folder / f"{call}-{action}", call, action))))
            yield total


def calls_spoiled_ahead(folder: Path) -> Iterator[Tally]:
    """Every engine call of a run that starts sandboxes ahead meets every fault, at each of the first times it is made.

    A few epics at a time.
    """

    async def each(engine: APIClient, action: Action) -> list[Tally]:
        turns = asyncio.Semaphore(3)

        async def one(call: str, skip: int) -> Tally:
            async with turns:
                return _tried(await spoil_ahead(engine, folder / f"{call}-{action}-{skip}", call, action, skip))

        return await asyncio.gather(*(one(call, skip) for call in AHEAD_CALLS for skip in range(OCCURRENCES)))

    with client() as engine:
        for action in ACTIONS:
            total = Tally(f"{action}: each of {', '.join(AHEAD_CALLS)}, with sandboxes started ahead")
            for tally in asyncio.run(each(engine, action)):
                total.add(tally)
            yield total


def foreign_containers(folder: Path) -> Iterator[Tally]:
    """Look-alikes and namesakes stay as they are."""
    with client() as engine:
        total = Tally("foreign containers with our labels or names")
        for number, (way, code) in enumerate([(["gc"], 0), (["cancel"], 0), (["resume"], 0)] * 5):
            total.add(_tried(foreign.leave_look_alikes(engine, folder / f"like-{number}", way, code)))
        kinds = (foreign.no_labels, foreign.another_runs_labels, foreign.another_attempts_labels)
        for number, labels in enumerate(kinds * 5):
            total.add(_tried(asyncio.run(foreign.leave_namesakes(engine, folder / f"name-{number}", labels))))
        yield total


def times_kept(folder: Path) -> Iterator[Tally]:
    """What is promised in seconds."""
    with client() as engine:
        yield asyncio.run(promised_times.see_exits_without_events(engine, folder / "exits", 50))
        yield asyncio.run(promised_times.keep_deadlines(engine, folder / "deadlines", 50))
        yield promised_times.refuse_second_owners(engine, folder / "owners", 30)


def disks_full(folder: Path) -> Iterator[Tally]:
    """The engine's disk runs full, and there is room again."""
    yield from _disks_full(folder, "", prepare_ahead=0)


def disks_full_ahead(folder: Path) -> Iterator[Tally]:
    """The same with sandboxes started ahead."""
    yield from _disks_full(folder, ", with sandboxes started ahead", prepare_ahead=3)


def state_truncated(folder: Path) -> Iterator[Tally]:
    """The state database and its write-ahead log cut off at every byte of their heads, and at small steps."""
    folder.mkdir()
    outcomes = cut_everywhere(folder, step=13)
    wrong = [f"{outcome}: {count} times" for outcome, count in outcomes.items() if outcome not in {"loaded", "refused"}]
    measured = f"{outcomes['loaded']} loaded, {outcomes['refused']} refused"
    yield Tally("state files cut off", outcomes.total(), wrong, measured=measured)


def many_short_tasks(folder: Path) -> Iterator[Tally]:
    """2,000 tasks, 16 at once; then in 16 chains, 4 of them started ahead at a time."""
    folder.mkdir()
    with client() as engine:
        for ahead in (0, 4):
            yield run_many(engine, folder / str(ahead), 2_000, 16, ahead)


ROWS: dict[str, Row] = {
    "daemons": daemons_down,
    "starts": starts_unanswered,
    "calls": calls_spoiled,
    "daemons-ahead": daemons_down_ahead,
    "releases": releases_lost,
    "calls-ahead": calls_spoiled_ahead,
    "disks-ahead": disks_full_ahead,
    "ahead": killed_while_ahead,
    "run": killed_at_every_point,
    "stops": killed_while_stopping,
    "namespaces": killed_in_namespaces,
    "secrets": killed_with_secrets,
    "files": files_lost,
    "resume": killed_in_resume,
    "lives": lives_ended,
    "foreign": foreign_containers,
    "times": times_kept,
    "disks": disks_full,
    "truncation": state_truncated,
    "many": many_short_tasks,
}


def _daemons_down(folder: Path, phases: Sequence[Phase]) -> Iterator[Tally]:
    async def both() -> Sequence[list[Tally]]:
        return await asyncio.gather(
            *(
                try_outages(live, WAYS, phases, tries=10, folder=folder / f"live-restore-{live}", on_try=_tried)
                for live in (False, True)
            )
        )

    for tallies in asyncio.run(both()):
        yield from tallies


def _disks_full(folder: Path, way: str, *, prepare_ahead: int) -> Iterator[Tally]:
    for what in full_disk.RESOURCES:
        total = Tally(f"engine's disk full ({what}), then room{way}")
        for number in range(5):
            trial = full_disk.fill_and_give_room(folder / f"{what}-{number}", what, prepare_ahead=prepare_ahead)
            total.add(_tried(asyncio.run(trial)))
        yield total


def _killed(folder: Path, fault: str, plan: Plan, *before: str) -> Tally:
    with client() as engine:
        baseline = Trial(engine, folder / "points", plan)
        points = baseline.points_of_resume(*before) if before else baseline.points()
    found = judge_all(
        client, folder, [[*before, point] for point in points], plan=plan, side_by_side=4, on_verdict=_judged
    )
    return Tally(
        fault,
        sum(verdict.missed == 0 for verdict in found),
        [f"{verdict.points}: {wrong}" for verdict in found for wrong in verdict.wrong],
        sum(verdict.double_starts for verdict in found),
        sum(verdict.orphans for verdict in found),
        sum(verdict.lost for verdict in found),
    )


def _judged(verdict: Verdict) -> None:
    _say("." if verdict.is_clean and not verdict.missed else "-" if verdict.is_clean else f"\n{verdict}\n")


def _row(name: str, folder: Path) -> list[Tally]:
    """The tallies of a row; one that breaks off is wrong, and the others are tried all the same."""
    try:
        with redirect_stdout(sys.stderr):  # stdout is for the table
            return list(ROWS[name](folder))
    except Exception as error:  # noqa: BLE001
        return [Tally(name, tries=1, wrong=[f"{name} broke off: {error!r}"])]


def _tried(tally: Tally) -> Tally:
    is_no_try = tally == Tally(tally.fault)
    _say("." if tally.is_clean else "-" if is_no_try else f"\n{tally}\n")
    return tally


def _say(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


def main(names: Sequence[str]) -> int:
    """Tries the named faults, or all; returns the exit code."""
    if unknown := set(names) - set(ROWS):
        _say(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}\n")
        return 2
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="dockersched-chaos-") as folder:
        for name in names or ROWS:
            _say(f"\n{name}: ")
            began = time.monotonic()
            found = _row(name, Path(folder) / name)
            _say(f" {time.monotonic() - began:.0f} s\n")
            for tally in found:
                _say("" if tally.is_clean else f"WRONG {tally}\n")
            tallies += found
    sys.stdout.write(f"Engine {fetch_version(resolve_endpoint(), timeout=5).engine}\n\n{table(tallies)}\n")
    return 0 if all(tally.is_clean for tally in tallies) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
