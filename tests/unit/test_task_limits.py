"""What the kernel or the engine would refuse, or read otherwise, is refused before a run."""

from __future__ import annotations

from typing import Any

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError
from dockersched.model import Input, QuotaConfig, ScheduledTask
from dockersched.model.arguments import MAX_BYTES, MAX_TEXT_BYTES
from dockersched.model.references import literal


def task(**fields: Any) -> ScheduledTask:
    return ScheduledTask(**{"id": "a", "depends_on": [], "command": "true", **fields})


def problems_of(fields: str) -> list[str]:
    with pytest.raises(EpicError) as caught:
        load_text(f"epic: e\ntasks: {{b: {{run: x, outputs: {{o: o}}}}, a: {{run: x, {fields}}}}}\n", "e")
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    "user",
    ["+0", "-0", "-1", ":", ":5", "5:", "1:2:3", "\u0660", "\u0665:5", "1" * 5_000, "a b", "r\u00f6t", "5\n"],
    ids=lambda user: ascii(user[:9]),
)
def test_refuses_a_user_that_engines_read_otherwise(user: str) -> None:
    with pytest.raises(ValueError, match="is neither a number nor a name"):
        task(user=user)


def test_refuses_such_a_user_in_a_file() -> None:
    message = "is neither a number nor a name: write it like 1000:1000 or nobody"

    assert problems_of("user: '+0'") == [f"tasks.a.user: user '+0' {message}"]


@pytest.mark.parametrize("user", ["0", "1000:1000", "nobody", "www-data:100", "_apt", "m$", "2147483647", "a.b:c"])
def test_takes_users_by_number_and_by_name(user: str) -> None:
    assert task(user=user).user == user


LONG = "x" * MAX_TEXT_BYTES


@pytest.mark.parametrize(
    "fields",
    [
        {"args": [LONG + "x"]},
        {"args": ["é" * (MAX_TEXT_BYTES // 2 + 1)]},
        {"command": LONG + "x"},
        {"environment": {"V": LONG[1:]}},
    ],
    ids=["argument", "bytes", "command", "variable"],
)
def test_refuses_a_text_that_no_program_can_be_given(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at most 131,071 at once: put it into a file of the workspace"):
        task(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"args": [LONG]},
        {"environment": {"V": LONG[2:]}},
        {"args": [literal("${{" + LONG[3:])]},
        {"args": [LONG[10:] + "${{ tasks.b.values.v }}"]},
    ],
    ids=["argument", "variable", "escape", "reference"],
)
def test_takes_the_longest_text_that_a_program_can_be_given(fields: dict[str, Any]) -> None:
    assert task(**fields).id == "a"


def test_refuses_more_arguments_than_a_program_can_be_given() -> None:
    most = MAX_BYTES // (1_000 + 9)

    assert len(task(args=["x" * 1_000] * (most - 1)).args) == most - 1
    with pytest.raises(ValueError, match="put what is long into a file of the workspace"):
        task(args=["x" * 1_000] * most, environment={"V": "x" * 1_000})


@pytest.mark.parametrize("fields", [f"environment: {{V: {LONG}x}}", f"working_dir: /{LONG}"], ids=["word", "text"])
def test_says_in_a_file_which_text_is_too_long(fields: str) -> None:
    key = "environment.V" if "V" in fields else "working_dir"

    told = "has 131,072 bytes, and a program is given at most 131,071 at once: put it into a file of the workspace"
    assert problems_of(fields) == [f"tasks.a.{key}: {told}"]


def test_refuses_two_inputs_at_one_place() -> None:
    message = "inputs put several outputs at '/workspace/o': give all but one of them another `at`"

    assert problems_of("inputs: [b.o, {from: c.o, at: /workspace//o/}]") == [f"tasks.a: {message}"]
    assert len(task(inputs=[Input("b", "o", "/workspace/o"), Input("c", "o", "/workspace/o/c")]).inputs) == 2


def test_refuses_more_processes_than_the_kernel_has_ids_for() -> None:
    assert QuotaConfig(pids=2**22).pids == 2**22
    assert problems_of("quota: {pids: 4194305}") == ["tasks.a.quota.pids: must be at most 4194304, not 4194305"]
    with pytest.raises(ValueError, match="pids must be at most 4194304"):
        QuotaConfig(pids=2**22 + 1)
