"""What a sandbox was given is listed; what an engine cannot give is refused."""

from typing import Any

import pytest

from dockersched import Mount, QuotaConfig, SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.openings import openings
from dockersched.sandbox.docker.refusals import find_refusals

ON_EXT4 = EngineFeatures(2, 2**32, frozenset({"runc"}), storage="overlay2 on extfs")
ON_XFS = EngineFeatures(2, 2**32, frozenset({"runc"}), storage="overlay2 on xfs", may_limit_disk=True)
FAR_AWAY = EngineFeatures(2, 2**32, frozenset({"runc"}), is_local=False)


def options(**changes: Any) -> SandboxRunOptions:
    return SandboxRunOptions("e.t", "true", task_id="t", **changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"quota": QuotaConfig(64, "64g", 9999, "1m", 16, "1m", "1g")}, ()),
        ({"profile": "locked", "network": "none", "read_only": True, "user": "65534:65534"}, ()),
        ({"ulimits": {"nofile": 64, "core": 0}}, ()),
        ({"profile": "trusted"}, ("profile: trusted", "disk: unlimited")),
        ({"profile": "trusted", "read_only": True}, ("profile: trusted",)),
        ({"profile": "trusted", "user": "1000", "quota": QuotaConfig(disk="1g")},
         ("profile: trusted", "user: 1000")),
        ({"read_only": False}, ("read_only: false", "disk: unlimited")),
        ({"network": "bridge", "user": "0", "cap_add": ("CHOWN", "NET_RAW")},
         ("network: bridge", "user: 0", "cap_add: CHOWN", "cap_add: NET_RAW")),
        ({"tmpfs": {"/a": 2**20}, "ulimits": {"nofile": 2**16, "cpu": 5}},
         ("tmpfs: /a 1 MiB", "ulimits: cpu 5", "ulimits: nofile 65536")),
        ({"quota": QuotaConfig(nofile=2**16)}, ("ulimits: nofile 65536",)),
        ({"mounts": (Mount("/a", "/b"), Mount("/c", "/d", read_only=False))},
         ("mounts: /a at /b (read-only)", "mounts: /c at /d (writable)")),
    ],
)  # fmt: skip
def test_every_opening_is_listed(changes: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert sorted(openings(SandboxDefaults().fill(options(**changes)))) == sorted(expected)


def test_what_the_runner_opens_for_all_is_listed_too() -> None:
    assert openings(SandboxDefaults(network="bridge", user="0").fill(options())) == ("network: bridge", "user: 0")


@pytest.mark.parametrize(
    ("changes", "features", "keys", "message"),
    [
        ({"runtime": "runsc"}, ON_EXT4, ("runtime",), "wants the runtime 'runsc', which the engine does not have"),
        ({"read_only": False, "quota": QuotaConfig(disk="1g")}, ON_EXT4, ("quota", "disk"),
         "which this engine's storage (overlay2 on extfs) cannot enforce"),
        ({"profile": "trusted", "quota": QuotaConfig(disk="1g")}, ON_EXT4, ("quota", "disk"), "cannot enforce"),
        ({"quota": QuotaConfig(disk="1m"), "tmpfs": {"/a": 2**20}}, ON_XFS, ("quota", "disk"),
         "has a disk quota of 1 MiB, which is not enough for what it can write to (/tmp 4 KiB, "),
        ({"mounts": (Mount("/a", "/a"),)}, FAR_AWAY, ("mounts",), "the engine is on another machine"),
        ({"cap_add": ("NET_RAW",)}, ON_EXT4, ("cap_add",), "which have no effect for the user 65534:65534"),
        ({"cap_add": ("NET_RAW",), "user": "web"}, ON_EXT4, ("cap_add",), "no effect for the user web"),
        ({"mounts": (Mount("/a", "/a", read_only=False),), "user": "0"}, ON_EXT4, ("mounts",), "would let root write"),
        ({"mounts": (Mount("/a", "/a", read_only=False),), "user": "web"}, ON_EXT4, ("mounts",), "would let root"),
        ({"mounts": (Mount("/a", "/a", read_only=False),), "profile": "trusted"}, ON_EXT4, ("mounts",), "let root"),
    ],
)  # fmt: skip
def test_what_cannot_be_given_is_refused_at_its_key(
    changes: dict[str, Any], features: EngineFeatures, keys: tuple[str, ...], message: str
) -> None:
    (problem,) = find_refusals([options(**changes)], features, SandboxDefaults())
    assert problem.path == ("tasks", "t", *keys)
    assert message in problem.message


@pytest.mark.parametrize(
    ("changes", "features"),
    [
        ({"runtime": "runc"}, ON_EXT4),
        ({"quota": QuotaConfig(disk="1m")}, ON_EXT4),
        ({"read_only": False, "quota": QuotaConfig(disk="1g")}, ON_XFS),
        ({"cap_add": ("NET_RAW",), "user": "0:0"}, ON_EXT4),
        ({"cap_add": ("NET_RAW",), "user": "root"}, ON_EXT4),
        ({"cap_add": ("NET_ADMIN",), "profile": "trusted"}, ON_EXT4),
        ({"mounts": (Mount("/a", "/a", read_only=False),), "user": "1000"}, ON_EXT4),
        ({"mounts": (Mount("/a", "/a"),), "profile": "trusted"}, ON_EXT4),
    ],
)
def test_what_can_be_given_is_not_refused(changes: dict[str, Any], features: EngineFeatures) -> None:
    assert find_refusals([options(**changes)], features, SandboxDefaults()) == []


@pytest.mark.parametrize(
    ("info", "storage", "may_limit"),
    [
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]}, "overlay2 on extfs", False),
        ({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "xfs"]]}, "overlay2 on xfs", True),
        ({"Driver": "btrfs", "DriverStatus": [["Btrfs", ""]]}, "btrfs", True),
        ({"Driver": "vfs", "DriverStatus": None}, "vfs", False),
        ({"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]},
         "overlayfs", False),
    ],
)  # fmt: skip
def test_what_an_engine_says_of_its_storage(info: dict[str, Any], storage: str, may_limit: bool) -> None:
    features = EngineFeatures.of({"NCPU": 2, "MemTotal": 1, "Runtimes": {"runc": {}}, **info}, is_local=True)
    assert (features.storage, features.may_limit_disk, features.runtimes) == (storage, may_limit, frozenset({"runc"}))
