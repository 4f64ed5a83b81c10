"""Sandboxes that use one network namespace after another: what one leaves for the next, and what if a holder dies."""

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from docker.api import APIClient
from msgspec.structs import replace

from dockersched import DockerRunner, Reason, SandboxResult, SandboxRunOptions, ids
from tests.support.sandboxes import log_of, sandbox, shell

NAMESPACE = "readlink /proc/self/ns/net"

ATTACK = """
import os, socket, subprocess, sys, time
def tried(what, act):
    try:
        act()
    except OSError as error:
        print(what, type(error).__name__, flush=True)
    else:
        print(what, "done", flush=True)
def connections():
    listener = socket.create_server(("127.0.0.1", 7777))
    for _ in range(20):
        near = socket.create_connection(("127.0.0.1", 7777))
        far, _ = listener.accept()
        near.close()  # who closes first waits in TIME_WAIT
        far.close()
def abstract():
    global kept
    kept = socket.socket(socket.AF_UNIX)
    kept.bind("\\0left-behind")
    kept.listen()
def write(path):
    with open(path, "w") as file:
        file.write("1")
tried("connections", connections)
tried("abstract socket", abstract)
if os.fork() == 0:  # lives on as long as the sandbox lets it
    socket.create_server(("127.0.0.1", 7778))
    time.sleep(30)
tried("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))
tried("sysctl", lambda: write("/proc/sys/net/ipv4/ip_local_port_range"))
tried("hosts", lambda: write("/etc/hosts"))
def netlink(kind, body):
    import struct
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    link.send(struct.pack("=IHHII", 16 + len(body), kind, 0x605, 1, 0) + body)
    size, answer, _, _, _, error = struct.unpack_from("=IHHIIi", link.recv(4096))
    if error:
        raise OSError(-error, "netlink")
import struct
address = struct.pack("=BBBBI", 2, 8, 0, 0, 1) + struct.pack("=HH4B", 8, 2, 10, 1, 1, 1)
tried("address", lambda: netlink(20, address))
route = struct.pack("=BBBBBBBBI", 2, 8, 0, 0, 254, 4, 253, 1, 0) + struct.pack("=HH4B", 8, 1, 10, 0, 0, 0) + struct.pack("=HHI", 8, 4, 1)
tried("route", lambda: netlink(24, route))
def fast_open():
    with socket.create_server(("127.0.0.1", 7779)), socket.socket() as near:
        near.sendto(b"x", 0x20000000, ("127.0.0.1", 7779))  # MSG_FASTOPEN
tried("fast open", fast_open)
def flow_label(level=socket.IPPROTO_IPV6, option=32):
    import ctypes
    wanted = bytes([0xfd]) + b"SECRET-MESSAGE." + struct.pack(">I", 0x1000) + struct.pack("=BBHHHI", 0, 1, 1, 60, 60, 0)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as mine:
        number = {"x86_64": 54, "aarch64": 208}[os.uname().machine]
        call = ctypes.CDLL(None, use_errno=True).syscall
        five = [ctypes.c_long(each) for each in (number, mine.fileno(), level, option)]
        if call(*five, wanted, ctypes.c_long(len(wanted))):
            raise OSError(ctypes.get_errno(), "setsockopt")
tried("flow label", flow_label)
tried("flow label by longer numbers", lambda: flow_label(socket.IPPROTO_IPV6 + 2**32, 32 + 2**40))
"""  # noqa: E501

LOOK = """
import json, os, socket
def lines(path):
    with open(path) as file:
        return file.read().splitlines()[1:]
files = ("ip6_flowlabel", "tcp", "tcp6", "udp", "udp6", "raw", "unix", "packet", "netlink", "route", "arp", "if_inet6")
seen = {name: len(lines("/proc/net/" + name)) for name in files}
seen["interfaces"] = sorted(os.listdir("/sys/class/net"))
seen["trie"] = [line for line in lines("/proc/net/fib_trie") if "/" in line or "host" in line]
seen["hosts"] = "".join(lines("/etc/hosts"))
try:
    socket.create_connection(("127.0.0.1", 7778), timeout=2)
    seen["listener"] = "answers"
except OSError as error:
    seen["listener"] = type(error).__name__
with socket.socket(socket.AF_UNIX) as there:
    there.bind("\\0left-behind")
seen["namespace"] = os.readlink("/proc/self/ns/net")
print(json.dumps(seen))
"""


def python(script: str, **changes: Any) -> SandboxRunOptions:
    return sandbox("python3", "-c", script, image="dockersched/python", **changes)


def share(runner: DockerRunner, first: SandboxRunOptions, *, at_once: int = 1) -> None:
    """As if many sandboxes of this run were to come."""
    runner.share_namespaces([replace(first, task_id=f"later-{number}") for number in range(50)], at_once=at_once)


async def settled(runner: DockerRunner, options: SandboxRunOptions) -> SandboxResult:
    """Runs a sandbox to its end; a holder that it had made is there then."""
    result = await runner.run(options)
    await runner.remove(options)
    await runner._settle_background()
    return result


