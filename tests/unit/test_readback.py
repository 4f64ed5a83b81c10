"""What the engine made of a create body, compared with the body."""

import copy
import json
from typing import Any

import pytest

from dockersched import Mount, QuotaConfig, SandboxRunOptions
from dockersched.sandbox.docker import readback, translate
from dockersched.sandbox.docker.defaults import SandboxDefaults


def body_of(**changes: Any) -> dict[str, Any]:
    options = SandboxRunOptions("e.t", "true", **changes)
    return translate.create_body(SandboxDefaults().fill(options), image_id="sha256:1")


def inspected(body: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """What an engine says of a container that it made as it should, but for the changes; with keys of its own."""
    host = copy.deepcopy(body["HostConfig"]) | {"OomScoreAdj": 0, "Devices": None, "Binds": None}
    host["RestartPolicy"]["MaximumRetryCount"] = 0
    user = changed.pop("User", body["User"])
    mounts = changed.pop("mounted", [])
    return {"HostConfig": host | changed, "Config": {"User": user}, "Mounts": mounts}


def test_limits_in_effect_make_no_difference() -> None:
    body = body_of()
    assert readback.difference(body, inspected(body)) == ""
    assert readback.effective_quota(inspected(body)) == QuotaConfig(
        1, "512m", 128, disk=2 * 2**28 + 2**26, nofile=4096, fsize="1g", log="16m"
    )


def test_equal_limits_are_kept_but_once() -> None:
    body = body_of()
    assert readback.effective_quota(inspected(body)) is readback.effective_quota(inspected(body))


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"NanoCpus": 0}, "NanoCpus: 1000000000 requested, nothing in effect"),
        ({"Memory": 2**30}, "Memory: 536870912 requested, 1073741824 in effect"),
        ({"MemorySwap": -1}, "MemorySwap: 536870912 requested, -1 in effect"),
        ({"PidsLimit": None}, "PidsLimit: 128 requested, nothing in effect"),
        ({"Runtime": "runc"}, "Runtime: runsc requested, runc in effect"),
        ({"ReadonlyRootfs": False}, "ReadonlyRootfs: true requested, false in effect"),
        ({"Privileged": True}, "Privileged: false requested, true in effect"),
        ({"CapDrop": None}, 'CapDrop: ["ALL"] requested, nothing in effect'),
        ({"CapAdd": ["CAP_SYS_ADMIN"]}, 'CapAdd: nothing requested, ["CAP_SYS_ADMIN"] in effect'),
        ({"NetworkMode": "host"}, "NetworkMode: none requested, host in effect"),
        ({"IpcMode": "host"}, "IpcMode: private requested, host in effect"),
        ({"PidMode": "host"}, "PidMode: nothing requested, host in effect"),
        ({"UTSMode": "host"}, "UTSMode: nothing requested, host in effect"),
        ({"UsernsMode": "host"}, "UsernsMode: nothing requested, host in effect"),
        ({"Binds": ["/:/host"]}, 'Binds: nothing requested, ["/:/host"] in effect'),
        ({"Mounts": [{"Type": "bind"}]}, 'Mounts: nothing requested, [{"Type":"bind"}] in effect'),
        ({"ShmSize": 2**30}, "ShmSize: 67108864 requested, 1073741824 in effect"),
        ({"Init": None}, "Init: true requested, nothing in effect"),
        ({"User": ""}, "User: 65534:65534 requested, nothing in effect"),
        ({"mounted": [{"Type": "volume", "Destination": "/data"}]},
         "Mounts: nothing requested at /data, a volume in effect"),
    ],
)  # fmt: skip
def test_whatever_is_not_in_effect_is_told(changed: dict[str, Any], difference: str) -> None:
    body = body_of(runtime="runsc")
    assert readback.difference(body, inspected(body, **changed)) == difference


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("none", "container:x"), ("container:x", "none"), ("container:x", "container:y"), ("container:x", "container:x")],
)
def test_whoever_wants_no_network_can_be_in_any_namespace_without_one(wanted: str, found: str) -> None:
    body = body_of()
    body["HostConfig"]["NetworkMode"] = wanted
    assert not readback.difference(body, inspected(body, NetworkMode=found))
    assert readback.difference(body, inspected(body, NetworkMode="bridge"))


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("Ulimits", [{"Name": "nofile", "Soft": 4096, "Hard": 2**20}]),
        ("Ulimits", None),
        ("Tmpfs", {"/tmp": "rw", "/home/sandbox": "rw"}),
        ("Tmpfs", {}),
        ("LogConfig", {"Type": "json-file", "Config": {}}),
        ("LogConfig", {"Type": "local", "Config": {"max-file": "5"}}),
        ("RestartPolicy", {"Name": "always"}),
    ],
)
def test_a_limit_of_several_parts_is_compared_as_a_whole(key: str, changed: object) -> None:
    body = body_of()
    assert readback.difference(body, inspected(body, **{key: changed})).startswith(f"{key}: ")


def test_what_engines_add_of_their_own_is_no_difference() -> None:
    body = body_of(user="0", cap_add=("CHOWN",), mounts=(Mount("/srv", "/srv"),))
    mounts = copy.deepcopy(body["HostConfig"]["Mounts"])
    mounts[0]["Consistency"] = "default"
    ulimits = [*reversed(body["HostConfig"]["Ulimits"]), {"Name": "nproc", "Soft": 9, "Hard": 9}]
    changed = {"CapAdd": ["CHOWN"], "Mounts": mounts, "Ulimits": ulimits}
    assert readback.difference(body, inspected(body, **changed)) == ""


def test_a_volume_of_the_image_is_no_difference_where_the_disk_is_not_limited() -> None:
    body = body_of(profile="trusted")
    assert readback.difference(body, inspected(body, mounted=[{"Type": "volume", "Destination": "/data"}])) == ""


@pytest.mark.parametrize(
    ("changed", "limit"),
    [
        ({"MemorySwap": -1}, "memory"),
        ({"PidsLimit": -1}, "pids"),
        ({"NanoCpus": 0}, "cpus"),
        ({"Ulimits": [{"Name": "fsize", "Hard": -1}]}, "fsize"),
        ({"Ulimits": None}, "nofile"),
        ({"Tmpfs": {"/tmp": "rw"}}, "disk"),
        ({"ReadonlyRootfs": False}, "disk"),
        ({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1"}}}, "log"),
    ],
)
def test_a_limit_that_is_not_enforced_is_none(changed: dict[str, Any], limit: str) -> None:
    assert getattr(readback.effective_quota(inspected(body_of(), **changed)), limit) is None


def test_the_disk_limit_of_a_root_that_can_be_written_is_that_of_the_storage() -> None:
    body = body_of(profile="trusted", quota=QuotaConfig(disk="1g"))
    assert readback.effective_quota(inspected(body)).disk == 2**30
    assert readback.difference(body, inspected(body, StorageOpt=None)).startswith("StorageOpt: ")


@pytest.mark.parametrize("found", [["no-new-privileges"], ["no-new-privileges", "seccomp=unconfined"]])
def test_another_seccomp_profile_is_told_in_a_short_line(found: list[str]) -> None:
    body = body_of()
    line = readback.difference(body, inspected(body, SecurityOpt=found))
    assert line.startswith('SecurityOpt: ["no-new-privileges","seccomp={')
    assert line.endswith(f"… requested, {json.dumps(found, separators=(',', ':'))} in effect")
    assert len(line) < 350
