"""What a sandbox gets when the epic is silent."""

from dataclasses import dataclass, replace

from dockersched.model import Network, PullPolicy, QuotaConfig
from dockersched.sandbox.base import SandboxRunOptions

_QUOTA = QuotaConfig(cpus=1.0, memory="512m", pids=128)


@dataclass(frozen=True, slots=True)
class SandboxDefaults:
    """Defaults of the Docker runner.

    Args:
        image: to run in.
        quota: limits; all three are set, so that no sandbox is ever unbounded.
        timeout_s: until a sandbox is stopped.
        stop_grace_s: between SIGTERM and SIGKILL.
        network: `none` shows the sandbox only its loopback.
        user: uid and gid of the process.
        pull_policy: when to pull an image.
        runtime: the engine's OCI runtime; None is the engine's own default.
        log_bytes: size of the log files that the engine keeps of a sandbox's output, the last written, and at most
            a quarter more; each entry (a line, or 16 KiB) takes some 30 bytes beside its own.
    """

    image: str = "dockersched/base"
    quota: QuotaConfig = _QUOTA
    timeout_s: float = 600.0
    stop_grace_s: float = 5.0
    network: Network = "none"
    user: str = "65534:65534"
    pull_policy: PullPolicy = "missing"
    runtime: str | None = None
    log_bytes: int = 16 * 2**20

    def fill(self, options: SandboxRunOptions) -> SandboxRunOptions:
        """The options with nothing left out."""
        return replace(
            options,
            image=options.image or self.image,
            quota=(options.quota or self.quota).or_default(self.quota),
            timeout_s=options.timeout_s or self.timeout_s,
            stop_grace_s=options.stop_grace_s or self.stop_grace_s,
            network=options.network or self.network,
            user=options.user or self.user,
            pull_policy=options.pull_policy or self.pull_policy,
            runtime=options.runtime or self.runtime,
        )
