"""Takes as much of one thing as there is; prints how far it came and what stopped it."""

import ctypes
import errno
import mmap
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.abuse.payloads.probing import tell

MIB = 2**20


def until_refused(what: str, take: Callable[[int], object], limit: int) -> None:
    """Takes one more until an error; prints its name and how many there were."""
    count, stopped = 0, "nothing"
    try:
        while count < limit:
            take(count)
            count += 1
    except OSError as error:
        stopped = errno.errorcode.get(error.errno or 0, str(error))
    except RuntimeError as error:  # of the threading module
        stopped = str(error)
    print(f"{what}: {count}\nstopped by: {stopped}", flush=True)


def memory() -> None:
    taken = []
    while True:
        taken.append(bytearray(4 * MIB))


def shared_memory() -> None:
    with open("/dev/shm/fill", "wb", buffering=0) as file:
        until_refused("MiB", lambda _: file.write(bytes(MIB)), 4096)


def all_places() -> None:
    """More than the memory in all, though no place is over its own size; there is no process to blame."""
    for place in ("/dev/shm", "/tmp", "/home/sandbox"):
        with open(f"{place}/fill", "wb", buffering=0) as file:
            file.writelines(bytes(MIB) for _ in range(30))


def system_v() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p

    def take(_: int) -> None:
        segment = libc.shmget(0, 4 * MIB, 0o1600)
        if segment < 0:
            raise OSError(ctypes.get_errno(), "")
        ctypes.memset(libc.shmat(segment, None, 0), 1, 4 * MIB)

    until_refused("segments", take, 4096)


def one_file() -> None:
    with open("/tmp/fill", "wb", buffering=0) as file:
        until_refused("MiB", lambda _: _write_all(file.fileno(), bytes(MIB)), 4096)


def many_files() -> None:
    until_refused("files", lambda number: Path(f"/tmp/{number}").write_bytes(bytes(64 * 1024)), 100_000)


def inodes() -> None:
    until_refused("inodes", lambda number: os.close(os.open(f"/tmp/{number}", os.O_CREAT)), 1_000_000)


def huge_file() -> None:
    descriptor = os.open("/tmp/huge", os.O_CREAT | os.O_RDWR)
    tell("allocate 1 TiB", lambda: os.posix_fallocate(descriptor, 0, 2**40))


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def root() -> None:
    """Every folder into which a file can be written."""
    writable, links = set(), {"/proc", "/sys"}
    for folder, names, _ in os.walk("/"):
        names[:] = [name for name in names if f"{folder.rstrip('/')}/{name}" not in links]
        path = f"{folder.rstrip('/')}/.pwned"
        try:
            Path(path).write_bytes(bytes(4096))
        except OSError:
            continue
        writable.add(folder)
        os.unlink(path)
        names.clear()
    print(f"writable: {' '.join(sorted(writable))}")


def descriptors() -> None:
    until_refused("descriptors", lambda _: os.open("/dev/null", os.O_RDONLY), 4_000_000)


def raise_limits() -> None:
    for name in ("NOFILE", "FSIZE", "NPROC", "CORE", "MEMLOCK", "RTPRIO", "MSGQUEUE"):
        kind = getattr(resource, f"RLIMIT_{name}")
        hard = resource.getrlimit(kind)[1]
        if hard == resource.RLIM_INFINITY:
            continue
        try:
            resource.setrlimit(kind, (hard + 1, hard + 1))
        except (ValueError, OSError):
            continue
        print(f"raised: {name}")
    print("tried: all")


def locked_memory() -> None:
    taken: list[mmap.mmap] = []
    libc = ctypes.CDLL(None, use_errno=True)

    def take(_: int) -> None:
        taken.append(mmap.mmap(-1, MIB))
        address = ctypes.addressof(ctypes.c_char.from_buffer(taken[-1]))
        if libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(MIB)):
            raise OSError(ctypes.get_errno(), "")

    until_refused("locked MiB", take, 4096)


def pipes() -> None:
    until_refused("pipes", lambda _: os.write(os.pipe()[1], bytes(4096)), 100_000)


def sockets() -> None:
    """Fills sockets that nobody reads: memory of the kernel."""
    kept = []

    def take(_: int) -> None:
        pair = socket.socketpair()
        pair[0].setblocking(False)
        kept.append(pair)
        try:
            while True:
                pair[0].send(bytes(4096))
        except BlockingIOError:
            pass

    until_refused("sockets", take, 100_000)


def threads() -> None:
    stop = threading.Event()
    until_refused("threads", lambda _: threading.Thread(target=stop.wait, daemon=True).start(), 10_000)
    os._exit(0)


def forks() -> None:
    """Every process forks for ever; prints how many there were at the most, and what stopped them."""
    deadline, first = time.monotonic() + float(sys.argv[2]), os.getpid()
    most, stopped = 0, "nothing"
    while time.monotonic() < deadline:
        try:
            os.fork()
        except OSError as error:
            stopped = errno.errorcode[error.errno or 0]
        if os.getpid() == first:
            most = max(most, sum(name.isdecimal() for name in os.listdir("/proc")))
    if os.getpid() == first:
        print(f"processes: {most}\nstopped by: {stopped}")


def spin() -> None:
    """Busy on twice as many cores as there are; prints how much of a core it got."""
    seconds = float(sys.argv[2])
    started = time.monotonic()
    children = []
    for _ in range(2 * (os.cpu_count() or 1)):
        child = os.fork()
        if not child:
            while time.monotonic() < started + seconds:
                pass
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cores = (used.ru_utime + used.ru_stime) / (time.monotonic() - started)
    print(f"cores: {cores:.2f}\nwithin the quota: {cores < float(sys.argv[3])}")


def zombies() -> None:
    """Orphans that end at once: without an init each one stays, and soon there is no room for another."""
    deadline, wanted, made = time.monotonic() + 20, int(sys.argv[2]), 0
    while made < wanted and time.monotonic() < deadline:
        child = os.fork()
        if not child:
            try:
                os.fork()
            except OSError:  # init has not got to the last ones yet
                os._exit(1)
            os._exit(0)
        made += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    while (left := _zombies()) and time.monotonic() < deadline:
        time.sleep(0.05)
    print(f"orphans: {made}\nzombies left: {left}")


def _zombies() -> int:
    found = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # init has got to it just now
            found += path.read_text().rpartition(")")[2].split()[0] == "Z"
    return found


def arguments() -> None:
    tell("an argument of 1 MiB", lambda: subprocess.check_call(["true", "x" * MIB]))
    tell("1 GiB of arguments", lambda: subprocess.check_call(["true", *["x" * 100_000] * 10_000]))


globals()[sys.argv[1]]()
