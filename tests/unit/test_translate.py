import json
from pathlib import Path

import pytest

from dockersched import QuotaConfig, SandboxRunOptions
from dockersched.sandbox.docker import seccomp, translate
from dockersched.sandbox.docker.defaults import SandboxDefaults

GOLDEN = Path(__file__).parent / "golden"


def body_of(options: SandboxRunOptions) -> dict[str, object]:
    defaults = SandboxDefaults()
    return translate.create_body(defaults.fill(options), image_id="sha256:1", log_bytes=defaults.log_bytes)


def test_default_sandbox_equals_the_golden_file() -> None:
    options = SandboxRunOptions("e.t", "true", epic_id="e", run_id="r", task_id="t")
    golden = (GOLDEN / "create_default.json").read_text()
    assert body_of(options) == json.loads(golden, object_hook=_with_seccomp)


def _with_seccomp(found: dict[str, object]) -> dict[str, object]:
    """Puts the profile, which has a golden file of its own, where the golden file of the body names it."""
    options = found.get("SecurityOpt")
    if isinstance(options, list):
        found["SecurityOpt"] = [
            seccomp.security_option() if option == "seccomp={seccomp.json}" else option for option in options
        ]
    return found


def test_the_seccomp_profile_equals_its_golden_file() -> None:
    profile = seccomp.security_option().removeprefix("seccomp=")
    assert json.loads(profile) == json.loads((GOLDEN / "seccomp.json").read_text())


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
    assert isinstance(host, dict)
    assert (body["Entrypoint"], body["Cmd"]) == (["python3"], ["-c", "print(1)"])
    assert body["Env"] == ["HOME=/tmp", "A=1"]
    assert (body["WorkingDir"], body["User"], host["NetworkMode"]) == ("/work", "1000", "bridge")
    assert (host["NanoCpus"], host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (
        500_000_000, 64 * 2**20, 64 * 2**20, 7,
    )  # fmt: skip


QUOTA = QuotaConfig(1, "512m", 128)
APPLIED = {"NanoCpus": 10**9, "Memory": 2**29, "MemorySwap": 2**29, "PidsLimit": 128}


def test_limits_in_effect_make_no_difference() -> None:
    effective = translate.effective_quota({"HostConfig": APPLIED})
    assert effective == QUOTA
    assert translate.quota_difference(QUOTA, effective) == ""


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"NanoCpus": 0}, "nano_cpus: 1000000000 requested, no limit in effect"),
        ({"Memory": 2**30, "MemorySwap": 2**30}, "memory: 536870912 requested, 1073741824 in effect"),
        ({"MemorySwap": -1}, "memory: 536870912 requested, no limit in effect"),
        ({"PidsLimit": None}, "pids: 128 requested, no limit in effect"),
        ({"PidsLimit": -1}, "pids: 128 requested, no limit in effect"),
    ],
)
def test_a_limit_that_is_not_in_effect_is_told(changed: dict[str, int], difference: str) -> None:
    effective = translate.effective_quota({"HostConfig": {**APPLIED, **changed}})
    assert translate.quota_difference(QUOTA, effective) == difference
