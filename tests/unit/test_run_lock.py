"""The lock that says who owns a run."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from dockersched.errors import RunOwnedError
from dockersched.store.lock import claim_epic, own_run, owner_of


def _until_told(told: Connection) -> None:
    told.recv()


def test_a_lock_ends_with_the_block_although_a_worker_lives_on(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    with own_run(tmp_path / "run"):
        worker = context.Process(target=_until_told, args=(there,))
        worker.start()
        assert owner_of(tmp_path / "run") == os.getpid()
    try:
        assert owner_of(tmp_path / "run") is None
    finally:
        here.send("end")
        worker.join()


def test_a_lock_ends_with_the_block_also_where_python_does_not_know_of_the_fork(tmp_path: Path) -> None:
    libc = ctypes.CDLL(None)
    with own_run(tmp_path / "run"):
        child = libc.fork()
        if child == 0:
            libc.pause()
    try:
        assert owner_of(tmp_path / "run") is None
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


OWNER = """
import os, signal, sys
from pathlib import Path
from dockersched.store.lock import own_run

with own_run(Path(sys.argv[1])):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        signal.pause()
    sys.stdin.read()
"""


def test_a_lock_ends_with_its_process_although_a_worker_lives_on(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        try:
            assert owner_of(tmp_path / "run") == owner.pid
            owner.kill()
            owner.wait()
            assert owner_of(tmp_path / "run") is None
        finally:
            os.kill(worker, signal.SIGKILL)


def test_a_child_that_leaves_the_block_leaves_the_lock_to_its_parent(tmp_path: Path) -> None:
    owning = own_run(tmp_path / "run")
    with owning:
        child = os.fork()
        if child == 0:
            (tmp_path / "other").touch()
            reused = os.open(tmp_path / "other", os.O_RDONLY)  # it may have the number of the lock's descriptor
            try:
                owning.__exit__(None, None, None)
                os.fstat(reused)
                os._exit(0)
            finally:
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
        assert owner_of(tmp_path / "run") == os.getpid()


def test_whose_process_has_died_claims_an_epic_no_more(tmp_path: Path) -> None:
    with claim_epic(tmp_path, "e", "first"):
        (claim,) = tmp_path.iterdir()
    claim.write_text("died 1")
    with claim_epic(tmp_path, "e", "second"), claim_epic(tmp_path, "other", "third"):
        with pytest.raises(RunOwnedError, match=f"run second is owned by process {os.getpid()}"):
            claim_epic(tmp_path, "e", "fourth").__enter__()
        assert claim.read_text() == f"second {os.getpid()}"
    assert list(tmp_path.iterdir()) == []


def test_a_claim_that_is_removed_while_it_is_taken_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = claim_epic(tmp_path, "e", "first")
    first.__enter__()
    monkeypatch.setattr(time, "sleep", lambda _pause_s: first.__exit__(None, None, None))
    with claim_epic(tmp_path, "e", "second"):
        (claim,) = tmp_path.iterdir()
        assert claim.read_text() == f"second {os.getpid()}"
