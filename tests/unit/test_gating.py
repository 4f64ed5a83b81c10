"""The create body of a sandbox behind a gate."""

from typing import Any

import pytest

from dockersched.sandbox.docker.gating import gated

BODY: dict[str, Any] = {"Entrypoint": ["tool"], "Env": [], "HostConfig": {"Mounts": []}}


@pytest.mark.parametrize(
    ("environment", "of_image", "candidates"),
    [
        ([], "/a:/b", ["/a/tool", "/b/tool"]),
        (["PATH=/c"], "/a:/b", ["/c/tool"]),
        ([], "", ["tool"]),
        (["PATH="], "/a:/b", ["tool"]),
        ([], "/a::/b:", ["/a/tool", "tool", "/b/tool", "tool"]),
        ([], f"/a:/{'é' * 2048}:/{'x' * 4094}", ["/a/tool", f"/{'x' * 4094}/tool"]),
    ],
)
def test_the_command_is_looked_for_as_a_c_library_does(
    environment: list[str], of_image: str, candidates: list[str]
) -> None:
    entrypoint = gated({**BODY, "Env": environment}, volume="v", search_path=of_image)["Entrypoint"]
    assert entrypoint[1:] == [*candidates, "", "tool"]


def test_without_a_path_the_engines_own_is_searched() -> None:
    entrypoint = gated(BODY, volume="v", search_path=None)["Entrypoint"]
    assert "/usr/local/sbin/tool" in entrypoint
    assert "/bin/tool" in entrypoint
