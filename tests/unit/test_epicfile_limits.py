"""Epic files made to hurt: large, deep, full of faults, or anything at all."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dockersched.epicfile import load_text, reader
from dockersched.errors import EpicError
from tests.support.stopwatch import stopwatch


def refusal(text: str) -> list[str]:
    with pytest.raises(EpicError) as caught:
        load_text(text, "e.yaml")
    return [problem.message for problem in caught.value.problems]


def test_stops_reading_a_file_that_is_nothing_but_faults() -> None:
    lines = refusal("epic: [" + "*a, " * 100_000 + "]")

    assert len(lines) == reader.MAX_PROBLEMS + 1
    assert lines[-1].endswith("too many problems: reading stops here")


def test_refuses_a_yaml_bomb_at_once() -> None:
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10))

    with stopwatch() as watch:
        lines = refusal("a0: &a0 lol\n" + levels)

    assert watch.seconds < 0.1
    assert any("aliases (*a0) are refused" in line for line in lines)


def test_loads_ten_thousand_tasks_in_time() -> None:
    tasks = "".join(
        f"  task-{n}:\n    command: echo\n    args: [task, {n}]\n    depends_on: [task-{max(0, n - 7)}]\n"
        f"    quota: {{cpus: 0.5, memory: 64m}}\n"
        for n in range(1, 10_000)
    )
    text = f"epic: big\ntasks:\n  task-0: {{run: x}}\n{tasks}"

    with stopwatch() as watch:
        epic = load_text(text, "big.yaml")

    assert watch.seconds < 3
    assert len(epic.dag) == 10_000


YAMLISH = st.text(alphabet="epictasksrun: \n-{}[],&*!<#'\"\\|>?%@\t0123.~\u0085\ud800é", max_size=60)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.binary(), YAMLISH, YAMLISH.map(lambda text: f"epic: e\ntasks:\n  t: {text}")))
@example('{"epic": "\\ud800", "tasks": {"t": {"run": "x"}}}')
@example("[" * 5_000)
@example('{"epic":' * 5_000)
@example(
    "epic: e\ntasks: {t: {run: x, quota: {memory: 0x" + "f" * 5_000 + ", cpus: 1e999, pids: " + "9" * 5_000 + "}}}"
)
def test_anything_is_an_epic_or_an_epic_error(content: str | bytes) -> None:
    positions = [(1, 1)]
    try:
        load_text(content, "e.yaml")
    except EpicError as error:
        positions = [(problem.line, problem.column) for problem in error.problems]

    assert positions
    assert positions == sorted(positions)
    assert all(line >= 1 and column >= 1 for line, column in positions)
