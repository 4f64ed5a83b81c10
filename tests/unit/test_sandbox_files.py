"""What is copied out of a sandbox, as far as it needs no engine."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from dockersched.data.run_files import RunFiles
from dockersched.model import Output
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.sandbox_files import SandboxFiles
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason
from tests.support.archives import Entry, archive


class EmptyWorkspace:
    """An engine whose sandbox left nothing."""

    def find_ours(self, _name: str, _labels: object) -> dict[str, Any]:
        return {"Id": "1", "State": {"Running": True, "StartedAt": "now"}}

    def kind(self, _container: str, _path: str) -> str | None:
        return None


class Written(EmptyWorkspace):
    """An engine whose sandbox wrote values."""

    def __init__(self, written: bytes) -> None:
        self._written = written

    def kind(self, _container: str, _path: str) -> str:
        return "file"

    @contextmanager
    def archive(self, _container: str, _path: str) -> Iterator[Iterator[bytes]]:
        yield iter([archive(Entry("output", content=self._written))])


SECRET = "tok-" + "S3CR3T\\'" * 12


@pytest.mark.parametrize(
    ("written", "values", "detail"),
    [
        (f"k=a{SECRET}b\n", {"k": "a***b"}, ""),
        (f"a=<{SECRET}\nk=v\n", {"a": "<***", "k": "v"}, ""),
        (f"{SECRET}=1\n", {}, "line 1: '***' is no key: "),
        (f"the token is {SECRET}\n", {}, "line 1: 'the token is ***' is no value: "),
        (f"k<<{SECRET}\n", {}, "line 1: the value does not end: a line '***' is missing"),
    ],
)
def test_no_part_of_a_secret_comes_out_with_the_values(
    tmp_path: Path, written: str, values: dict[str, str], detail: str
) -> None:
    options = SandboxRunOptions("e.t", "x", task_id="t", user="1:1", values=("k",))
    sandbox = SandboxFiles(options, "image", RunFiles.of_run(tmp_path), SecretPatterns([SECRET.encode()]))

    taken = sandbox.take(cast("EngineCalls", Written(written.encode())), succeeded=True)

    assert taken.values == values
    assert taken.detail.removeprefix("$DOCKERSCHED_OUTPUT: ").startswith(detail)
    assert (taken.reason is Reason.BAD_VALUES) == bool(detail)


class Left(Written):
    """An engine whose sandbox left a link of some name in an output."""

    @contextmanager
    def archive(self, _container: str, _path: str) -> Iterator[Iterator[bytes]]:
        name = f"out/{self._written.decode()}"
        yield iter([archive(Entry("out", tarfile.DIRTYPE), Entry(name, tarfile.SYMTYPE, link="x"))])


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (SECRET, "out/***"),
        (f"{'x' * 100}{SECRET}", f"out/{'x' * 100}***"),
        (f"{'x' * 120}{SECRET}", f"out/{'x' * 116}…"),
        (f"a\n{SECRET}", "out/a\\n***"),
    ],
)
def test_no_part_of_a_secret_comes_out_with_a_name_that_is_refused(tmp_path: Path, name: str, label: str) -> None:
    options = SandboxRunOptions("e.t", "x", task_id="t", user="1:1", outputs={"o": Output("out")})
    patterns = SecretPatterns([SECRET.encode()])
    sandbox = SandboxFiles(options, "image", RunFiles.of_run(tmp_path), patterns)

    taken = sandbox.take(cast("EngineCalls", Left(name.encode())), succeeded=True)

    assert patterns.redact(taken.detail) == f"output 'o': {label}: is a symbolic link"


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
