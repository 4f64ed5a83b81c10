"""Attacks that look for a way out: files of the kernel, devices, privileges, system calls, the runtime, the network."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from dockersched import Reason
from tests.abuse.attack import NO_ANSWERS, Aftermath, Answers, Attack, Ends, shell
from tests.abuse.payload import python
from tests.abuse.payloads.escape import CGROUP_FILES, DEVICES, PROC_READS, PROC_WRITES, SYS_WRITES

_OWN_KERNEL = "done"
"""Under gVisor this works, in vain: what it changes or shows is of the sandbox's own kernel, which ends with it."""

NAMESPACES = ("user", "mount", "pid", "net")
NOT_WRITTEN = "ENOENT|EACCES|EPERM|EROFS|EINVAL"
HOST_FILE = Path(__file__).resolve()
"""A file of the host; its first line must be in no output."""

_CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
_PROGRAMS = {
    path: hashlib.sha256(Path(path).read_bytes()).digest()
    for path in map(shutil.which, ("runc", "docker-init", "containerd-shim-runc-v2"))
    if path
}


def _kernel_is_untouched(_: Aftermath) -> None:
    assert "/tmp/pwn" not in _CORE_PATTERN.read_text("ascii")


def _programs_are_untouched(_: Aftermath) -> None:
    for path, digest in _PROGRAMS.items():
        assert hashlib.sha256(Path(path).read_bytes()).digest() == digest, path


def _host_is_not_read(seen: Aftermath) -> None:
    assert HOST_FILE.read_bytes().splitlines()[0] not in seen.log


def _every(kind: str, names: Mapping[str, str] | tuple[str, ...], answer: str) -> Answers:
    return {f"{kind} {name}": answer for name in names}


def _calls(group: str, *names: str, gvisor: Answers = NO_ANSWERS) -> Attack:
    """An attack by system calls, of which each must be refused."""
    return Attack(
        f"calls-{group}",
        python("kernel", group),
        Ends(answers=dict.fromkeys(names, "EPERM|ENOSYS")),
        gvisor_answers=gvisor,
    )


