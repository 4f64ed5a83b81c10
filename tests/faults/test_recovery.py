"""Going on, cancelling, retrying and cleaning up after dockersched died, with real containers."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched import ids
from dockersched.store.lock import owner_of
from dockersched.store.requests import CancelRequests
from dockersched.store.schema import VERSION
from tests.support.bench import GRACE_S, LONG, Bench, in_time, look_alikes, seconds, until
from tests.support.private_engine import fill_disk, tmpfs_data_root


@pytest.fixture
def bench(engine: APIClient, tmp_path: Path) -> Iterator[Bench]:
    made = Bench(engine, tmp_path)
    yield made
    made.close()


def test_resume_adopts_what_lives_and_records_what_ended(bench: Bench) -> None:
    since = time.time()
    tasks = {
        "lives": {"run": "echo begin; sleep 8; echo end"},
        "fine": {"run": "echo fine; sleep 1"},
        "fails": {"run": "echo fails; sleep 1; exit 3"},
        "after": {"run": "echo after", "depends_on": ["fine"]},
    }
    bench.begin_and_kill(tasks, running=3)
    before = bench.started()["lives"]["Id"]
    bench.until_exited("fine", "fails")
    resumed = bench.start("resume")
    until(lambda: "after" in bench.starts(since))
    assert bench.started()["lives"]["Id"] == before
    assert resumed.wait(30) == 1
    assert bench.starts(since) == ["after", "fails", "fine", "lives"]
    found = bench.document()["tasks"]
    assert {name: (task["state"], task["exit_code"], task["attempts"]) for name, task in found.items()} == {
        "lives": ("succeeded", 0, 1),
        "fine": ("succeeded", 0, 1),
        "fails": ("failed", 3, 1),
        "after": ("succeeded", 0, 1),
    }
    assert Path(found["lives"]["log"]).read_text() == "begin\nend\n"
    assert Path(found["fails"]["log"]).read_text() == "fails\n"
    bench.assert_all_recorded()


def test_a_deadline_counts_from_the_start_whoever_started_it(bench: Bench) -> None:
    bench.begin_and_kill({"slow": {"run": "echo up; sleep 60", "timeout": "4s"}})
    time.sleep(2)
    assert bench.run("resume").returncode == 1
    slow = bench.document()["tasks"]["slow"]
    assert slow["reason"] == "timed_out"
    assert 3.9 <= seconds(slow) <= in_time(4 + GRACE_S + 1), slow
    bench.assert_all_recorded()


def test_a_deadline_that_passed_meanwhile_ends_the_task_at_once(bench: Bench) -> None:
    bench.begin_and_kill({"slow": {"run": "echo up; sleep 60", "timeout": "1s"}})
    time.sleep(1.5)
    began = time.monotonic()
    assert bench.run("resume").returncode == 1
    assert time.monotonic() - began <= in_time(GRACE_S + 3)
    assert bench.document()["tasks"]["slow"]["reason"] == "timed_out"
    bench.assert_all_recorded()


def test_an_unfinished_run_is_not_forgotten(bench: Bench) -> None:
    bench.begin_and_kill({"short": {"run": "sleep 1"}})
    first = bench.run_id
    refused = bench.run("run", "epic.json")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert f"dockersched resume {first}" in refused.stderr
    assert "--new" in refused.stderr
    assert bench.run("run", "epic.json", "--new").returncode == 0
    assert bench.run("resume", first).returncode == 0
    assert {run.state for run in bench.store.runs()} == {"succeeded"}
    again = bench.run("resume", first)
    assert (again.returncode, "is finished: succeeded" in again.stderr) == (0, True)


def test_a_second_owner_is_refused_at_once(bench: Bench) -> None:
    owner = bench.begin({"long": LONG})
    for args in (("resume",), ("resume", bench.run_id), ("run", "epic.json")):
        began = time.monotonic()
        second = bench.run(*args)
        took = time.monotonic() - began
        assert second.returncode == 5, second
        assert f"process {owner.pid}" in second.stderr
        assert took <= in_time(1.5), f"{args} took {took:.2f} s"
    owner.terminate()
    assert owner.wait(10) == 128 + signal.SIGTERM


def test_cancel_from_another_process(bench: Bench) -> None:
    deaf = {"run": "trap '' TERM; echo up; sleep 60; sleep 60"}
    owner = bench.begin({"deaf": deaf, "other": LONG, "waits": {"run": "true", "depends_on": ["other"]}}, running=2)
    began = time.monotonic()
    assert bench.run("cancel", bench.run_id).returncode == 0
    assert time.monotonic() - began <= in_time(GRACE_S + 2)
    assert owner.wait(5) == 130
    assert set(bench.states().values()) == {"cancelled"}
    assert (bench.document()["state"], bench.document()["exit_code"]) == ("cancelled", 130)
    bench.assert_all_recorded()


def test_cancel_tasks_from_another_process(bench: Bench) -> None:
    tasks = {
        "long": LONG,
        "behind": {"run": "true", "depends_on": ["long"]},
        "other": {"run": "sleep 2; echo done"},
        "after": {"run": "echo after", "depends_on": ["other"]},
    }
    owner = bench.begin(tasks, running=2)
    unknown = bench.run("cancel", bench.run_id, "nothing")
    assert (unknown.returncode, "'nothing'" in unknown.stderr) == (2, True)
    assert bench.run("cancel", bench.run_id, "long").returncode == 0
    assert owner.wait(20) == 130
    assert bench.states() == {"long": "cancelled", "behind": "cancelled", "other": "succeeded", "after": "succeeded"}
    bench.assert_all_recorded()


def test_cancel_without_an_owner_cleans_up_itself(bench: Bench) -> None:
    bench.begin_and_kill(
        {"other": {"run": "sleep 5"}, "long": LONG, "behind": {"run": "true", "depends_on": ["long"]}}, running=2
    )
    done = bench.run("cancel", bench.run_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert bench.states()["long"] == bench.states()["behind"] == "cancelled"
    assert bench.document()["state"] == "cancelled"
    sandbox = bench.store.attempts(bench.run_id)["long", 1].result
    assert sandbox
    assert sandbox.sandbox_id == ids.sandbox_id(bench.epic_id, "long")
    bench.assert_all_recorded()
    assert bench.run("resume").returncode == 2


def test_cancel_tasks_without_an_owner(bench: Bench) -> None:
    since = time.time()
    tasks = {
        "long": LONG,
        "behind": {"run": "true", "depends_on": ["long"]},
        "later": {"run": "true", "depends_on": ["other"]},
        "other": {"run": "echo other; sleep 2"},
    }
    bench.begin_and_kill(tasks, running=2)
    done = bench.run("cancel", bench.run_id, "long", "later")
    assert (done.returncode, f"resume {bench.run_id}" in done.stderr) == (0, True)
    started = [container for container in bench.containers() if container["State"] != "created"]
    assert [container["Labels"]["io.dockersched.task"] for container in started] == ["other"]
    # The order holds for every resumption, also after one that is killed.
    resumed = bench.start("resume")
    until(lambda: owner_of(bench.state_dir / "runs" / bench.run_id) == resumed.pid)
    resumed.kill()
    resumed.wait()
    assert bench.run("resume").returncode == 130
    cancelled = {"long", "behind", "later"}
    assert bench.states() == {name: "cancelled" if name in cancelled else "succeeded" for name in tasks}
    assert bench.starts(since) == ["long", "other"]
    bench.assert_all_recorded()


def test_of_two_runs_at_the_same_moment_one_goes_on(bench: Bench) -> None:
    bench.write({"short": {"run": "sleep 3"}})
    codes = sorted(process.wait(30) for process in [bench.start("run", "epic.json") for _ in range(3)])
    assert codes == [0, 5, 5]
    assert [run.run_id for run in bench.store.runs()] == [path.name for path in (bench.state_dir / "runs").iterdir()]
    bench.assert_all_recorded()


def test_a_full_state_directory_loses_nothing(bench: Bench) -> None:
    tasks = {"first": {"run": "true"}, **{name: {"run": f"echo {name}; sleep 3"} for name in ("one", "two")}}
    with tmpfs_data_root(8) as disk:
        bench.state_dir = disk
        process = bench.begin(tasks, running=2)
        filler = fill_disk(disk)
        assert process.wait(30) == 2
        assert process.stderr
        message = process.stderr.read()
        assert str(disk) in message
        assert "Traceback" not in message
        bench.until_exited("one", "two")
        filler.unlink()
        assert bench.run("resume").returncode == 0
        assert set(bench.states().values()) == {"succeeded"}
        assert [Path(bench.document()["tasks"][name]["log"]).read_text() for name in ("one", "two")] == [
            "one\n",
            "two\n",
        ]
        bench.assert_all_recorded()


def test_cancel_ends_the_run_itself_when_the_owner_dies_meanwhile(bench: Bench) -> None:
    owner = bench.begin({"long": LONG})
    owner.send_signal(signal.SIGSTOP)
    cancelling = bench.start("cancel", bench.run_id)
    requests = bench.state_dir / "runs" / bench.run_id / "requests"
    until(lambda: requests.is_dir() and any(requests.iterdir()))
    owner.kill()
    assert cancelling.wait(15) == 0
    assert bench.document()["state"] == "cancelled"
    bench.assert_all_recorded()


def test_a_resumption_that_is_cancelled_leaves_nothing_open(bench: Bench) -> None:
    bench.begin_and_kill({"one": LONG, "two": LONG})
    CancelRequests(bench.store.run_dir(bench.run_id)).put([])
    assert bench.run("resume").returncode == 130
    assert set(bench.states().values()) == {"cancelled"}
    bench.assert_all_recorded()


def test_retry_takes_over_what_succeeded(bench: Bench) -> None:
    tasks = {
        "good": {"run": "echo good"},
        "bad": {"run": "echo bad; exit 4", "depends_on": ["good"]},
        "behind": {"run": "echo behind", "depends_on": ["bad"]},
    }
    process = bench.begin(tasks, running=0)
    assert process.wait(30) == 1
    first = bench.run_id
    since = time.time()
    assert bench.run("retry", first).returncode == 1
    assert bench.run_id != first
    assert bench.starts(since) == ["bad"]
    assert bench.states() == {"good": "succeeded", "bad": "failed", "behind": "upstream_failed"}
    good = bench.document()["tasks"]["good"]
    assert good["started_at"] == bench.document(first)["tasks"]["good"]["started_at"]
    assert bench.run("retry", bench.run_id).returncode == 1  # what was taken over is taken over again
    assert bench.starts(since) == ["bad", "bad"]
    assert bench.run("gc", "--keep", "1").stdout.count("removed run") == 2
    log = Path(bench.document()["tasks"]["good"]["log"])
    assert (log.read_text(), bench.run_id in log.parts) == ("good\n", True)
    bench.assert_all_recorded()


def test_retry_of_an_unfinished_run_names_resume(bench: Bench) -> None:
    bench.begin_and_kill({"long": LONG})
    refused = bench.run("retry", bench.run_id)
    assert (refused.returncode, f"resume {bench.run_id}" in refused.stderr) == (2, True)


def test_gc_removes_only_what_is_ours_and_nobody_owns(bench: Bench) -> None:
    owner = bench.begin({"owned": LONG})
    owned = {container["Id"] for container in bench.containers()}
    owned_run = bench.run_id
    orphaned = bench.start("run", "epic.json", "--new")
    until(lambda: len(bench.started()) == 1 and len(bench.containers()) == 2)
    orphaned.kill()
    orphaned.wait()
    lost_run = bench.run_id
    assert lost_run != owned_run
    (lost,) = (container["Names"][0].lstrip("/") for container in bench.containers() if container["Id"] not in owned)
    foreign = look_alikes(bench, lost_run)
    try:
        told = bench.run("gc", "--dry-run")
        assert (told.returncode, told.stdout) == (0, f"would remove container {lost} of run {lost_run}\n")
        assert len(bench.containers()) == 2 + len(foreign)
        done = bench.run("gc")
        assert (done.returncode, done.stdout) == (0, f"removed container {lost} of run {lost_run}\n")
        assert {container["Id"] for container in bench.containers()} == owned | set(foreign)
        assert bench.run("gc").stdout == "nothing to remove\n"
    finally:
        for container in foreign:
            bench.engine.remove_container(container, force=True)
    owner.terminate()
    assert owner.wait(10) == 128 + signal.SIGTERM


def test_gc_keeps_the_newest_runs(bench: Bench) -> None:
    for _ in range(3):
        process = bench.begin({"quick": {"run": "true"}}, running=0)
        assert process.wait(30) == 0
    newest, *old = (run.run_id for run in bench.store.runs())
    assert bench.run("gc", "--keep", "1", "--dry-run").stdout.count("would remove run") == 2
    done = bench.run("gc", "--keep", "1")
    assert sorted(done.stdout.splitlines()) == sorted(
        f"removed run {run} of {bench.epic_id} (succeeded)" for run in old
    )
    assert [run.run_id for run in bench.store.runs()] == [newest]
    assert [path.name for path in (bench.state_dir / "runs").iterdir()] == [newest]


def test_a_full_disk_loses_no_result(bench: Bench) -> None:
    since = time.time()
    process = bench.begin({"one": {"run": "echo one; sleep 2"}, "two": {"run": "echo two; sleep 60"}})
    wal = bench.state_dir / "state.db-wal"
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (wal.stat().st_size, resource.RLIM_INFINITY))
    assert process.wait(20) == 2
    assert process.stderr
    assert "the state database" in process.stderr.read()
    assert len(bench.containers()) == 2  # what is not on record is still there
    assert not (bench.state_dir / "runs" / bench.run_id / "result.json").exists()
    resumed = bench.start("resume")
    until(lambda: (row := bench.store.attempts(bench.run_id)["one", 1]).result is not None and row.result.succeeded)
    bench.run("cancel", bench.run_id, "two")
    assert resumed.wait(20) == 130
    assert bench.states() == {"one": "succeeded", "two": "cancelled"}
    assert bench.starts(since) == ["one", "two"]
    bench.assert_all_recorded()


def test_a_newer_state_is_refused(bench: Bench) -> None:
    bench.state_dir.mkdir()
    store = bench.store
    with store._reading() as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    for args in (("resume",), ("gc",), ("retry", "x"), ("cancel", "x")):
        refused = bench.run(*args)
        assert refused.returncode == 2
        (line,) = refused.stderr.strip().splitlines()
        assert f"schema version {VERSION + 1}" in line


def test_state_that_cannot_be_read_is_one_message(bench: Bench) -> None:
    bench.state_dir.mkdir()
    (bench.state_dir / "state.db").write_bytes(os.urandom(4096))
    refused = bench.run("resume")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert "--state-dir" in refused.stderr
