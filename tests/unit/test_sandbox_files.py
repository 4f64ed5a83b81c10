"""What is copied out of a sandbox, as far as it needs no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from dockersched.data.run_files import RunFiles
from dockersched.model import Output
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.sandbox_files import SandboxFiles
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason


class EmptyWorkspace:
    """An engine whose sandbox left nothing."""

    def find_ours(self, _name: str, _labels: object) -> dict[str, Any]:
        return {"Id": "1", "State": {"Running": True, "StartedAt": "now"}}

    def kind(self, _container: str, _path: str) -> None:
        return None


def test_nothing_stays_of_an_output_that_only_an_earlier_attempt_made(tmp_path: Path) -> None:
    files = RunFiles.of_run(tmp_path / "runs" / "run")
    outputs = {
        "optional": Output("a", required=False, when="always"),
        "required": Output("b", when="always"),
        "not_taken": Output("c"),
    }
    for name in outputs:
        files.output_dir("t", name).mkdir()
    options = SandboxRunOptions("e.t", "x", task_id="t", user="1:1", attempt=2, outputs=outputs)
    sandbox = SandboxFiles(options, "image", files, SecretPatterns(()))

    taken = sandbox.take(cast("EngineCalls", EmptyWorkspace()), succeeded=False)

    assert (taken.outputs, taken.reason) == ({}, Reason.OUTPUT_MISSING)
    assert list(files.output_dir("t", "any").parent.iterdir()) == []
