"""Names of images, by the grammar that engines read them by."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EngineRefusedError, EpicError
from dockersched.model import ScheduledTask
from dockersched.sandbox.docker.engine_http import path_of

DIGEST = f"sha256:{'0a' * 32}"
EXAMPLES = "alpine:3.20 or registry.example:5000/team/app"
NO_NAME = f"cannot be the name of one: write it like {EXAMPLES}, the name in lower case"


@pytest.mark.parametrize(
    "image",
    [
        "UPPER",
        "UPPER/x",
        "a:b:c",
        "-x",
        "/abs",
        "a//b",
        "a/",
        "..",
        "../info?",
        "dockersched/../x",
        "./x",
        "a?b",
        "a#b",
        "a%2fb",
        "a:",
        "a:-b",
        "a___b",
        "a@sha256",
        "a@sha256:12",
        "http://a/b",
        "a\n",
        "a" * 601,
    ],
    ids=lambda image: ascii(image[:20]),
)
def test_refuses_what_is_no_name_of_an_image(image: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name of one"):
        ScheduledTask("t", [], "x", image=image)


@pytest.mark.parametrize(
    "image",
    [
        "alpine",
        "alpine:3.20",
        f"alpine:3.20@{DIGEST}",
        "dockersched/python",
        "localhost/a/b",
        "localhost:5000/a",
        "registry:5000/team/app_x__y---z.w:T-1.x_",
        "Registry.Example/app",
        "[::1]:5000/app",
        f"registry.example:5000/team/app@{DIGEST}",
        DIGEST,
        "0123456789ab",
        "0123456789ab" * 5 + "0123",
    ],
)
def test_takes_names_and_ids_of_images(image: str) -> None:
    assert ScheduledTask("t", [], "x", image=image).image == image


def test_says_so_in_a_file_and_for_each_instance_of_a_matrix() -> None:
    with pytest.raises(EpicError) as caught:
        load_text("epic: e\ntasks: {t: {run: x, image: 'py:${{ matrix.p }}', matrix: {p: [a, '-b']}}}\n", "e")

    assert [problem.message for problem in caught.value.problems] == [f"tasks.t.image: image 'py:-b' {NO_NAME}"]


@pytest.mark.parametrize("name", ["..", "../info", "a/../b", "a//b", "/a", "", "."])
def test_no_name_leads_to_another_thing_of_the_engine(name: str) -> None:
    with pytest.raises(EngineRefusedError, match="invalid name"):
        path_of("images", name, "json")
