"""The parts of a session that need no engine."""

from __future__ import annotations

import asyncio
import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from dockersched.control import EpicControl
from dockersched.data.run_files import RunFiles
from dockersched.epicfile import load, locate
from dockersched.errors import EpicError, RunOwnedError, StateError, UnfinishedRunError
from dockersched.report.commands import Commands
from dockersched.results import LogSummary, OutputSummary, SandboxResult
from dockersched.session.asked import taking_requests
from dockersched.session.signals import SIGNALS, stopping_on_signals
from dockersched.session.takeover import take_over
from dockersched.session.trouble import naming_owner, writing
from dockersched.session.workspaces import pack
from dockersched.store.database import StateStore
from dockersched.store.lock import own_run
from dockersched.store.requests import CancelRequests


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_stops_with_its_exit_code_and_handlers_go_with_the_block(number: signal.Signals) -> None:
    before = [signal.getsignal(each) for each in SIGNALS]
    stopped: asyncio.Queue[int] = asyncio.Queue()
    with stopping_on_signals(stopped.put_nowait, "r", Commands()):
        os.kill(os.getpid(), number)
        assert await asyncio.wait_for(stopped.get(), 5) == 128 + number
    assert [signal.getsignal(each) for each in SIGNALS] == before


async def test_a_handler_of_the_loop_does_not_come_back() -> None:
    loop = asyncio.get_running_loop()
    before = signal.getsignal(signal.SIGTERM)
    loop.add_signal_handler(signal.SIGTERM, int)
    try:
        with stopping_on_signals(lambda _: None, "r", Commands()):
            pass
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_hangup_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stopped: asyncio.Queue[int] = asyncio.Queue()
    try:
        with stopping_on_signals(stopped.put_nowait, "r", Commands()):
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await asyncio.wait_for(stopped.get(), 5) == 128 + signal.SIGTERM
            assert stopped.empty()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


_TWICE = """
import asyncio, os, signal
from dockersched.report.commands import Commands
from dockersched.session.signals import stopping_on_signals

async def main():
    stopped = asyncio.Event()
    with stopping_on_signals(lambda _: stopped.set(), "r", Commands("/my state")):
        os.kill(os.getpid(), signal.SIGTERM)
        await stopped.wait()
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(10)

asyncio.run(main())
"""


@pytest.mark.parametrize(("term", "first"), [("xterm", "\x1b[?25hdockersched: ended"), ("dumb", "dockersched: ended")])
def test_the_second_signal_gives_the_terminal_back_and_names_commands(term: str, first: str) -> None:
    ours, theirs = pty.openpty()
    environ = {**os.environ, "TERM": term}
    process = subprocess.run([sys.executable, "-c", _TWICE], check=False, stderr=theirs, env=environ)
    os.close(theirs)
    said = os.read(ours, 65_536).decode()
    os.close(ours)
    assert process.returncode == -signal.SIGTERM
    assert said.startswith(first)
    assert "`dockersched resume r --state-dir '/my state'`" in said
    assert "`dockersched cancel r --state-dir '/my state'`" in said


def test_the_second_signal_ends_the_process_also_where_nobody_reads() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    assert subprocess.run([sys.executable, "-c", _TWICE], check=False, stderr=theirs).returncode == -signal.SIGTERM
    os.close(theirs)


async def test_requests_of_other_processes_reach_the_run(tmp_path: Path) -> None:
    asked: list[frozenset[str] | None] = []
    told = asyncio.Event()
    control = EpicControl()

    def on_cancel(task_ids: frozenset[str] | None) -> None:
        asked.append(task_ids)
        told.set()

    control.attach(on_cancel)
    other = CancelRequests(tmp_path)
    other.put(["a"])
    async with taking_requests(CancelRequests(tmp_path), control):
        assert asked == [frozenset({"a"})]  # before anything could start
        told.clear()
        other.put([])
        await asyncio.wait_for(told.wait(), 5)
    assert asked == [frozenset({"a"}), None]


