"""The system calls of a sandbox: the engine's own profile, less what reaches past the sandbox's walls. Pure.

Engines bring a profile, but what it holds depends on their version. That of Docker Engine 20.10 lets through

- `AF_VSOCK`, which no network namespace holds: a sandbox without a network talks to the hypervisor, or, on a host of
  virtual machines, to those (moby#44562);
- `AF_ALG` and other families whose code in the kernel has been a way to root, and that no sandbox needs;
- `io_uring`, whose calls seccomp does not see (moby#46762);
- `x32` and the calls of 32-bit programs, which are two more ways into the kernel, little used and so little looked at:
  only an image that is made of 32-bit programs, or a trusted task, gets the second. Each takes a sandbox's start 5 %;
- IPv6 flow labels, which outlive a sandbox in a network namespace that the next one uses.

Format: https://github.com/moby/moby/blob/master/profiles/seccomp/default.json. Rules with `includes` hold only where
the sandbox was given such a capability; names that the engine's libseccomp does not know are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

_ALLOWED = """
    accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown clock_adjtime
    clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3
    epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd
    eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark fchdir fchmod
    fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat
    fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv futex_wake futimesat get_robust_list
    get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid getgroups getitimer getpeername getpgid
    getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit getrusage getsid getsockname
    getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
    io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set kill
    landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr
    llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier memfd_create memfd_secret
    mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open
    mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap
    nanosleep newfstatat open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free
    pkey_mprotect poll ppoll prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 ptrace pwrite64
    pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr
    rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_get_priority_max sched_get_priority_min
    sched_getaffinity sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval sched_setaffinity
    sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop
    sendfile sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid
    setgroups setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid setxattr
    shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 splice stat statfs statx symlink symlinkat
    sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime
    timer_settime timerfd_create timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat
    utime utimensat utimes vfork vmsplice wait4 waitid write writev
"""

_OF_32_BIT = """
    _llseek _newselect chown32 clock_adjtime64 clock_getres_time64 clock_gettime64 clock_nanosleep_time64
    fadvise64_64 fchown32 fcntl64 fstat64 fstatat64 fstatfs64 ftruncate64 futex_time64 getegid32 geteuid32 getgid32
    getgroups32 getresgid32 getresuid32 getuid32 io_pgetevents_time64 ipc lchown32 lstat64 mmap2 modify_ldt
    mq_timedreceive_time64 mq_timedsend_time64 ppoll_time64 pselect6_time64 recv recvmmsg_time64
    rt_sigtimedwait_time64 sched_rr_get_interval_time64 semtimedop_time64 send sendfile64 setfsgid32 setfsuid32
    setgid32 setgroups32 setregid32 setresgid32 setresuid32 setreuid32 setuid32 sigprocmask sigreturn stat64
    statfs64 timer_gettime64 timer_settime64 timerfd_gettime64 timerfd_settime64 truncate64 ugetrlimit
    utimensat_time64 waitpid
"""
"""What only 32-bit programs call, or need."""

_SOCKET_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16, "AF_PACKET": 17}
"""What may be the first argument of `socket`; `AF_PACKET` needs a capability besides. The one call of 32-bit programs
for all of sockets, `socketcall`, takes its arguments from memory, where seccomp does not see them: it is refused."""

_FLOW_LABELS = [(1, 41, (4, 5)), (2, 32, range(7))]
"""The arguments of `setsockopt` that together mean `IPPROTO_IPV6`, `IPV6_FLOWLABEL_MGR`, each with the bits in which
all others that the kernel knows differ. It keeps a flow label in the network namespace for a minute after who made it
has ended, with 16 bytes of that one's choice, which everybody there can read.
A rule cannot say that two arguments are not something, so it takes one for each bit."""

_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)

_OF_ARCHITECTURES = {
    ("amd64",): "arch_prctl",
    ("arm", "arm64"): "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
}

_OF_CAPABILITIES = {
    "CAP_DAC_READ_SEARCH": "open_by_handle_at",
    "CAP_SYS_BOOT": "reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_NICE": "get_mempolicy mbind set_mempolicy",
    "CAP_SYS_PACCT": "acct",
    "CAP_SYS_PTRACE": "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev",
    "CAP_SYS_TIME": "settimeofday stime clock_settime",
    "CAP_SYS_TTY_CONFIG": "vhangup",
}

_NEW_NAMESPACES = 0x7E020000
"""The flags of `clone` that make namespaces."""

_ENOSYS = 38
"""Tells the C library to use `clone` instead, whose flags can be looked at."""


@cache
def security_option(*, programs_of_32_bit: bool = False) -> str:
    """The profile as one of a container's security options.

    Args:
        programs_of_32_bit: also through the calls that a 64-bit kernel keeps for them; else they are killed (SIGSYS).
    """
    x86, arm = (["SCMP_ARCH_X86"], ["SCMP_ARCH_ARM"]) if programs_of_32_bit else ([], [])
    profile = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": x86},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": arm},
        ],
        "syscalls": [_allow(f"{_ALLOWED} {_OF_32_BIT}" if programs_of_32_bit else _ALLOWED), *_conditional_rules()],
    }
    return f"seccomp={json.dumps(profile, separators=(',', ':'))}"


def _conditional_rules() -> Iterator[dict[str, Any]]:
    for family in _SOCKET_FAMILIES.values():
        yield _allow("socket", args=[_argument(0, "EQ", family)])
    yield _allow("socketpair", args=[_argument(0, "EQ", _SOCKET_FAMILIES["AF_UNIX"])])
    for index, number, bits in _FLOW_LABELS:
        for bit in (1 << position for position in bits):
            yield _allow("setsockopt", args=[{**_argument(index, "MASKED_EQ", bit), "valueTwo": bit & ~number}])
    for personality in _PERSONALITIES:
        yield _allow("personality", args=[_argument(0, "EQ", personality)])
    yield _allow("clone", args=[{**_argument(0, "MASKED_EQ", _NEW_NAMESPACES), "valueTwo": 0}])
    yield {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": _ENOSYS}
    for architectures, names in _OF_ARCHITECTURES.items():
        yield _allow(names, includes={"arches": list(architectures)})
    for capability, names in _OF_CAPABILITIES.items():
        yield _allow(names, includes={"caps": [capability]})


def _allow(names: str, **conditions: Any) -> dict[str, Any]:
    return {"names": names.split(), "action": "SCMP_ACT_ALLOW", **conditions}


def _argument(index: int, operator: str, value: int) -> dict[str, Any]:
    return {"index": index, "value": value, "op": f"SCMP_CMP_{operator}"}
