"""Attacks on other processes: signals, tracing, other processes' memory."""

import ctypes
import os
import signal
import subprocess
import sys

from tests.abuse.payloads.probing import call, tell_call

PTRACE_ATTACH = 16


def strangers() -> None:
    """Every pid that might be somebody else's."""
    own = {int(name) for name in os.listdir("/proc") if name.isdecimal()}
    found = {"signalled": 0, "traced": 0, "described": 0}
    for pid in (pid for pid in range(2, 33_000) if pid not in own):
        for what, attempt in (
            ("signalled", lambda pid=pid: os.kill(pid, 0)),
            ("traced", lambda pid=pid: call("ptrace", PTRACE_ATTACH, pid, 0, 0)),
            ("described", lambda pid=pid: call("pidfd_open", pid, 0)),
        ):
            try:
                attempt()
            except OSError:
                continue
            found[what] += 1
    for what, count in found.items():
        print(f"strangers {what}: {count}")
    tell_call("process_vm_readv", 33_000, None, 0, None, 0, 0, what="read a stranger's memory")
    tell_call("kcmp", 1, os.getpid(), 0, 0, 0, what="compare with process 1")


def trace_init() -> None:
    """Process 1 is the engine's program, in the sandbox's namespaces."""
    tell_call("ptrace", PTRACE_ATTACH, 1, 0, 0, what="trace process 1")


def kill_everything() -> None:
    children = [subprocess.Popen(["sleep", "60"]) for _ in range(3)]
    os.kill(-1, signal.SIGKILL)
    print(f"own children killed: {sum(child.wait() == -signal.SIGKILL for child in children)}")


def kill_init() -> None:
    os.kill(1, signal.SIGKILL)
    print("process 1: lives")


def ignore() -> None:
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    print("ready: yes", flush=True)
    while True:
        ctypes.CDLL(None).pause()


globals()[sys.argv[1]]()
