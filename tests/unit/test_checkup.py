"""What a checkup makes of engines: answers that were recorded, and the same with one thing changed."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from dockersched.sandbox.docker.checkup import (
    ENOUGH_FREE_BYTES,
    LEAST_FREE_BYTES,
    Check,
    DiskQuotaTrial,
    EngineFacts,
    Status,
    check_engine,
    free_disk,
    unreachable,
    worst,
)

RECORDED = Path(__file__).parent / "recorded"
ADDRESS = "unix:///var/run/docker.sock (default socket)"
REFUSAL = "--storage-opt is supported only for overlay over xfs with 'pquota' mount option"
OK, WARN, FAIL = Status
FIT = {"engine": OK, "seccomp": OK, "rootless": OK, "limits": OK, "storage": OK, "free disk": OK, "images": OK}


def facts(recording: str, **changes: Any) -> EngineFacts:
    """The facts of an engine; names of `EngineFacts` are replaced, other names are keys of its info."""
    answers = json.loads((RECORDED / f"{recording}.json").read_text("utf-8"))
    fields: dict[str, Any] = {
        "address": ADDRESS,
        "is_open": False,
        "version": answers["version"],
        "info": answers["info"],
        "images": {"dockersched/base": True, "dockersched/python": True},
        "disk_quota": DiskQuotaTrial(refusal=REFUSAL),
        "free_bytes": ENOUGH_FREE_BYTES,
    }
    for name, value in changes.items():
        (fields if name in fields else fields["info"])[name] = value
    return EngineFacts(**fields)


def found(**changes: Any) -> dict[str, Check]:
    return {check.name: check for check in check_engine(facts("engine_20_10", **changes))}


def with_component(name: str, version: str, commit: str) -> dict[str, Any]:
    answers = json.loads((RECORDED / "engine_20_10.json").read_text("utf-8"))
    document: dict[str, Any] = deepcopy(answers["version"])
    for component in document["Components"]:
        if component["Name"] == name:
            component.update(Version=version, Details={"GitCommit": commit})
    return document


def test_an_engine_of_debian_12() -> None:
    checks = list(check_engine(facts("engine_20_10")))
    assert {check.name: check.status for check in checks} == {
        **FIT, "runc": WARN, "containerd": WARN, "runtimes": WARN, "apparmor": WARN, "userns-remap": WARN,
        "cgroup": WARN, "live-restore": WARN, "disk quota": WARN, "warnings": OK,
    }  # fmt: skip
    assert checks[0].found == f"20.10.24+dfsg1, API 1.41, at {ADDRESS}"


def test_an_engine_of_debian_13_with_gvisor_and_live_restore() -> None:
    checks = {check.name: check for check in check_engine(facts("engine_26_1"))}
    assert {name: check.status for name, check in checks.items()} == {
        **FIT, "runc": WARN, "containerd": WARN, "runtimes": OK, "apparmor": WARN, "userns-remap": WARN,
        "cgroup": WARN, "live-restore": OK, "disk quota": WARN, "warnings": OK,
    }  # fmt: skip
    assert "runsc" in checks["runtimes"].found


def test_all_that_is_not_well_has_a_remedy() -> None:
    worse = {"images": {"dockersched/base": None}, "is_open": True, "free_bytes": 0, "SecurityOptions": [], "version": {
        **facts("engine_20_10").version, "Components": []}, "CgroupDriver": "none", "PidsLimit": False, "Driver": "vfs",
        "Warnings": ["WARNING: No swap limit support"]}  # fmt: skip
    checks = found(**worse)
    assert {name for name, check in checks.items() if check.status is OK} == {"rootless"}
    for check in (*checks.values(), *found().values()):
        assert bool(check.remedy) == (check.status is not OK), check


@pytest.mark.parametrize(
    ("name", "changes", "status", "words"),
    [
        ("engine", {"is_open": True}, WARN, "whoever reaches this port is root"),
        ("runtimes", {"Runtimes": {"sandboxed": {"path": "/opt/kata/bin/containerd-shim-kata-v2"}}}, OK, "sandboxed"),
        ("runtimes", {"Runtimes": None}, WARN, "none; runc by default"),
        ("seccomp", {"SecurityOptions": ["name=apparmor"]}, FAIL, "no sandbox will start"),
        ("apparmor", {"SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin"]}, OK, "AppArmor"),
        ("apparmor", {"SecurityOptions": ["name=selinux"]}, OK, "SELinux"),
        ("userns-remap", {"SecurityOptions": ["name=userns"]}, OK, "on"),
        ("userns-remap", {"SecurityOptions": ["name=rootless"]}, OK, "rootless"),
        ("rootless", {"SecurityOptions": ["name=rootless"]}, OK, "yes"),
        ("cgroup", {"CgroupVersion": "2", "CgroupDriver": "systemd"}, OK, "version 2, driver systemd"),
        ("cgroup", {"CgroupVersion": "2", "CgroupDriver": "none"}, FAIL, "no limit can be enforced"),
        ("limits", {"SwapLimit": False, "PidsLimit": False}, FAIL, "cannot limit swap, processes"),
        ("live-restore", {"LiveRestoreEnabled": True}, OK, "on"),
        ("storage", {"Driver": "vfs"}, WARN, "a copy of its whole image"),
        ("disk quota", {"disk_quota": None}, WARN, "not tried"),
        ("disk quota", {"disk_quota": DiskQuotaTrial(failure="full")}, WARN, "the trial failed: full"),
        ("disk quota", {"disk_quota": DiskQuotaTrial()}, WARN, "not used on this storage"),
        ("disk quota", {"disk_quota": DiskQuotaTrial(), "Driver": "btrfs"}, OK, "works"),
        ("disk quota", {"DriverStatus": [["Backing Filesystem", "xfs"]]}, WARN, REFUSAL),
        ("free disk", {"free_bytes": None}, WARN, "/var/lib/docker cannot be seen from here"),
        ("images", {"images": {"a": True, "b": False, "c": None}}, WARN, "b is out of date, c is missing"),
        ("warnings", {"Warnings": ["WARNING: No swap limit support", "x"]}, WARN, "No swap limit support; x"),
    ],
)
def test_a_fact_and_its_verdict(name: str, changes: dict[str, Any], status: Status, words: str) -> None:
    check = found(**changes)[name]
    assert check.status is status
    assert words in check.found


@pytest.mark.parametrize(
    ("name", "version", "commit", "status", "words"),
    [
        ("runc", "1.3.3", "v1.3.3-0-gd842d771", OK, "1.3.3 (v1.3.3-0-gd842d771)"),
        ("runc", "1.1.11", "v1.1.11-0-g4bccb38c", FAIL, "older than the fixes of CVE-2024-21626, CVE-2025-31133"),
        ("runc", "1.1.12-0ubuntu3.1", "", WARN, "its distribution may have mended it"),
        ("runc", "crun 1.8", "", WARN, "no version that can be compared"),
        ("containerd", "1.7.24", "88bf19b2105c8b17560993bee28a01ddc2f97182", WARN, "older than the fixes of CVE-2024-"),
        ("containerd", "v2.1.5", "fcd43222d6b07379a4be9786bda52438f0dd16a1", OK, "v2.1.5"),
    ],
)
def test_a_program_of_the_engine_and_its_verdict(
    name: str, version: str, commit: str, status: Status, words: str
) -> None:
    check = found(version=with_component(name, version, commit))[name]
    assert check.status is status
    assert words in check.found


@pytest.mark.parametrize(
    ("free_bytes", "status"),
    [
        (LEAST_FREE_BYTES - 1, FAIL),
        (LEAST_FREE_BYTES, WARN),
        (ENOUGH_FREE_BYTES - 1, WARN),
        (ENOUGH_FREE_BYTES, OK),
    ],
)
def test_room_on_a_disk(free_bytes: int, status: Status) -> None:
    assert free_disk("free disk", "/", free_bytes).status is status


def test_the_worst_of_all_counts() -> None:
    ok, warn = Check("a", OK, ""), Check("b", WARN, "", "")
    assert [worst([]), worst([ok]), worst([warn, ok]), worst([ok, unreachable("no answer"), warn])] == [
        OK, OK, WARN, FAIL,
    ]  # fmt: skip
