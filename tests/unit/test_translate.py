"""From options to the engine's create body: the whole of it stands in golden files, so that every change is seen."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockersched import Mount, QuotaConfig, SandboxRunOptions
from dockersched.sandbox.docker import seccomp, translate
from dockersched.sandbox.docker.defaults import SandboxDefaults

GOLDEN = Path(__file__).parent / "golden"
IDENTITY: dict[str, Any] = {"epic_id": "e", "run_id": "r", "task_id": "t"}
OPENED: dict[str, Any] = {
    "network": "bridge",
    "user": "0:0",
    "read_only": False,
    "cap_add": ("NET_RAW", "CHOWN"),
    "tmpfs": {"/scratch": 2**20, "/dev/shm": 8192},
    "ulimits": {"nofile": 1024, "cpu": 60},
    "mounts": (Mount("/srv/data", "/data"), Mount("/srv/out", "/out", read_only=False)),
    "runtime": "runsc",
    "quota": QuotaConfig(disk="1g", log="1m"),
}


def body_of(options: SandboxRunOptions, **more: Any) -> dict[str, Any]:
    return translate.create_body(SandboxDefaults().fill(options), image_id="sha256:1", **more)


@pytest.mark.parametrize(
    ("golden", "openings"), [("default", {}), ("trusted", {"profile": "trusted"}), ("opened", OPENED)]
)
def test_a_sandbox_equals_its_golden_file(golden: str, openings: dict[str, Any]) -> None:
    body = body_of(SandboxRunOptions("e.t", "true", **IDENTITY, **openings))
    assert body == json.loads((GOLDEN / f"create_{golden}.json").read_text(), object_hook=_with_seccomp)


def test_a_sandbox_in_the_namespace_of_another_container_differs_in_that_alone() -> None:
    alone = body_of(SandboxRunOptions("e.t", "true", **IDENTITY))
    joined = body_of(SandboxRunOptions("e.t", "true", **IDENTITY), network_mode="container:0a1b")
    assert joined["HostConfig"].pop("NetworkMode") == "container:0a1b"
    assert alone["HostConfig"].pop("NetworkMode") == "none"
    assert joined == alone


PROFILES = {"seccomp": False, "seccomp_32_bit": True}


def _with_seccomp(found: dict[str, object]) -> dict[str, object]:
    """Puts the profile, which has a golden file of its own, where the golden file of the body names it."""
    named = {
        f"seccomp={{{name}.json}}": seccomp.security_option(programs_of_32_bit=widely)
        for name, widely in PROFILES.items()
    }
    options = found.get("SecurityOpt")
    if isinstance(options, list):
        found["SecurityOpt"] = [named.get(option, option) for option in options]
    return found


@pytest.mark.parametrize(("name", "widely"), PROFILES.items())
def test_the_seccomp_profile_equals_its_golden_file(name: str, widely: bool) -> None:
    profile = seccomp.security_option(programs_of_32_bit=widely).removeprefix("seccomp=")
    assert json.loads(profile) == json.loads((GOLDEN / f"{name}.json").read_text())


def test_an_image_of_32_bit_programs_gets_their_calls() -> None:
    options = SandboxRunOptions("e.t", "true", **IDENTITY)
    narrow, wide = body_of(options), body_of(options, image_is_32_bit=True)
    assert narrow["HostConfig"].pop("SecurityOpt")[1] == seccomp.security_option()
    assert wide["HostConfig"].pop("SecurityOpt")[1] == seccomp.security_option(programs_of_32_bit=True)
    assert narrow == wide


def is_allowed(call: str, *arguments: int) -> bool:
    """Whether the profile lets a call through, as the kernel would apply its masked comparisons."""
    rules = json.loads(seccomp.security_option().removeprefix("seccomp="))["syscalls"]
    return any(
        all(arguments[each["index"]] & each["value"] == each["valueTwo"] for each in rule.get("args", ()))
        for rule in rules
        if call in rule["names"]
    )


def test_flow_labels_are_the_only_option_of_sockets_that_is_refused() -> None:
    levels = [0, 1, 6, 17, 41, 58, 132, 136, 255, *range(256, 288)]  # of linux/socket.h and netinet/in.h
    options = [(level, option) for level in levels for option in range(128)]
    assert [option for option in options if not is_allowed("setsockopt", 3, *option)] == [(41, 32)]
    assert not is_allowed("setsockopt", 3, 41 + 2**32, 32 + 2**40)  # of which the kernel takes the lower half


def test_every_option_reaches_the_engine() -> None:
    options = SandboxRunOptions(
        "e.t",
        "python3",
        ("-c", "print(1)"),
        quota=QuotaConfig(0.5, "64m", 7),
        environment={"A": "1", "HOME": "/tmp"},
        working_dir="/work",
        user="1000",
        network="bridge",
    )
    body = body_of(options)
    host = body["HostConfig"]
    assert (body["Entrypoint"], body["Cmd"]) == (["python3"], ["-c", "print(1)"])
    assert body["Env"] == ["HOME=/tmp", "A=1"]
    assert (body["WorkingDir"], body["User"], host["NetworkMode"]) == ("/work", "1000", "bridge")
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (
        500_000_000, 64 * 2**20, 64 * 2**20, 7,
    )  # fmt: skip


def test_what_others_mount_comes_after_the_tasks_own_mounts() -> None:
    mine = {"Type": "volume", "Source": "v", "Target": "/workspace"}
    body = body_of(SandboxRunOptions("e.t", "true", mounts=(Mount("/srv/a", "/a"),)), mounts=[mine])
    assert [mount["Target"] for mount in body["HostConfig"]["Mounts"]] == ["/a", "/workspace"]
    assert body["HostConfig"]["Mounts"][1] == mine
