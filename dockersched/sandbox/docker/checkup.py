"""What is well with an engine and what is not, for running code that nobody has read: a verdict for each fact. Pure.

Formats: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/System (`SystemInfo`, `SystemVersion`)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from dockersched.sandbox.docker.advisories import is_of_the_project, older_than_fixes
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.units import format_bytes

LEAST_FREE_BYTES = 2**30
"""Images take some 250 MB, and each sandbox's output up to 20 MiB on the engine's disk and in the state directory."""
ENOUGH_FREE_BYTES = 5 * 2**30

_LIMITS = {"MemoryLimit": "memory", "SwapLimit": "swap", "CpuCfsQuota": "CPU", "PidsLimit": "processes"}
_KERNELS_OF_THEIR_OWN = ("runsc", "kata")


class Status(StrEnum):
    """A verdict: all is well, it could be better, or it must not stay so. Later ones are worse."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(Struct, frozen=True):
    """One line of a checkup.

    Args:
        name: what was looked at.
        status: the verdict.
        found: what is there.
        remedy: what to do about it; empty if all is well.
    """

    name: str
    status: Status
    found: str
    remedy: str = ""


class DiskQuotaTrial(Struct, frozen=True):
    """What came of making a container with a limited root file system.

    Args:
        refusal: the engine's reason to make none; empty if it made it.
        failure: what else went wrong, and how to put it right; empty if nothing did.
    """

    refusal: str = ""
    failure: str = ""


class EngineFacts(Struct, frozen=True):
    """What there is to judge.

    Args:
        address: of the engine, for a person.
        is_open: whether who reaches the address needs no key to it.
        version, info: the engine's answers.
        images: for each image of ours whether it is up to date; None if it is not there.
        disk_quota: what came of asking for a limited root file system; None if there was no image to ask with.
        free_bytes: on its disk; None if it is another machine's.
    """

    address: str
    is_open: bool
    version: Mapping[str, Any]
    info: Mapping[str, Any]
    images: Mapping[str, bool | None]
    disk_quota: DiskQuotaTrial | None
    free_bytes: int | None


def check_engine(facts: EngineFacts) -> Iterator[Check]:
    """Everything that is known of an engine that answers, each with its verdict."""
    info = facts.info
    options = {option.partition(",")[0].removeprefix("name=") for option in info.get("SecurityOptions") or ()}
    yield _engine(facts)
    for component in ("runc", "containerd"):
        yield _component(component, facts.version)
    yield _runtimes(info)
    yield _seccomp(options)
    yield _access_control(options)
    yield _userns_remap(options)
    yield _rootless(options)
    yield _cgroup(info)
    yield _limits(info)
    yield _live_restore(info)
    yield from _storage(facts)
    yield free_disk("free disk", str(info.get("DockerRootDir")), facts.free_bytes)
    yield _images(facts.images)
    yield _warnings(info)


def unreachable(reason: str, *, is_there: bool = False) -> Check:
    """The one verdict on an engine that does not answer, or not as it should.

    Args:
        reason: in words.
        is_there: whether there is one, which only does not let anybody in.
    """
    start = "let this user use it" if is_there else "start an engine"
    remedy = f"{start}, or name one that runs in DOCKER_HOST; `docker version` shows which one is reached"
    return Check("engine", Status.FAIL, reason, remedy)


def worst(checks: Iterable[Check]) -> Status:
    """The verdict on all of it."""
    ranks = list(Status)
    return max((check.status for check in checks), key=ranks.index, default=Status.OK)


def free_disk(name: str, folder: str, free_bytes: int | None) -> Check:
    """The verdict on the room in a folder."""
    if free_bytes is None:
        return Check(name, Status.WARN, f"{folder} cannot be seen from here", "look there: df -h")
    found = f"{format_bytes(free_bytes)} in {folder}"
    remedy = "make room: `dockersched gc` removes old runs, `docker system df` shows what the engine keeps"
    if free_bytes < LEAST_FREE_BYTES:
        return Check(name, Status.FAIL, f"only {found}", remedy)
    return Check(name, Status.WARN, f"only {found}", remedy) if free_bytes < ENOUGH_FREE_BYTES else _ok(name, found)


def _ok(name: str, found: str) -> Check:
    return Check(name, Status.OK, found)


def _engine(facts: EngineFacts) -> Check:
    found = f"{facts.version['Version']}, API {facts.version['ApiVersion']}, at {facts.address}"
    if not facts.is_open:
        return _ok("engine", found)
    remedy = "have the daemon ask for certificates (tlsverify), or reach it by ssh://"
    return Check("engine", Status.WARN, f"{found}: whoever reaches this port is root on the engine's host", remedy)


def _component(name: str, version: Mapping[str, Any]) -> Check:
    component = next((item for item in version.get("Components") or () if item.get("Name") == name), None)
    if component is None:
        remedy = f"look at `{name} --version` on the engine's host, and compare it with the advisories"
        return Check(name, Status.WARN, "the engine does not say which version it uses", remedy)
    number, commit = str(component.get("Version")), str((component.get("Details") or {}).get("GitCommit") or "")
    found = f"{number} ({commit})" if commit else number
    try:
        holes = list(older_than_fixes(name, number))
    except ValueError:
        return Check(name, Status.WARN, f"{found} is no version that can be compared", "look it up in the advisories")
    if not holes:
        return _ok(name, found)
    found = f"{found} is older than the fixes of {', '.join(hole.cve for hole in holes)}"
    upgrade = f"upgrade to {', '.join(holes[-1].fixed_in)} or newer"
    if not is_of_the_project(commit):
        remedy = f"see in your distribution's advisories whether this package has the fixes; else {upgrade}"
        return Check(name, Status.WARN, f"{found}; its distribution may have mended it", remedy)
    status = Status.FAIL if any(hole.lets_sandboxes_out for hole in holes) else Status.WARN
    return Check(name, status, found, upgrade)


