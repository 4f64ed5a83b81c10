"""References stand where they are filled in, and nowhere else."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError

HERE_ALONE = "is not filled in here, but in args and the values of environment alone, and that of a matrix in image too"
BUILD = "build: {run: x, outputs: {o: o}}"


def problems_of(text: str) -> list[str]:
    with pytest.raises(EpicError) as caught:
        load_text(text, "e.yaml")
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ("command: '${{ matrix.p }}'", "command"),
        ("run: x, working_dir: '/${{ matrix.p }}'", "working_dir"),
        ("run: x, workspace: 'pkg/${{ matrix.p }}'", "workspace.source"),
        ("run: x, workspace: {source: '${{ matrix.p }}'}", "workspace.source"),
        ("run: x, outputs: {o: 'dist/${{ matrix.p }}'}", "outputs.o.path"),
        ("run: x, inputs: ['build.${{ matrix.p }}.o']", "inputs[0].from"),
        ("run: x, user: '${{ matrix.p }}'", "user"),
    ],
)
def test_refuses_what_a_matrix_would_not_fill_in(fields: str, path: str) -> None:
    text = f"epic: e\ntasks: {{{BUILD}, t: {{matrix: {{p: [x, y]}}, {fields}}}}}\n"

    assert problems_of(text) == [f"tasks.t.{path}: ${{{{ matrix.p }}}} {HERE_ALONE}"]


@pytest.mark.parametrize("path", ["command", "image", "working_dir"])
def test_refuses_a_value_of_a_task_where_it_would_not_be_filled_in(path: str) -> None:
    text = f"epic: e\ntasks: {{t: {{run: x, {path}: '/${{{{ tasks.a.values.v }}}}'}}}}\n"

    assert f"tasks.t.{path}: ${{{{ tasks.a.values.v }}}} {HERE_ALONE}" in problems_of(text)


def test_the_defaults_have_no_matrix() -> None:
    text = "epic: e\ndefaults: {image: 'x:${{ matrix.p }}', environment: {P: '${{ matrix.p }}'}}\n"

    assert problems_of(text + "tasks: {t: {run: x, matrix: {p: [x]}}}\n") == [
        f"defaults.image: ${{{{ matrix.p }}}} {HERE_ALONE}",
        "defaults.environment.P: ${{ matrix.p }} has no matrix here: give the variable to each task whose matrix it is",
    ]


def test_what_is_no_reference_is_a_text_like_others() -> None:
    task = load_text("epic: e\ntasks: {t: {command: '${{ values.name }}/x'}}\n", "e")

    assert task.dag["t"].command == "${{ values.name }}/x"
