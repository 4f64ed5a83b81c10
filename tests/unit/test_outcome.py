"""The classifier, on answers as engines gave them."""

from datetime import UTC, datetime

import pytest

from dockersched import Reason
from dockersched.sandbox.docker.outcome import (
    classify_exit,
    classify_refusal,
    has_ended,
    out_of_memory,
    parse_time,
    was_started,
)

TIMES = {"StartedAt": "2026-11-23T23:23:56.578728705Z", "FinishedAt": "2026-11-23T23:23:57.584702695Z"}
TINI = b"[FATAL tini (6)] exec nosuch failed: No such file or directory\n"


@pytest.mark.parametrize(
    ("exit_code", "oom", "stopped_for", "head", "reason"),
    [
        (0, False, None, b"", None),
        (0, True, None, b"", None),  # only a child was killed
        (5, True, None, b"", Reason.EXIT_CODE),
        (137, True, None, b"", Reason.OOM_KILLED),
        (137, False, None, b"", Reason.KILLED),
        (137, True, Reason.TIMED_OUT, b"", Reason.TIMED_OUT),
        (0, False, Reason.TIMED_OUT, b"", Reason.TIMED_OUT),  # it trapped the signal
        (143, False, Reason.CANCELLED, b"", Reason.CANCELLED),
        (143, False, None, b"", Reason.EXIT_CODE),
        (127, False, None, TINI, Reason.NOT_FOUND),
        (127, False, None, b"sh: nosuch: not found\n", Reason.EXIT_CODE),
        (127, False, None, b"some output\n" + TINI, Reason.EXIT_CODE),
        (1, False, None, TINI, Reason.EXIT_CODE),
        (126, False, None, TINI.replace(b"No such file or directory", b"Permission denied"), Reason.NOT_EXECUTABLE),
    ],
)
def test_classify_exit(exit_code: int, oom: bool, stopped_for: Reason | None, head: bytes, reason: Reason) -> None:
    state = {"ExitCode": exit_code, "OOMKilled": oom, "Error": "", **TIMES}
    ending = classify_exit(state, stopped_for=stopped_for, log_head=head)
    assert (ending.exit_code, ending.reason, ending.oom_event) == (exit_code, reason, oom)
    if oom:
        without_flag = classify_exit({**state, "OOMKilled": False}, stopped_for=stopped_for, log_head=head)
        assert out_of_memory(without_flag) == ending
    assert ending.started_at == datetime(2026, 11, 23, 23, 23, 56, 578728, UTC)


@pytest.mark.parametrize(
    ("status", "words", "reason"),
    [
        (500, "unable to find user nobodyx: no matching entries in passwd file", Reason.BAD_USER),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
            'process: exec: "nosuch": executable file not found in $PATH: unknown',
            Reason.NOT_FOUND,
        ),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
            'process: exec: "/proc": permission denied: unknown',
            Reason.NOT_EXECUTABLE,
        ),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
            "process: error during container init: mkdir /proc/x: no such file or directory: unknown",
            Reason.BAD_WORKING_DIR,
        ),
        (400, "Cannot mkdir: /etc/passwd is not a directory", Reason.BAD_WORKING_DIR),
        (
            400,
            "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container "
            "process: error during container init: error setting rlimits for ready process: error setting rlimit "
            "type 7: operation not permitted: unknown",
            Reason.QUOTA_NOT_APPLIED,
        ),
        (
            500,
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
            Reason.QUOTA_NOT_APPLIED,
        ),
        (
            400,
            "OCI runtime start failed: starting container: starting root container: starting sandbox: creating "
            'process: failed to find initial working directory "/way-out/pwned": no such file or directory: unknown',
            Reason.BAD_WORKING_DIR,
        ),
        (404, "No such container: 57d0f4f4457e", Reason.INTERRUPTED),
        (409, "container is marked for removal and cannot be started", Reason.INTERRUPTED),
        (404, "No such image: nosuch:latest", Reason.IMAGE_UNAVAILABLE),
        (400, "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available", Reason.REJECTED),
        (
            500,
            "failed to update store for object type *libnetwork.endpoint: open : no such file or directory",
            Reason.ENGINE_ERROR,
        ),
        (500, "write /var/lib/docker/containers/x/.tmp: no space left on device", Reason.ENGINE_ERROR),
    ],
)
def test_classify_refusal(status: int, words: str, reason: Reason) -> None:
    assert classify_refusal(status, words) is reason


def test_times_and_states() -> None:
    assert parse_time("0001-01-01T00:00:00Z") is None
    assert parse_time(None) is None
    assert not was_started({"StartedAt": "0001-01-01T00:00:00Z", "Status": "created", "ExitCode": 0})
    assert was_started({**TIMES, "Status": "exited"})
    assert [has_ended({"Status": status}) for status in ("created", "running", "exited", "dead")] == [
        False, False, True, True,
    ]  # fmt: skip


def test_a_process_never_ends_before_it_starts() -> None:
    state = {"ExitCode": 0, "StartedAt": TIMES["FinishedAt"], "FinishedAt": TIMES["StartedAt"]}
    ending = classify_exit(state, stopped_for=None, log_head=b"")
    assert ending.started_at == ending.finished_at


@pytest.mark.parametrize(("exit_code", "words"), [(159, "killed by SIGSYS: it calls the kernel"), (158, "")])
def test_a_program_of_another_kind_is_told_what_killed_it(exit_code: int, words: str) -> None:
    ending = classify_exit({"ExitCode": exit_code, **TIMES}, stopped_for=None, log_head=b"")
    assert (ending.reason, ending.detail.partition(" as ")[0]) == (Reason.EXIT_CODE, words)