ATTACKS = (
    Attack(
        "proc-files",
        python("escape", "proc"),
        Ends(
            answers={
                **_every("write", PROC_WRITES, NOT_WRITTEN),
                **_every("read", PROC_READS, "ENOENT|EACCES|EPERM|empty"),
                "root of process 1": "own",
                "kernel addresses": "hidden|ENOENT",
                "more processes than its own": "False",
            }
        ),
        gvisor_answers={"write /proc/self/oom_score_adj": _OWN_KERNEL, "root of process 1": "EACCES"},
        afterwards=_kernel_is_untouched,
    ),
    Attack(
        "sys-files",
        python("escape", "sys"),
        Ends(
            answers={
                **_every("write", SYS_WRITES, NOT_WRITTEN),
                **_every("write every", CGROUP_FILES, "absent|EACCES|EROFS|EPERM|EACCES EROFS"),
                "make a cgroup": NOT_WRITTEN,
                "make a cgroup below memory": NOT_WRITTEN,
            }
        ),
    ),
    Attack(
        "device-nodes",
        python("escape", "devices"),
        Ends(
            answers={
                "mknod of a disk": "EPERM",
                "mknod of memory": "EPERM",
                "read /tmp/disk": "ENOENT",
                "read /tmp/mem": "ENOENT",
                **_every("open", tuple(f"/dev/{name}" for name in DEVICES), "ENOENT|EACCES|EPERM"),
                "devices": "full null random tty urandom zero",
            }
        ),
        gvisor_answers={
            **_every("mknod of", ("a disk", "memory"), _OWN_KERNEL),
            **_every("read", ("/tmp/disk", "/tmp/mem"), "ENXIO|ENODEV|EACCES|EPERM"),
            **_every("open", ("/dev/fuse", "/dev/net/tun"), _OWN_KERNEL),
            "devices": "full fuse null random tty urandom zero",
        },
    ),
    Attack(
        "set-user-id",
        python("escape", "setuid"),
        Ends(
            answers={
                "set-user-id programs": "True",
                "uids of su": "65534",
                "setuid to root": "EPERM",
                "setgid to root": "EPERM",
                "setgroups": "EPERM",
                "chown to root": "EPERM",
                "chroot": "EPERM",
                "nice below zero": "EPERM|EACCES",
                "write /etc/passwd": "EACCES|EROFS",
                "read /etc/shadow": "EACCES",
            }
        ),
        gvisor_answers={"nice below zero": _OWN_KERNEL},
    ),
    Attack(
        "runtime-program",
        python("escape", "runtime"),
        Ends(
            answers={
                **_every("write", ("/proc/1/exe", "/proc/self/exe", "/sbin/docker-init"), "EACCES|EROFS|ETXTBSY|EPERM"),
                "inherited descriptors": "0 1 2",
                "standard streams are pipes or devices": "True",
                "descriptors of init on files": r"\[\]",
            }
        ),
        afterwards=_programs_are_untouched,
    ),
    *(
        shell(
            f"leaked-descriptor-{number}",
            f"head -n 1 ../../../../../../../../..{HOST_FILE} 2>/dev/null",
            # Whether the engine refuses it or the sandbox finds nothing there: both are in vain.
            ends=Ends((Reason.BAD_WORKING_DIR, Reason.EXIT_CODE, Reason.ENGINE_ERROR, Reason.NOT_FOUND)),
            changes={"working_dir": f"/proc/self/fd/{number}"},
            afterwards=_host_is_not_read,
        )
        for number in (7, 8, 9)
    ),
    _calls("mount", "mount", "bind mount", "remount the root writable", "umount2", "pivot_root", "fsopen", "open_tree"),
    _calls(
        "namespaces",
        *_every("unshare", NAMESPACES, ""),
        "setns",
        gvisor={**_every("unshare", NAMESPACES, _OWN_KERNEL), "setns": "ENOTSUP"},
    ),
    _calls(
        "keyring",
        "add_key",
        "request_key",
        "keyctl",
        gvisor=dict.fromkeys(("add_key", "request_key", "keyctl"), "EACCES"),
    ),
    _calls(
        "observe",
        "bpf",
        "perf_event_open",
        "userfaultfd",
        "io_uring_setup",
        "open_by_handle_at",
        "syslog",
        gvisor={
            "perf_event_open": "ENODEV",
            "io_uring_setup": _OWN_KERNEL,
            "open_by_handle_at": "ENOTSUP",
            "syslog": _OWN_KERNEL,
        },
    ),
    _calls(
        "machine",
        "kexec_load",
        "finit_module",
        "delete_module",
        "swapon",
        "acct",
        "quotactl",
        "reboot",
        "sethostname",
        "clock_settime",
        "vhangup",
        "sched_setscheduler",
        gvisor={"sched_setscheduler": "EINVAL"},
    ),
    Attack(
        "strangers",
        python("signals", "strangers"),
        Ends(
            answers={
                "strangers signalled": "0",
                "strangers traced": "0",
                "strangers described": "0",
                "read a stranger's memory": "EPERM|ESRCH|ENOSYS",
                "compare with process 1": "EPERM|ENOSYS",
            }
        ),
    ),
    Attack(
        "trace-init",
        python("signals", "trace_init"),
        # It may stop the init of its own sandbox, and with it only itself.
        Ends((Reason.TIMED_OUT, None), {"trace process 1": "done|EPERM"}),
        changes={"timeout_s": 2.0},
    ),
    Attack("kill-everything", python("signals", "kill_everything"), Ends(answers={"own children killed": "3"})),
    Attack(
        "kill-init",
        python("signals", "kill_init"),
        Ends(answers={"process 1": "lives"}),
        under_gvisor=Ends((Reason.KILLED, None), {"process 1": "lives"}),
    ),
)
