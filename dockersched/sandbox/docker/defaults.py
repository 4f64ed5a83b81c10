"""What a sandbox gets when the epic is silent."""

from __future__ import annotations

import dataclasses
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from dockersched.model import Network, Profile, PullPolicy, QuotaConfig
from dockersched.sandbox.base import SandboxRunOptions

ROOT = "0:0"
NO_CORE_DUMPS = {"core": 0}

_QUOTA = QuotaConfig(cpus=1.0, memory="512m", pids=128, nofile=4096, fsize="1g", log="16m")


class SandboxDefaults(Struct, frozen=True):
    """Defaults of the Docker runner.

    Args:
        image: to run in.
        quota: limits; all but `disk` are set, so that no sandbox is ever unbounded. Of the log, the last part is kept,
            and at most a quarter more; each entry (a line, or 16 KiB) takes some 30 bytes beside its own.
        timeout_s: until a sandbox is stopped.
        stop_grace_s: between SIGTERM and SIGKILL.
        network: `none` shows the sandbox only its loopback.
        user: uid and gid of the process of a locked sandbox; that of a trusted one is root.
        pull_policy: when to pull an image.
        runtime: the engine's OCI runtime; None is the engine's own default.
        profile: `locked` or `trusted`.
    """

    image: str = "dockersched/base"
    quota: QuotaConfig = _QUOTA
    timeout_s: float = 600.0
    stop_grace_s: float = 5.0
    network: Network = "none"
    user: str = "65534:65534"
    pull_policy: PullPolicy = "missing"
    runtime: str | None = None
    profile: Profile = "locked"

    def fill_quota(self, quota: QuotaConfig | None) -> QuotaConfig:
        """The quota with nothing left out, but `disk`."""
        return _filled(quota, self.quota)

    def fill(self, options: SandboxRunOptions) -> SandboxRunOptions:
        """The options with nothing left out."""
        profile = options.profile or self.profile
        quota = self.fill_quota(options.quota)
        if options.ulimits:
            quota = dataclasses.replace(
                quota,
                nofile=options.ulimits.get("nofile", quota.nofile),
                fsize=options.ulimits.get("fsize", quota.fsize),
            )
        return replace(
            options,
            image=options.image or self.image,
            quota=quota,
            timeout_s=options.timeout_s or self.timeout_s,
            stop_grace_s=options.stop_grace_s or self.stop_grace_s,
            network=options.network or self.network,
            user=options.user or (self.user if profile == "locked" else ROOT),
            pull_policy=options.pull_policy or self.pull_policy,
            runtime=options.runtime or self.runtime,
            profile=profile,
            read_only=profile == "locked" if options.read_only is None else options.read_only,
            ulimits=NO_CORE_DUMPS | _of_files(quota) | dict(options.ulimits),
        )


@lru_cache(maxsize=256)
def _filled(quota: QuotaConfig | None, default: QuotaConfig) -> QuotaConfig:
    """Most tasks of an epic have the same quota, which is asked for many times."""
    return (quota or QuotaConfig()).or_default(default).or_default(_QUOTA)


def _of_files(quota: QuotaConfig) -> dict[str, int]:
    return {"nofile": quota.nofile or 0, "fsize": quota.fsize_bytes or 0}
