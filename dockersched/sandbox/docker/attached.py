"""The names of all volumes that a sandbox can have, so that they are found again and removed with it. Pure."""

from __future__ import annotations

from dockersched.sandbox.base import SandboxRunOptions

SECRETS = "-secrets"
WORKSPACE = "-workspace"
VALUES = "-values"


def endings(options: SandboxRunOptions) -> list[str]:
    """What the names of a sandbox's volumes have after the name of its container."""
    has = {SECRETS: bool(options.secrets), WORKSPACE: options.has_workspace, VALUES: options.values is not None}
    return [ending for ending, is_there in has.items() if is_there]
