"""With --locked, names that can come to stand for another image are refused."""

from pathlib import Path

import pytest

from dockersched import ScheduledTask
from dockersched.cli import main
from dockersched.sandbox.docker.pins import find_tags

DIGEST = f"sha256:{'0a' * 32}"


@pytest.mark.parametrize(
    "image",
    [None, "dockersched/base", "dockersched/python:latest", f"alpine@{DIGEST}", f"alpine:3.20@{DIGEST}", DIGEST,
     f"registry.example:5000/team/app@{DIGEST}"],
)  # fmt: skip
def test_what_can_only_be_one_image_passes(image: str | None) -> None:
    assert find_tags([ScheduledTask("t", [], "true", image=image)]) == []


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("alpine", "alpine"),
        ("alpine:3.20", "alpine"),
        ("registry.example:5000/app", "registry.example:5000/app"),
        ("registry.example:5000/app:1", "registry.example:5000/app"),
        ("other/dockersched/base", "other/dockersched/base"),
        ("alpine@sha256:" + "0" * 40, "alpine"),
        ("alpine@md5:" + "0" * 32, "alpine"),
    ],
)
def test_a_tag_is_refused(image: str, name: str) -> None:
    (problem,) = find_tags([ScheduledTask("t", [], "true", image=image)])
    assert problem.path == ("tasks", "t", "image")
    assert f"like {name}@sha256:…" in problem.message


def test_every_tag_is_told_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.yaml").write_text("epic: e\ndefaults:\n  image: alpine\ntasks:\n  a: {run: x}\n  b: {run: x, image: c:1}\n")
    assert main(["run", "e.yaml", "--locked"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("e.yaml:3:10: task 'a' runs in 'alpine'")
    assert second.startswith("e.yaml:6:22: task 'b' runs in 'c:1'")