async def test_requests_are_looked_for_after_a_look_that_failed(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch("dockersched.session.asked.INTERVAL_S", 0.01)
    requests, control = CancelRequests(tmp_path), EpicControl()
    failed = asyncio.Event()

    def fail() -> None:
        failed.set()
        raise OSError(errno.EMFILE, "Too many open files")

    look = mocker.patch.object(requests, "take", side_effect=fail)
    async with taking_requests(requests, control), asyncio.timeout(5):
        failed.clear()
        await failed.wait()
        mocker.stop(look)
        CancelRequests(tmp_path).put(["a"])
        while not control.of_tasks:
            await asyncio.sleep(0.01)
    assert control.of_tasks == [frozenset({"a"})]


def test_a_result_that_is_taken_over_has_its_log_in_the_new_run(tmp_path: Path) -> None:
    log = tmp_path / "old.log"
    log.write_bytes(b"hello")
    run_dir = tmp_path / "runs" / "new"
    result = SandboxResult("e.t", 0, log=LogSummary(str(log), 5))
    result = take_over({"t": result}, run_dir, RunFiles.of_run(run_dir))["t"]
    log.unlink()
    assert result.log is not None
    assert Path(result.log.path).read_bytes() == b"hello"
    assert Path(result.log.path).parent == run_dir / "logs"


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("tasks: {a: {run: x},\n t: {run: x,\n workspace: src}}", 4),
        ("defaults:\n  workspace: {source: src}\ntasks: {t: {run: x}}", 3),
    ],
)
def test_all_that_is_wrong_with_a_workspace_has_its_place_in_the_file(tmp_path: Path, keys: str, line: int) -> None:
    (tmp_path / "src").mkdir()
    for name in ("one", "two"):
        (tmp_path / "src" / name).symlink_to("/etc")
    file = tmp_path / "e.yaml"
    file.write_text(f"epic: e\n{keys}\n")
    with pytest.raises(EpicError) as raised:
        pack(load(str(file)).dag, RunFiles.of_run(tmp_path / "runs" / "run"), None)

    one, two = map(str, locate(raised.value.problems, str(file)))
    source = tmp_path / "src"
    assert one.startswith(f"{file}:{line}:")
    assert f": task 't' has a workspace of {source}: one is a link to /etc, out of the directory: exclude it" in one
    assert ": two is a link to /etc" in two


def test_an_output_that_is_gone_from_the_store_is_named_with_its_task(tmp_path: Path) -> None:
    result = SandboxResult("e.t", 0, outputs={"o": OutputSummary("0" * 64, "/gone", 1, 1)})
    with pytest.raises(StateError, match=r"what task 't' made cannot be taken over \(tree 0+ is not in the store"):
        take_over({"t": result}, tmp_path / "runs" / "run", RunFiles.of_run(tmp_path / "runs" / "run"))


def test_a_log_is_taken_over_from_a_state_directory_that_was_moved(tmp_path: Path) -> None:
    log = tmp_path / "runs" / "old" / "logs" / "t.log"
    log.parent.mkdir(parents=True)
    log.write_bytes(b"hello")
    run_dir = tmp_path / "runs" / "new"
    result = SandboxResult("e.t", 0, log=LogSummary("/before/runs/old/logs/t.log", 5))
    result = take_over({"t": result}, run_dir, RunFiles.of_run(run_dir))["t"]
    assert result.log is not None
    assert Path(result.log.path).parent == run_dir / "logs"


def test_nothing_stays_of_results_that_cannot_all_be_taken_over(tmp_path: Path) -> None:
    run_dir = tmp_path / "runs" / "new"
    files = RunFiles.of_run(run_dir)
    (tmp_path / "made").mkdir()
    made = OutputSummary(files.store.add_tree(tmp_path / "made"), "/gone", 0, 0)
    (tmp_path / "old.log").touch()
    log = LogSummary(str(tmp_path / "old.log"), 0)
    gone = OutputSummary("0" * 64, "/gone", 1, 1)
    results = {
        "good": SandboxResult("e.good", 0, log=log, outputs={"o": made}),
        "bad": SandboxResult("e.bad", 0, outputs={"o": gone}),
    }
    with pytest.raises(StateError, match="what task 'bad' made cannot be taken over"):
        take_over(results, run_dir, files)
    assert list(run_dir.iterdir()) == []


def test_an_unfinished_run_names_its_owner_while_it_has_one(tmp_path: Path) -> None:
    store = StateStore(tmp_path)

    def refuse() -> None:
        with naming_owner(store):
            raise UnfinishedRunError("r", "e")

    with pytest.raises(UnfinishedRunError, match=r"`dockersched resume r` goes on"):
        refuse()
    with own_run(store.run_dir("r")), pytest.raises(RunOwnedError, match="new=True") as owned:
        refuse()
    assert owned.value.pid == os.getpid()


def test_a_folder_that_cannot_be_written_is_told_as_state(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"none/file cannot be written"), writing(tmp_path):
        (tmp_path / "none" / "file").write_text("x")
    with pytest.raises(BrokenPipeError), writing(tmp_path):
        raise BrokenPipeError
