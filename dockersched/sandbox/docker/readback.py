"""What the engine made of a create body: the limits in effect, and every difference from what was asked for. Pure.

Engines leave out what they or their kernel cannot do, with no more than a warning. So whatever a body says of a
sandbox's limits and privileges is compared with what the engine says the container has, before it is started.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from dockersched import units
from dockersched.model import QuotaConfig
from dockersched.sandbox.docker.translate import LOG_DRIVER, LOG_FILES_FULL, is_joined

_SHOWN_MAX = 200
_NO_NETWORK = "none"
_SIZE = re.compile(r"(?:^|,)size=(\d+)(?:,|$)")


def effective_quota(inspected: Mapping[str, Any]) -> QuotaConfig:
    """The limits that the engine says a container has; a limit that it does not enforce is None."""
    host = inspected["HostConfig"]
    memory = host.get("Memory") or None
    swap_is_bounded = host.get("MemorySwap") == memory
    ulimits = {limit["Name"]: limit["Hard"] for limit in host.get("Ulimits") or ()}
    quota = QuotaConfig(
        cpus=(host.get("NanoCpus") or 0) / 1e9 or None,
        memory=memory if swap_is_bounded else None,
        pids=_positive(host.get("PidsLimit")),
        disk=_disk(host),
        nofile=_positive(ulimits.get("nofile")),
        fsize=_positive(ulimits.get("fsize")),
        log=_log(host.get("LogConfig") or {}),
    )
    return _first_equal(quota)


def difference(body: Mapping[str, Any], inspected: Mapping[str, Any]) -> str:
    """What of a create body the engine did not apply, in one line; empty when all is as asked for."""
    found = {**inspected["HostConfig"], "User": inspected["Config"].get("User")}
    wanted = {**body["HostConfig"], "User": body["User"]}
    lines = [
        f"{key}: {_shown(value)} requested, {_shown(found.get(key))} in effect"
        for key, value in wanted.items()
        if not _is_applied(key, value, found.get(key))
    ]
    return "; ".join([*lines, *_unbounded_volumes(body, inspected)])


@lru_cache(maxsize=1_024)
def _first_equal(quota: QuotaConfig) -> QuotaConfig:
    """One object for all that are equal: every result keeps one to the end of the run."""
    return quota


def _positive(limit: int | None) -> int | None:
    return limit if limit is not None and limit > 0 else None


def _disk(host: Mapping[str, Any]) -> int | None:
    """What can be written altogether: to the places in memory, or to the root if it has a limit."""
    if not host.get("ReadonlyRootfs"):
        size = (host.get("StorageOpt") or {}).get("size")
        return units.parse_bytes(size) if size else None
    sizes = [_SIZE.search(options) for options in (host.get("Tmpfs") or {}).values()]
    if None in sizes:
        return None
    return sum(int(size[1]) for size in sizes if size) + int(host.get("ShmSize") or 0) or None


def _log(config: Mapping[str, Any]) -> int | None:
    size = (config.get("Config") or {}).get("max-size")
    return int(size) * LOG_FILES_FULL if size and config.get("Type") == LOG_DRIVER else None


def _is_applied(key: str, wanted: Any, found: Any) -> bool:
    if key in {"CapAdd", "CapDrop"}:
        return _capabilities(wanted) == _capabilities(found)
    if key == "NetworkMode" and (wanted == _NO_NETWORK or is_joined(wanted)):
        # A container that a process that died had made may be in another namespace than one would be in now.
        return found == _NO_NETWORK or is_joined(str(found))
    if key == "Ulimits":  # the daemon may have others as its own defaults
        return all(limit in (found or ()) for limit in wanted)
    return _covers(found, wanted)


def _covers(found: Any, wanted: Any) -> bool:
    """Whether a value is the wanted one; in a map, the engine may add keys of its own. Silence is no, nothing or 0."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return all(_covers(found.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(found, list):
        return len(wanted) == len(found) and all(map(_covers, found, wanted))
    return bool((found or None) == (wanted or None))


def _capabilities(names: Any) -> set[str]:
    return {str(name).upper().removeprefix("CAP_") for name in names or ()}


def _unbounded_volumes(body: Mapping[str, Any], inspected: Mapping[str, Any]) -> Iterator[str]:
    """Volumes that nobody asked for, where everything that can be written is to be bounded: those of an image."""
    host = body["HostConfig"]
    if not host["ReadonlyRootfs"] and "StorageOpt" not in host:
        return
    asked_for = {mount["Target"] for mount in host["Mounts"]}
    for mount in inspected.get("Mounts") or ():
        if mount["Destination"] not in asked_for:
            yield f"Mounts: nothing requested at {mount['Destination']}, a {mount['Type']} in effect"


def _shown(value: Any) -> str:
    if not value and value is not False:
        return "nothing"
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if len(text) <= _SHOWN_MAX else text[:_SHOWN_MAX] + "…"