async def test_a_namespace_is_used_again_when_it_is_empty(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    options = [shell(NAMESPACE, task_id=f"t{number}", run_id=run_id) for number in range(3)]
    options.append(shell(NAMESPACE, task_id="own", run_id=run_id, network_namespace="own"))
    share(runner, options[0])
    numbers, modes = [], []
    for each in options:
        numbers.append(log_of(await runner.run(each)))
        name = ids.container_name(each.epic_id, each.run_id, each.task_id, each.attempt)
        modes.append(engine.inspect_container(name)["HostConfig"]["NetworkMode"])
        await runner._settle_background()
    (holder,) = engine.containers(filters={"label": [f"io.dockersched.run={run_id}", "io.dockersched.attempt=0"]})
    joined = f"container:{holder['Id']}"
    assert modes == ["none", joined, joined, "none"]
    assert numbers[1] == numbers[2] != numbers[3]


async def test_the_last_sandbox_of_a_run_still_has_its_holder(runner: DockerRunner, run_id: str) -> None:
    options = [shell(NAMESPACE, task_id=f"t{number}", run_id=run_id) for number in range(5)]
    options.append(shell("sleep 5", task_id="last", run_id=run_id))
    runner.share_namespaces(options, at_once=1)
    *_, last = [await settled(runner, each) for each in options]
    assert last.usage is not None  # the engine tells it only as long as it knows the holder


async def test_no_two_sandboxes_are_in_one_namespace(runner: DockerRunner, engine: APIClient, run_id: str) -> None:
    running = [shell(f"{NAMESPACE}; sleep 0.2", task_id=f"t{number}", run_id=run_id) for number in range(12)]
    share(runner, running[0], at_once=2)
    places = asyncio.Semaphore(2)

    async def bounded(options: SandboxRunOptions) -> SandboxResult:
        async with places:
            return await runner.run(options)

    results = await asyncio.gather(*map(bounded, running))
    holders = engine.containers(filters={"label": [f"io.dockersched.run={run_id}", "io.dockersched.attempt=0"]})
    by_namespace: dict[bytes, list[SandboxResult]] = {}
    for result in results:
        by_namespace.setdefault(log_of(result), []).append(result)
    assert 1 <= len(holders) <= 2
    assert len(by_namespace) < 12
    for successive in by_namespace.values():
        spans = sorted((each.started_at, each.finished_at) for each in successive if each.started_at)
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))  # type: ignore[operator]


async def test_a_sandbox_leaves_nothing_for_the_next(runner: DockerRunner, run_id: str) -> None:
    first = shell("true", task_id="first", run_id=run_id)
    share(runner, first)
    await settled(runner, first)
    before = await settled(runner, python(LOOK, task_id="before", run_id=run_id))
    attack = await settled(runner, python(ATTACK, task_id="attack", run_id=run_id))
    after = await settled(runner, python(LOOK, task_id="after", run_id=run_id))
    assert log_of(attack).decode().splitlines() == [
        "connections done",
        "abstract socket done",
        "raw socket PermissionError",
        "sysctl OSError",
        "hosts OSError",
        "address PermissionError",
        "route PermissionError",
        "fast open OSError",
        "flow label PermissionError",
        "flow label by longer numbers PermissionError",
    ]
    seen = json.loads(log_of(after))
    assert seen == json.loads(log_of(before))
    assert (seen["listener"], seen["tcp"], seen["interfaces"]) == ("ConnectionRefusedError", 0, ["lo"])


@pytest.mark.parametrize("how", ["kill", "remove"])
async def test_a_holder_that_dies_costs_one_attempt(
    runner: DockerRunner, engine: APIClient, run_id: str, how: str
) -> None:
    options = [shell(NAMESPACE, task_id=f"t{number}", run_id=run_id) for number in range(4)]
    share(runner, options[0])
    await settled(runner, options[0])
    (holder,) = engine.containers(filters={"label": [f"io.dockersched.run={run_id}", "io.dockersched.attempt=0"]})
    if how == "kill":
        engine.kill(holder["Id"])
    else:
        engine.remove_container(holder["Id"], force=True)
    failed = await settled(runner, options[1])
    again = await settled(runner, options[2])
    shared = await settled(runner, options[3])
    await runner.sweep(run_id)
    assert failed.reason in {Reason.ENGINE_ERROR, Reason.INTERRUPTED}, failed
    assert (failed.exit_code, failed.started_at) == (None, None)
    assert (again.succeeded, shared.succeeded) == (True, True)
    assert engine.containers(all=True, filters={"label": f"io.dockersched.run={run_id}"}) == []


async def test_a_container_in_the_namespace_of_an_earlier_process_is_adopted(
    runner: DockerRunner, engine: APIClient, tmp_path: Path, run_id: str
) -> None:
    options = shell("sleep 1; echo whole", task_id="adopted", run_id=run_id)
    share(runner, options)
    await settled(runner, shell("true", task_id="first", run_id=run_id))
    running = asyncio.create_task(runner.run(options))
    name = ids.container_name(options.epic_id, options.run_id, options.task_id, options.attempt)
    while not engine.containers(filters={"name": name}):
        await asyncio.sleep(0.05)
    async with await DockerRunner.connect(logs_dir=tmp_path) as other:
        adopted = await other.run(options)
    assert engine.inspect_container(name)["HostConfig"]["NetworkMode"].startswith("container:")
    result = await running
    assert (adopted.succeeded, log_of(adopted)) == (True, b"whole\n")
    assert result.succeeded
