"""System calls that reach into the kernel or out of the namespaces."""

import ctypes
import sys

from tests.abuse.payloads.probing import tell_call

CLONE_NEWUSER, CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x00020000, 0x20000000, 0x40000000
MS_REMOUNT, MS_BIND = 32, 4096
SESSION_KEYRING = -3


def mount() -> None:
    tell_call("mount", b"none", b"/tmp", b"tmpfs", 0, None)
    tell_call("mount", b"/", b"/tmp", b"", MS_BIND, None, what="bind mount")
    tell_call("mount", b"", b"/", b"", MS_REMOUNT, None, what="remount the root writable")
    tell_call("umount2", b"/proc", 2)
    tell_call("pivot_root", b"/tmp", b"/tmp")
    tell_call("fsopen", b"tmpfs", 0)
    tell_call("open_tree", -100, b"/", 1)


def namespaces() -> None:
    flags = {"user": CLONE_NEWUSER, "mount": CLONE_NEWNS, "pid": CLONE_NEWPID, "net": CLONE_NEWNET}
    for name, flag in flags.items():
        tell_call("unshare", flag, what=f"unshare {name}")
    with open("/proc/self/ns/net", "rb") as namespace:
        tell_call("setns", namespace.fileno(), CLONE_NEWNET)


def keyring() -> None:
    tell_call("add_key", b"user", b"abuse", b"x", 1, SESSION_KEYRING)
    tell_call("request_key", b"user", b"abuse", None, SESSION_KEYRING)
    tell_call("keyctl", 0, SESSION_KEYRING, 1)


def observe() -> None:
    """What lets a program look into the kernel, or hands it code and queues."""
    buffer = ctypes.create_string_buffer(4096)
    tell_call("bpf", 0, buffer, 72)
    tell_call("perf_event_open", buffer, 0, -1, -1, 0)
    tell_call("userfaultfd", 1)
    tell_call("io_uring_setup", 8, buffer)
    tell_call("open_by_handle_at", -100, buffer, 0)
    tell_call("syslog", 3, buffer, 4096)


def machine() -> None:
    """What changes the machine as a whole."""
    buffer = ctypes.create_string_buffer(4096)
    tell_call("kexec_load", 0, 0, None, 0)
    tell_call("finit_module", 0, b"", 0)
    tell_call("delete_module", b"loop", 0)
    tell_call("swapon", b"/tmp/x", 0)
    tell_call("acct", b"/tmp/x")
    tell_call("quotactl", 0, None, 0, None)
    tell_call("reboot", 0xFEE1DEAD, 672274793, 0x01234567, None)
    tell_call("sethostname", b"pwned", 5)
    tell_call("clock_settime", 0, buffer)
    tell_call("vhangup")
    tell_call("sched_setscheduler", 0, 1, b"\x01\0\0\0")


globals()[sys.argv[1]]()
