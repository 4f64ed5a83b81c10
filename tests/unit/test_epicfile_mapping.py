"""Epics that are data of a program."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from types import MappingProxyType

import pytest

from dockersched.epicfile import load_mapping, load_text
from dockersched.errors import EpicError

TASKS: dict[str, object] = {
    "lint": {"command": PurePath("/bin/true"), "args": ("-x", "2")},
    "test": {"run": "true", "depends_on": ["lint"], "timeout": "10s", "quota": {"cpus": 0.5, "pids": 16}},
}
TEXT = """
epic: demo
tasks:
  lint: {command: /bin/true, args: ["-x", "2"]}
  test: {run: "true", depends_on: [lint], timeout: 10s, quota: {cpus: 0.5, pids: 16}}
"""


def test_data_means_what_a_file_means() -> None:
    epic = load_mapping(MappingProxyType({"epic": "demo", "tasks": MappingProxyType(TASKS)}))
    from_text = load_text(TEXT, "demo.yaml")
    assert list(epic.dag) == list(from_text.dag)
    assert epic.options == from_text.options
    assert epic.source is None


def nested(levels: int) -> Mapping[str, object]:
    data: dict[str, object] = {}
    for _ in range(levels):
        data = {"x": data}
    return data


def shared(levels: int) -> object:
    data: object = "x"
    for _ in range(levels):
        data = [data, data]
    return data


class BytesPath:
    def __fspath__(self) -> bytes:
        return b"/x"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"epic": "e", "tasks": {"a": {"comand": "true"}}}, "tasks.a.comand: .*command"),
        ({"epic": "e", "tasks": {"a": {"command": "true", "depends_on": ["b"]}}}, "'b'"),
        ({"epic": "e", "tasks": {"a": {"command": "true", "args": {"x"}}}}, r"tasks\.a\.args: is a set"),
        ({"epic": "e", "tasks": {"a": {"command": "true", "args": [b"x"]}}}, r"tasks\.a\.args\[0\]: is a bytes"),
        ({"epic": "e", "tasks": {1: {"command": "true"}}}, "tasks: has the key 1, .* '1'"),
        ({"epic": "e", "tasks": {"a": {"command": "true", "quota": {"cpus": float("nan")}}}}, "cpus: is nan"),
        ({"epic": "e", "x-deep": nested(200)}, "more than 100 levels deep"),
        ({"epic": "e", "x-wide": shared(40)}, "^the epic: is larger than 8 MiB: split it"),
        ({"epic": "e", "x-long": ["x" * 2**20] * 9}, "^the epic: is larger than 8 MiB: split it"),
        ({"epic": "e", "max_parallel": 10**5000}, "max_parallel: is a number that is too large"),
        ({"epic": "e", "tasks": {"a": {"run": "x", "working_dir": BytesPath()}}}, "working_dir: is a BytesPath, which"),
    ],
)
def test_problems_name_the_place_and_no_file(data: Mapping[str, object], message: str) -> None:
    with pytest.raises(EpicError, match=message) as raised:
        load_mapping(data)
    assert [problem for problem in raised.value.problems if problem.file or problem.line] == []


def test_all_problems_come_at_once() -> None:
    with pytest.raises(EpicError) as raised:
        load_mapping({"epic": "e", "tasks": {"a": {"command": "true", "quota": {"cpus": 0}}, "b": {}}})
    assert len(raised.value.problems) == 2
