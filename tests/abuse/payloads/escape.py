"""Ways out of the sandbox through files: /proc, /sys, devices, links of the kernel, set-user-id programs."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

from tests.abuse.payloads.probing import opened, read, tell, write

PROC_WRITES = {
    "/proc/sysrq-trigger": "c",
    "/proc/sys/kernel/core_pattern": "|/tmp/pwn",
    "/proc/sys/kernel/modprobe": "/tmp/pwn",
    "/proc/sys/vm/overcommit_memory": "1",
    "/proc/sys/fs/binfmt_misc/register": ":x:M::x::/tmp/pwn:",
    "/proc/irq/default_smp_affinity": "1",
    "/proc/self/oom_score_adj": "-1000",
    "/proc/self/uid_map": "0 0 1",
}
PROC_READS = (
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/kmsg",
    "/proc/acpi/wakeup",
    "/proc/scsi/scsi",
)
SYS_WRITES = {
    "/sys/kernel/uevent_helper": "/tmp/pwn",
    "/sys/power/state": "mem",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always",
    "/sys/module/printk/parameters/time": "N",
    "/sys/class/net/lo/mtu": "1000",
}
CGROUP_FILES = (
    "release_agent",
    "notify_on_release",
    "cgroup.procs",
    "devices.allow",
    "memory.limit_in_bytes",
    "memory.max",
    "pids.max",
    "cpu.cfs_quota_us",
    "cpu.max",
)
DEVICES = (
    "mem",
    "kmem",
    "port",
    "kmsg",
    "sda",
    "vda",
    "nvme0n1",
    "loop0",
    "loop-control",
    "kvm",
    "fuse",
    "net/tun",
    "vsock",
    "vhost-vsock",
    "mapper/control",
    "userfaultfd",
    "snapshot",
    "input/event0",
)


def proc() -> None:
    for path, text in PROC_WRITES.items():
        tell(f"write {path}", write(path, text))
    for path in PROC_READS:
        tell(f"read {path}", read(path))
    tell("root of process 1", _foreign_root)
    tell("kernel addresses", _kernel_addresses)
    tell("more processes than its own", lambda: sum(name.isdecimal() for name in os.listdir("/proc")) > 8)


def _foreign_root() -> str:
    return "own" if os.stat("/proc/1/root").st_ino == os.stat("/").st_ino else "foreign"


def _kernel_addresses() -> str:
    with open("/proc/kallsyms", encoding="ascii") as symbols:
        return "hidden" if int(symbols.readline().split()[0], 16) == 0 else "shown"


def sys_files() -> None:
    for path, text in SYS_WRITES.items():
        tell(f"write {path}", write(path, text))
    for name in CGROUP_FILES:
        answers = {_answer(path) for path in Path("/sys/fs/cgroup").rglob(name)} or {"absent"}
        print(f"write every {name}: {' '.join(sorted(answers))}")
    tell("make a cgroup", lambda: os.mkdir("/sys/fs/cgroup/pwned"))
    tell("make a cgroup below memory", lambda: os.mkdir("/sys/fs/cgroup/memory/pwned"))


def _answer(path: Path) -> str:
    try:
        write(str(path), "1")()
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return "done"


def devices() -> None:
    tell("mknod of a disk", lambda: os.mknod("/tmp/disk", stat.S_IFBLK | 0o666, os.makedev(8, 0)))
    tell("mknod of memory", lambda: os.mknod("/tmp/mem", stat.S_IFCHR | 0o666, os.makedev(1, 1)))
    for path in ("/tmp/disk", "/tmp/mem"):
        tell(f"read {path}", read(path))
    for name in DEVICES:
        tell(f"open /dev/{name}", opened(f"/dev/{name}", os.O_RDWR))
    found = sorted(
        entry.name
        for entry in os.scandir("/dev")
        if stat.S_ISBLK(entry.stat(follow_symlinks=False).st_mode)
        or stat.S_ISCHR(entry.stat(follow_symlinks=False).st_mode)
    )
    print(f"devices: {' '.join(found)}")


def setuid() -> None:
    found = [
        path
        for folder in ("/bin", "/usr/bin", "/usr/sbin")
        for path in Path(folder).iterdir()
        if path.is_file() and path.stat().st_mode & stat.S_ISUID
    ]
    print(f"set-user-id programs: {len(set(found)) > 0}")
    with subprocess.Popen(
        ["/usr/bin/su"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as program:
        uids = next(
            line for line in Path(f"/proc/{program.pid}/status").read_text().splitlines() if line.startswith("Uid:")
        )
        print(f"uids of su: {' '.join(sorted(set(uids.split()[1:])))}")
        program.kill()
    tell("setuid to root", lambda: os.setuid(0))
    tell("setgid to root", lambda: os.setgid(0))
    tell("setgroups", lambda: os.setgroups([0]))
    tell("chown to root", lambda: os.chown("/tmp", 0, 0))
    tell("chroot", lambda: os.chroot("/tmp"))
    tell("nice below zero", lambda: os.nice(-5) and None)
    tell("write /etc/passwd", write("/etc/passwd", "root::0:0:::"))
    tell("read /etc/shadow", read("/etc/shadow"))


def runtime() -> None:
    """CVE-2019-5736 and CVE-2024-21626: the runtime's own program, and what it leaves open."""
    for path in ("/proc/1/exe", "/proc/self/exe", "/sbin/docker-init"):
        tell(f"write {path}", opened(path, os.O_WRONLY))
    inherited = sorted(int(name) for name in os.listdir("/proc/self/fd"))
    # The last one is the listing's own.
    print(f"inherited descriptors: {' '.join(map(str, inherited[:-1]))}")
    kinds = {stat.S_ISFIFO(os.fstat(number).st_mode) or stat.S_ISCHR(os.fstat(number).st_mode) for number in (0, 1, 2)}
    print(f"standard streams are pipes or devices: {kinds == {True}}")
    of_init = [os.readlink(f"/proc/1/fd/{name}") for name in os.listdir("/proc/1/fd")]
    print(f"descriptors of init on files: {[path for path in of_init if path.startswith('/') and path != '/dev/null']}")


if __name__ == "__main__":
    {"proc": proc, "sys": sys_files, "devices": devices, "setuid": setuid, "runtime": runtime}[sys.argv[1]]()
