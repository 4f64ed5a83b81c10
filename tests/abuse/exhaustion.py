"""Attacks that take all there is of something."""

from __future__ import annotations

from dockersched import QuotaConfig, Reason
from tests.abuse.attack import Aftermath, Attack, Ends, shell
from tests.abuse.payload import python
from tests.abuse.siege import LOG_BYTES

_OUT_OF_MEMORY = Ends((Reason.OOM_KILLED, Reason.KILLED))
"""Engines miss the kernel's word now and then when all of a sandbox dies at once, more often under gVisor."""
_ENDED = (Reason.EXIT_CODE, Reason.KILLED, Reason.OOM_KILLED)
_KERNEL_ENDS = Ends(_ENDED)
"""Under gVisor it is the sandbox's own kernel that meets the limit: it ends, and the sandbox with it."""
_HALF_OF_MEMORY_MIB = 32
ROOMY = QuotaConfig(cpus=0.5, memory="256m", pids=32)
"""Memory enough that another limit comes first."""


def _taken(name: str, what: str, count: str, error: str, **fields: object) -> Attack:
    """An attack of `payloads/exhaust.py` that gets so many, and then this error."""
    ends = Ends(answers={what: count, "stopped by": error})
    return Attack(name, python("exhaust", name.replace("-", "_")), ends, **fields)  # type: ignore[arg-type]


def _log_is_bounded(seen: Aftermath) -> None:
    assert seen.result.log
    assert seen.result.log.truncated
    assert seen.log.rstrip().endswith(b"the end")
    assert seen.result.log.size_bytes <= 1.5 * LOG_BYTES
    assert seen.on_engine_bytes <= 1.5 * LOG_BYTES


def _newline_log_is_bounded(seen: Aftermath) -> None:
    assert seen.log.rstrip().endswith(b"the end")
    assert seen.on_engine_bytes <= 1.5 * LOG_BYTES


ATTACKS = (
    Attack(
        "fork-bomb",
        python("exhaust", "forks", "1.5"),
        Ends(answers={"processes": r"2\d|3[0-2]", "stopped by": "EAGAIN"}),
        under_gvisor=_KERNEL_ENDS,
        changes={"quota": ROOMY},
    ),
    _taken("threads", "threads", r"2\d|3[01]", "can't start new thread", under_gvisor=_KERNEL_ENDS),
    Attack("memory", python("exhaust", "memory"), _OUT_OF_MEMORY),
    _taken("shared-memory", "MiB", str(_HALF_OF_MEMORY_MIB), "ENOSPC"),
    Attack("all-places", python("exhaust", "all_places"), _OUT_OF_MEMORY),
    Attack("system-v-memory", python("exhaust", "system_v"), _OUT_OF_MEMORY),
    Attack("socket-buffers", python("exhaust", "sockets"), _OUT_OF_MEMORY),
    _taken("locked-memory", "locked MiB", r"\d|[1-5]\d", "ENOMEM"),
    _taken("one-file", "MiB", str(_HALF_OF_MEMORY_MIB), "ENOSPC"),
    _taken("many-files", "files", str(_HALF_OF_MEMORY_MIB * 16), "ENOSPC"),
    _taken("inodes", "inodes", r"6553\d", "ENOSPC", changes={"quota": ROOMY}, under_gvisor=_KERNEL_ENDS),
    Attack("huge-file", python("exhaust", "huge_file"), Ends(answers={"allocate 1 TiB": "EFBIG"})),
    Attack("root-file-system", python("exhaust", "root"), Ends(answers={"writable": "/dev/shm /home/sandbox /tmp"})),
    _taken("descriptors", "descriptors", r"\d{1,5}", "EMFILE"),
    _taken("pipes", "pipes", r"\d{1,5}", "EMFILE"),
    Attack("limits-raised", python("exhaust", "raise_limits"), Ends(answers={"tried": "all"})),
    Attack(
        "cpu-spin",
        python("exhaust", "spin", "2", "0.75"),
        Ends(answers={"cores": r"0\.[0-7]\d", "within the quota": "True"}),
        # gVisor counts the time for which a process was ready, so it cannot tell from inside.
        gvisor_answers={"cores": r"\d\.\d\d", "within the quota": "True|False"},
    ),
    Attack(
        "zombies",
        python("exhaust", "zombies", "200"),
        Ends(answers={"orphans": "200", "zombies left": "0"}),
        under_gvisor=Ends((None, *_ENDED), {"orphans": "200", "zombies left": "0"}),
    ),
    shell(
        "log-flood",
        "yes 0123456789012345678901234567890123456789 | head -c 8000000; echo the end",
        afterwards=_log_is_bounded,
    ),
    shell("newline-flood", "yes '' | head -c 60000; echo the end", afterwards=_newline_log_is_bounded),
    shell("endless-line", "head -c 8000000 /dev/zero; echo the end", afterwards=_log_is_bounded),
    Attack(
        "huge-arguments",
        python("exhaust", "arguments"),
        Ends(
            (None, Reason.OOM_KILLED),
            {"an argument of 1 MiB": "E2BIG|ENAMETOOLONG", "1 GiB of arguments": "E2BIG|ENAMETOOLONG"},
        ),
    ),
    Attack(
        "signals-ignored",
        python("signals", "ignore"),
        Ends(Reason.TIMED_OUT, {"ready": "yes"}),
        changes={"timeout_s": 2.0},
    ),
    shell(
        "sleep-for-ever",
        "echo ready: yes; while true; do sleep 3600; done",
        ends=Ends(Reason.TIMED_OUT, {"ready": "yes"}),
        changes={"timeout_s": 1.0},
    ),
)
