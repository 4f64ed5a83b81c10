"""What used to be taken in silence, and never did what it says; and what was told without its place."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError
from dockersched.model import Input, RetryPolicy, Workspace

NO_VALUE = "has no value: give it one, or remove the key"
KILLED = "137 is never told as an exit code: name killed or oom_killed instead"
NEEDS_SOURCE = "needs source, the folder: write source: . beside it"
UNUSED = "is of use after oom_killed alone: add that to on, or remove the key"
TWICE = "lists a number twice, in two ways: write ids in quotes"


def problems_of(task: str, top: str = "") -> list[str]:
    with pytest.raises(EpicError) as caught:
        load_text(f"epic: e\n{top}\ntasks:\n  b: {{run: x, outputs: {{o: o}}}}\n  a: {{run: x, {task}}}\n", "e")
    return [line.removeprefix("e:") for line in str(caught.value).splitlines()]


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        ("workspace: {exclude: [docs/]}", f"5:27: tasks.a.workspace.exclude: {NEEDS_SOURCE}"),
        ("workspace: {include: [docs/]}", f"5:27: tasks.a.workspace.include: {NEEDS_SOURCE}"),
        ("workspace: {git: true}", f"5:27: tasks.a.workspace.git: {NEEDS_SOURCE}"),
        ("workspace: {gitignore: false}", f"5:27: tasks.a.workspace.gitignore: {NEEDS_SOURCE}"),
        ("retry: {on: [exit_code: 137]}", f"5:39: tasks.a.retry.on[0].exit_code: {KILLED}"),
        ("retry: {on: [exit_code: [75, 137]]}", f"5:44: tasks.a.retry.on[0].exit_code[1]: {KILLED}"),
        ("depends_on: [b], when: {task: , is: failed}", f"5:39: tasks.a.when.task: {NO_VALUE}"),
        ("depends_on: [b], when: {task: b, is: }", f"5:48: tasks.a.when.is: {NO_VALUE}"),
        ("when: {value: tasks.b.values.x, equals: }", f"5:47: tasks.a.when.equals: {NO_VALUE}"),
        (
            "inputs: [{from: b.o, at: /./workspace/x}]",
            "5:40: tasks.a.inputs[0].at: must be /workspace or below it, not '/./workspace/x'",
        ),
        ("depends_on: [1, 1.0]", f"5:27: tasks.a.depends_on: {TWICE}"),
        (
            "secrets: {K: {file: 123456}}",
            "5:35: tasks.a.secrets.K.file: is not a text: write the path in quotes; a secret itself does not belong "
            "into the file",
        ),
    ],
)
def test_says_what_would_not_do_what_it_says(task: str, problem: str) -> None:
    assert problem in problems_of(task)


def test_says_that_no_task_uses_what_the_defaults_say_of_memory() -> None:
    defaults = "defaults: {retry: {memory: {factor: 2}}}"

    assert problems_of("retry: {on: [infra]}", defaults) == [f"2:20: defaults.retry.memory: {UNUSED}"]
    assert len(load_text(f"epic: e\n{defaults}\ntasks: {{a: {{run: x, retry: {{on: [oom_killed]}}}}}}", "e").dag) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workspace(exclude=["x"]),
        lambda: Workspace(git=True),
        lambda: RetryPolicy(exit_codes=[137]),
        lambda: Input("b", "o", "/tmp/../workspace/x"),
    ],
)
def test_the_model_refuses_it_too(make: object) -> None:
    with pytest.raises(ValueError, match=r"source|137|workspace"):
        make()  # type: ignore[operator]
