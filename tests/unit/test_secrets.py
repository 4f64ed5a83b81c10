"""Secrets in epic files and in memory: where values come from, and that they go nowhere else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dockersched import Mount, ScheduledTask, SecretSource
from dockersched.epic import Epic
from dockersched.epicfile import load, load_text
from dockersched.errors import EpicError, SecretUnavailableError
from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions
from dockersched.sandbox.secret_values import MAX_BYTES, SecretValues
from dockersched.store import codec

VALUE = "sk-canary-0123456789"
KEY = SecretSource(env="KEY")


def task(task_id: str = "t", **secrets: SecretSource) -> ScheduledTask:
    return ScheduledTask(task_id, [], "true", secrets=secrets)


def test_secrets_of_the_defaults_and_the_task_merge_by_name() -> None:
    text = """
epic: e
defaults: {secrets: {ONE: {env: A}, TWO: {env: B}}}
tasks:
  t: {run: x, secrets: {TWO: {env: C}, three.json: {file: /etc/three}}}
  u: {run: x}
"""
    first, second = load_text(text, "e.yaml").dag.tasks
    assert first.secrets == {
        "ONE": SecretSource(env="A"),
        "TWO": SecretSource(env="C"),
        "three.json": SecretSource(file="/etc/three"),
    }
    assert second.secrets == {"ONE": SecretSource(env="A"), "TWO": SecretSource(env="B")}


def test_a_file_is_found_from_the_folder_of_the_epic_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "e.yaml").write_text(
        "epic: e\ntasks: {t: {run: x, secrets: {a: {file: ../a.txt}, b: {file: ~/b.txt}}}}"
    )
    (found,) = load("below/e.yaml").dag.tasks
    assert found.secrets == {"a": SecretSource(file=f"{tmp_path}/a.txt"), "b": SecretSource(file="/home/me/b.txt")}


@pytest.mark.parametrize(
    ("secrets", "problem"),
    [
        (f"{{K: {VALUE}}}", "tasks.t.secrets.K: is not a map: write {env: VARIABLE} or {file: path}"),
        (f"{{K: [{VALUE}]}}", "tasks.t.secrets.K: is not a map: write {env: VARIABLE} or {file: path}"),
        (f"[{VALUE}]", "tasks.t.secrets: is not a map of names: write it as NAME: {env: VARIABLE}"),
        (VALUE, "tasks.t.secrets: is not a map of names: write it as NAME: {env: VARIABLE}"),
        ("{K: {}}", "tasks.t.secrets.K: has no source: write {env: VARIABLE} or {file: path}"),
        ("{K: {env: A, file: b}}", "tasks.t.secrets.K: env and file exclude each other: keep one of them"),
        (f"{{K: {{value: {VALUE}}}}}", "tasks.t.secrets.K.value: unknown key; known are env, file"),
        ("{K: {environment: A}}", "tasks.t.secrets.K.environment: unknown key: it is called env here"),
        (f"{{K: {{env: {VALUE}}}}}", "tasks.t.secrets.K.env: is not the name of a variable (letters, digits and '_')"),
        ("{K: {env: 5}}", "tasks.t.secrets.K.env: is not the name of a variable (letters, digits and '_')"),
        ("{../x: {env: A}}", "tasks.t.secrets.'../x': '../x' is not the name of a secret"),
        ("{K: {env: }}", "tasks.t.secrets.K.env: has no value"),
    ],
)
def test_a_mistake_is_told_and_a_value_that_was_written_there_is_not(secrets: str, problem: str) -> None:
    with pytest.raises(EpicError) as caught:
        load_text(f"epic: e\ntasks:\n  t: {{run: x, secrets: {secrets}}}", "e.yaml")
    (line,) = str(caught.value).splitlines()
    assert line.startswith("e.yaml:3:")
    assert problem in line
    assert VALUE not in line


@pytest.mark.parametrize(
    ("opening", "problem"),
    [
        ({"tmpfs": {"/run/secrets": "1m"}}, "where the secrets are"),
        ({"tmpfs": {"/run/secrets/K": "1m"}}, "where the secrets are"),
        ({"mounts": [Mount("/data", "/run/secrets")]}, "where the secrets are"),
        ({"mounts": [Mount("/data", "/run")]}, "above the secrets"),
    ],
)
def test_nothing_else_can_be_where_the_secrets_are(opening: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ScheduledTask("t", [], "true", secrets={"K": KEY}, **opening)  # type: ignore[arg-type]
    assert ScheduledTask("t", [], "true", **opening).secrets == {}  # type: ignore[arg-type]


def test_a_tmpfs_above_the_secrets_is_fine() -> None:
    assert ScheduledTask("t", [], "true", secrets={"K": KEY}, tmpfs={"/run": "1m"}).tmpfs == {"/run": 2**20}


@pytest.mark.parametrize("secrets", [{"K": VALUE}, {f"a/{'b'}": KEY}, {"": KEY}, VALUE, {"K": None}])
def test_python_callers_get_no_value_in_a_message_either(secrets: object) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        ScheduledTask("t", [], "true", secrets=secrets)  # type: ignore[arg-type]
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("source", [{}, {"env": "A", "file": "b"}, {"env": ""}, {"file": "a\0"}])
def test_a_source_is_one_text(source: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"source|env|file"):
        SecretSource(**source)


def test_the_state_database_keeps_the_sources() -> None:
    epic = Epic(TaskDAG([task(K=KEY, F=SecretSource(file="/f")), task("u")]), EpicExecutionOptions(), "e")
    assert codec.load_epic(codec.dump_epic(epic)).dag.tasks == epic.dag.tasks


def test_a_source_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("from the file\n")
    environ = {"KEY": VALUE}
    values, tasks = SecretValues(environ), [task(K=KEY, F=SecretSource(file=str(file))), task("u", other=KEY)]
    assert values.problems(tasks) == []
    environ.clear()
    file.unlink()
    assert values.values(tasks[0].secrets) == {"K": VALUE.encode(), "F": b"from the file\n"}
    assert values.values(tasks[1].secrets) == {"other": VALUE.encode()}
    assert values.patterns().redact(f"{VALUE} from the file") == "*** ***"
    assert VALUE not in repr(values)


def test_what_cannot_be_had_is_told_once_for_each_source(tmp_path: Path) -> None:
    large, pipe = tmp_path / "large", tmp_path / "pipe"
    large.write_bytes(bytes(MAX_BYTES + 1))
    os.mkfifo(pipe)
    files = {name: SecretSource(file=str(tmp_path / name)) for name in ("missing", "large", "pipe", ".")}
    problems = SecretValues({}).problems(
        [task(K=KEY), task("u", K=KEY, L=KEY), *(task(n, F=s) for n, s in files.items())]
    )
    assert [(problem.path, problem.message.partition(", ")[2]) for problem in problems] == [
        (("tasks", "t", "secrets", "K"), "which is not set: set it where dockersched runs"),
        (("tasks", "missing", "secrets", "F"), "which cannot be read (no such file or directory): make it readable"),
        (("tasks", "large", "secrets", "F"), "which is larger than 500 KiB"),
        (("tasks", "pipe", "secrets", "F"), "which is no regular file"),
        (("tasks", ".", "secrets", "F"), "which cannot be read (is a directory): make it readable"),
    ]


def test_a_value_of_most_size_is_taken_whole(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(os.urandom(MAX_BYTES))
    assert SecretValues({}).value("K", SecretSource(file=str(file))) == file.read_bytes()


def test_bytes_of_a_variable_that_are_no_text_are_kept() -> None:
    assert SecretValues({"KEY": "a\udcff"}).value("K", KEY) == b"a\xff"


def test_a_value_that_is_too_short_to_be_found_is_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    values = SecretValues({"KEY": "abc", "EMPTY": ""})
    values.value("K", KEY)
    values.value("EMPTY", SecretSource(env="EMPTY"))
    (warning,) = capsys.readouterr().err.splitlines()
    assert "secret.too_short_to_redact" in warning
    assert "abc" not in warning


def test_a_secret_that_is_not_there_is_an_error_for_python_callers() -> None:
    with pytest.raises(SecretUnavailableError, match="the secret K comes from the variable KEY, which is not set"):
        SecretValues({}).values({"K": KEY})
