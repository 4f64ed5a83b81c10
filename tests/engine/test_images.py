from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dockersched.cli import images as verb
from dockersched.errors import ImageBuildError
from dockersched.sandbox.docker import image_base, image_build, image_sources
from dockersched.sandbox.docker.connection import make_client, resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
from dockersched.sandbox.docker.translate import LABEL_RUN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker.api import APIClient
    from pytest_mock import MockerFixture

pytestmark = pytest.mark.engine
SOURCES = Path(__file__).parents[2] / "sandbox-images"


@pytest.fixture
def client() -> Iterator[APIClient]:
    endpoint = resolve_endpoint()
    made = make_client(endpoint, version=fetch_version(endpoint, timeout=10).api, timeout=60)
    yield made
    made.close()


@pytest.fixture
def scratch_image(client: APIClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """An image folder of its own, a copy of `base`, whose image is removed again."""
    folder = tmp_path / "scratch"
    shutil.copytree(SOURCES / "base", folder)
    monkeypatch.setattr(image_sources, "_FOLDERS", (tmp_path,))
    yield "scratch", folder
    for image in client.images("dockersched/scratch") + client.images("dockersched-rootfs/scratch"):
        client.remove_image(image["Id"], force=True)


def run(client: APIClient, image: str, *command: str) -> tuple[int, str]:
    """Exit code and output of a command in a container."""
    host_config = client.create_host_config(network_mode="none", tmpfs={"/home/sandbox": "uid=65534,exec"})
    container: str = client.create_container(image, list(command), host_config=host_config)["Id"]
    try:
        client.start(container)
        code = client.wait(container)["StatusCode"]
        return code, client.logs(container).decode()
    finally:
        client.remove_container(container, force=True)


def present(client: APIClient, *image_ids: str) -> set[str]:
    """Those of the images that the engine has."""
    return {image["Id"] for image in client.images(all=True)}.intersection(image_ids)


def test_builds_once_and_again_only_when_the_content_changes(
    client: APIClient, scratch_image: tuple[str, Path]
) -> None:
    name, folder = scratch_image
    said: list[str] = []

    first = image_build.ensure(client, name, said.append)
    assert said[-1].startswith("building dockersched/scratch")
    assert image_build.ensure(client, f"dockersched/{name}:latest", pytest.fail) == first

    with (folder / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("ENV CHANGED=1\n")
    sandbox = client.create_container("dockersched/base", ["true"], labels={LABEL_RUN: "r"})["Id"]
    try:
        second = image_build.ensure(client, name, said.append)
        assert present(client, first, second) == {first, second}  # the run may have pinned the first
    finally:
        client.remove_container(sandbox)

    with (folder / "Dockerfile").open("a") as dockerfile:
        dockerfile.write("ENV CHANGED=2\n")
    third = image_build.ensure(client, name, said.append)
    assert present(client, first, second, third) == {third}


def test_base_runs_as_nobody_in_a_writable_home(client: APIClient) -> None:
    image_build.ensure(client, "base", lambda _: None)

    code, output = run(client, "dockersched/base", "sh", "-euc", "id -u; id -g; echo $HOME; touch ~/x; touch /tmp/x")

    assert (code, output.split()) == (0, ["65534", "65534", "/home/sandbox"])
    assert client.inspect_image("dockersched/base")["Size"] < 8_000_000


def test_python_has_its_tools(client: APIClient) -> None:
    image_build.ensure(client, "python", lambda _: None)
    script = "id -u; python3 -m pip --version; git --version; python3 -m venv ~/venv; ~/venv/bin/pip --version"

    code, output = run(client, "dockersched/python", "sh", "-euc", script)

    assert code == 0, output
    assert [line.split()[0] for line in output.splitlines()] == ["65534", "pip", "git", "pip"]


def test_the_chosen_base_is_used_and_part_of_the_content(
    client: APIClient, scratch_image: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = scratch_image
    image_build.ensure(client, "scratch", lambda _: None)
    rootfs = client.images("dockersched-rootfs/scratch")[0]["RepoTags"][0]
    before = image_sources.content_digest(name)
    said: list[str] = []

    monkeypatch.setenv("DOCKERSCHED_BASE_IMAGE_SCRATCH", rootfs)
    image_build.ensure(client, name, said.append)

    assert image_sources.content_digest(name) != before
    assert said == [f"building dockersched/scratch:latest on {rootfs}"]


def test_the_chosen_base_may_run_as_another_user(
    client: APIClient, scratch_image: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, _ = scratch_image
    client.tag(image_build.ensure(client, name, lambda _: None), "dockersched-rootfs/scratch", "nobody")
    monkeypatch.setenv("DOCKERSCHED_BASE_IMAGE_SCRATCH", "dockersched-rootfs/scratch:nobody")

    image_build.ensure(client, name, lambda _: None)

    assert run(client, "dockersched/scratch", "id", "-u") == (0, "65534\n")


def test_a_failing_build_shows_its_output(client: APIClient, scratch_image: tuple[str, Path]) -> None:
    name, folder = scratch_image
    failing = "ARG BASE_IMAGE=none\nFROM ${BASE_IMAGE}\nRUN echo why it failed && false\n"
    (folder / "Dockerfile").write_text(failing, "utf-8")

    with pytest.raises(ImageBuildError, match=r"dockersched/scratch:latest could not be built(.|\n)*why it failed"):
        image_build.ensure(client, name, lambda _: None)


def test_a_failing_root_file_system_shows_its_output(
    client: APIClient, scratch_image: tuple[str, Path], mocker: MockerFixture
) -> None:
    name, folder = scratch_image
    (folder / "rootfs.sh").write_text("echo no space >&2; exit 1\n", "utf-8")
    mocker.patch.object(image_base, "_can_pull", return_value=False)

    with pytest.raises(ImageBuildError, match=r"rootfs\.sh failed:\nno space"):
        image_build.ensure(client, name, lambda _: None)


def test_a_base_that_cannot_be_pulled_is_named(
    client: APIClient, scratch_image: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKERSCHED_BASE_IMAGE_SCRATCH", "localhost:1/none")

    with pytest.raises(ImageBuildError, match="localhost:1/none cannot be pulled"):
        image_build.ensure(client, scratch_image[0], lambda _: None)


@pytest.mark.parametrize(
    ("image", "message"),
    [("pyton", "no sandbox image dockersched/pyton"), ("dockersched/base:v2", "no tag but latest")],
)
def test_names_an_image_that_does_not_exist(image: str, message: str, client: APIClient) -> None:
    with pytest.raises(ImageBuildError, match=message):
        image_build.ensure(client, image, lambda _: None)


@pytest.mark.parametrize(
    ("image", "ours"),
    [
        ("dockersched/base", True),
        ("dockersched/python:latest", True),
        ("debian:bookworm", False),
        ("registry:5000/dockersched/base", False),
        ("dockersched/base/more", False),
    ],
)
def test_knows_its_own_images(image: str, ours: bool) -> None:
    assert image_sources.is_ours(image) is ours


def test_the_verb_prints_a_line_for_each_image(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    verb.configure(parser)

    assert verb.execute(parser.parse_args([])) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [f"dockersched/{name}" for name in image_sources.known_images()]
    for name in ("base", "dockersched/base"):
        assert verb.execute(parser.parse_args([name])) == 0
        assert capsys.readouterr().out.startswith("dockersched/base  ")
    assert verb.execute(parser.parse_args(["none"])) == 1


def test_the_verb_tells_an_unreachable_engine_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")

    assert verb.execute(argparse.Namespace(names=[])) == 3
