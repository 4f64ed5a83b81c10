"""Ids, units, and the checks of the model."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import EpicExecutionOptions, QuotaConfig, ScheduledTask, ids, units

texts = st.text(st.characters(), max_size=12)


def test_sandbox_ids_keep_the_dot_apart() -> None:
    assert ids.sandbox_id("a.b", "c") != ids.sandbox_id("a", "b.c")
    assert ids.sandbox_id("epic", "T1") == "epic.T1"


@given(texts, texts, texts, texts)
def test_sandbox_ids_never_collide(epic: str, task: str, other_epic: str, other_task: str) -> None:
    same = (epic, task) == (other_epic, other_task)
    assert (ids.sandbox_id(epic, task) == ids.sandbox_id(other_epic, other_task)) == same


@given(st.text("ab._-é/", max_size=6), st.text("ab._-é/", max_size=6))
def test_file_stems_never_collide(one: str, other: str) -> None:
    assert (ids.file_stem(one) == ids.file_stem(other)) == (one == other)


@given(texts)
def test_file_stems_stay_in_their_folder(task_id: str) -> None:
    stem = ids.file_stem(task_id)
    assert "/" not in stem
    assert "\0" not in stem
    assert stem not in {"", ".", ".."}
    assert len(stem.encode()) < 200


@given(texts, texts, texts, st.integers(1, 9))
def test_container_names_are_legal_and_repeatable(epic: str, run: str, task: str, attempt: int) -> None:
    name = ids.container_name(epic, run, task, attempt)
    assert name == ids.container_name(epic, run, task, attempt)
    assert name != ids.container_name(epic, run, task, attempt + 1)
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")
    assert name.startswith("dockersched-")


def test_run_ids_differ() -> None:
    assert ids.new_run_id() != ids.new_run_id()


@pytest.mark.parametrize(
    ("text", "size"),
    [("512m", 512 * 2**20), ("2g", 2**31), ("1.5GiB", 3 * 2**29), ("64KB", 65_536), ("17", 17), (17, 17), ("0", 0)],
)
def test_parse_bytes(text: str | int, size: int) -> None:
    assert units.parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "m", "512q", "-1m", "1e3", "0x10", "1 2", "٣m"])
def test_parse_bytes_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        units.parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("1h30m", 5400), ("500ms", 0.5), ("1d", 86_400), ("0.5", 0.5), (3, 3), ("1h 5s", 3605), ("2M", 120)],
)
def test_parse_duration(text: str | float, seconds: float) -> None:
    assert units.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "5x", "30m1h", "inf", "nan", "-5s", "five"])
def test_parse_duration_refuses(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        units.parse_duration(text)


def test_formats_for_people() -> None:
    assert [units.format_bytes(size) for size in (17, 65_536, 3 * 2**29)] == ["17 B", "64 KiB", "1.5 GiB"]
    assert [units.format_duration(seconds) for seconds in (0.421, 12.34, 185, 7_620)] == [
        "0.42s", "12.3s", "3m05s", "2h07m",
    ]  # fmt: skip


def test_quota_takes_text_and_gives_the_engines_numbers() -> None:
    quota = QuotaConfig(cpus=0.5, memory="64m", pids=10)
    assert (quota.nano_cpus, quota.memory_bytes, quota.pids) == (500_000_000, 64 * 2**20, 10)
    assert QuotaConfig(pids=3).or_default(quota) == QuotaConfig(0.5, "64m", 3)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"cpus": 0}, "cpus must be"),
        ({"cpus": float("nan")}, "cpus must be"),
        ({"cpus": True}, "cpus must be"),
        ({"memory": "5m"}, "memory must be at least 6m"),
        ({"memory": "lots"}, "is not a size"),
        ({"pids": 0}, "pids must be"),
        ({"pids": 1.5}, "pids must be"),
    ],
)
def test_quota_refuses_what_no_engine_can_enforce(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        QuotaConfig(**limits)


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"command": ""},
        {"command": "a\0b"},
        {"depends_on": "lint"},
        {"depends_on": [1]},
        {"args": "-c"},
        {"args": ["a\0"]},
        {"environment": {"A=B": "1"}},
        {"environment": {"A": 1}},
        {"working_dir": "relative"},
        {"working_dir": 5},
        {"quota": {"cpus": 1}},
        {"network": "host"},
        {"pull_policy": "sometimes"},
        {"timeout_s": 0},
        {"timeout_s": float("inf")},
        {"stop_grace_s": -1},
        {"image": ""},
        {"user": ""},
    ],
)
def test_a_task_refuses_what_cannot_be_right(fields: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        ScheduledTask(**{"id": "a", "depends_on": [], "command": "true", **fields})


def test_a_task_freezes_what_it_is_given() -> None:
    depends_on, environment = ["a"], {"A": "1"}
    task = ScheduledTask("b", depends_on, "true", environment=environment)
    depends_on.append("c")
    environment["B"] = "2"
    assert (task.depends_on, task.environment) == (("a",), {"A": "1"})
    assert hash(task) == hash(ScheduledTask("b", ["a"], "true", environment={"A": "1"}))


@pytest.mark.parametrize("options", [{"max_parallel": 0}, {"max_parallel": True}, {"timeout_s": 0}, {"epic_id": ""}])
def test_options_refuse_what_is_out_of_range(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        EpicExecutionOptions(**options)