def _runtimes(info: Mapping[str, Any]) -> Check:
    runtimes = info.get("Runtimes") or {}
    found = f"{', '.join(sorted(runtimes)) or 'none'}; {info.get('DefaultRuntime') or 'none'} by default"
    described = f"{sorted(runtimes)} {list(runtimes.values())}"
    if any(name in described for name in _KERNELS_OF_THEIR_OWN):
        return _ok("runtimes", found)
    remedy = "for code that may attack the kernel add gVisor's runsc to daemon.json, and use the key `runtime: runsc`"
    return Check("runtimes", Status.WARN, f"{found}: all of them share the host's kernel", remedy)


def _seccomp(options: set[str]) -> Check:
    if "seccomp" in options:
        return _ok("seccomp", "sandboxes get a profile of dockersched's own")
    remedy = "use a kernel with CONFIG_SECCOMP_FILTER and an engine that is built with seccomp"
    return Check("seccomp", Status.FAIL, "the engine cannot filter system calls: no sandbox will start", remedy)


def _access_control(options: set[str]) -> Check:
    found = [name for option, name in (("apparmor", "AppArmor"), ("selinux", "SELinux")) if option in options]
    if found:
        return _ok("apparmor", " and ".join(found))
    remedy = (
        "enable AppArmor or SELinux on the host (kernel parameter apparmor=1 security=apparmor), restart the engine"
    )
    return Check("apparmor", Status.WARN, "neither AppArmor nor SELinux: one wall less", remedy)


def _userns_remap(options: set[str]) -> Check:
    if "userns" in options:
        return _ok("userns-remap", "on: root in a sandbox is nobody on the host")
    if "rootless" in options:
        return _ok("userns-remap", "not needed: the engine is rootless")
    remedy = "set userns-remap in daemon.json, or run a rootless engine"
    return Check("userns-remap", Status.WARN, "off: root in a sandbox (profile: trusted) is the host's root", remedy)


def _rootless(options: set[str]) -> Check:
    return _ok("rootless", "yes" if "rootless" in options else "no: the daemon is root on its host")


def _cgroup(info: Mapping[str, Any]) -> Check:
    version, driver = str(info.get("CgroupVersion") or "1"), str(info.get("CgroupDriver") or "none")
    found = f"version {version}, driver {driver}"
    if driver == "none":
        remedy = "give the engine cgroup v2 with systemd, and delegate the controllers to its user"
        return Check("cgroup", Status.FAIL, f"{found}: no limit can be enforced", remedy)
    if version == "1":
        remedy = "boot the host with systemd.unified_cgroup_hierarchy=1"
        return Check("cgroup", Status.WARN, f"{found}: an out-of-memory kill may be reported as killed", remedy)
    return _ok("cgroup", found)


def _limits(info: Mapping[str, Any]) -> Check:
    lacking = [words for key, words in _LIMITS.items() if info.get(key) is False]
    if not lacking:
        return _ok("limits", f"of {', '.join(_LIMITS.values())}")
    remedy = "enable the controllers (kernel parameters cgroup_enable=memory swapaccount=1; delegate them if rootless)"
    found = f"the engine cannot limit {', '.join(lacking)}: no sandbox will start"
    return Check("limits", Status.FAIL, found, remedy)


def _live_restore(info: Mapping[str, Any]) -> Check:
    if info.get("LiveRestoreEnabled"):
        return _ok("live-restore", "on: sandboxes live on while the daemon restarts")
    remedy = 'set "live-restore": true in daemon.json and reload the daemon'
    return Check("live-restore", Status.WARN, "off: sandboxes end when the daemon restarts", remedy)


def _storage(facts: EngineFacts) -> Iterator[Check]:
    features = EngineFeatures.of(facts.info, is_local=True)
    if str(facts.info.get("Driver")) == "vfs":
        found = f"{features.storage}: each sandbox gets a copy of its whole image"
        yield Check("storage", Status.WARN, found, "use overlay2")
    else:
        yield _ok("storage", features.storage)
    remedy = "keep roots read-only (the default), or put the engine's data on xfs mounted with pquota, btrfs or zfs"
    trial = facts.disk_quota
    if trial is None:
        yield Check(
            "disk quota", Status.WARN, "not tried: the engine has no image of ours", "call `dockersched images`"
        )
    elif trial.failure:
        yield Check("disk quota", Status.WARN, f"the trial failed: {trial.failure}", "mend that, and call this again")
    elif trial.refusal or not features.may_limit_disk:
        found = f"no limit for writable root file systems: {trial.refusal or 'not used on this storage'}"
        yield Check("disk quota", Status.WARN, found, remedy)
    else:
        yield _ok("disk quota", "works for writable root file systems")


def _images(images: Mapping[str, bool | None]) -> Check:
    wrong = [
        f"{name} is {'missing' if is_current is None else 'out of date'}"
        for name, is_current in images.items()
        if not is_current
    ]
    if not wrong:
        return _ok("images", ", ".join(images))
    return Check("images", Status.WARN, ", ".join(wrong), "call `dockersched images`; their first use builds them too")


def _warnings(info: Mapping[str, Any]) -> Check:
    warnings = [str(line).removeprefix("WARNING: ") for line in info.get("Warnings") or ()]
    if not warnings:
        return _ok("warnings", "the engine has none")
    return Check("warnings", Status.WARN, "; ".join(warnings), "see `docker info` and the engine's documentation")
