"""The JSON Schema, the loader, the examples and the documentation agree with each other."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dockersched import units
from dockersched.epicfile import epic_schema, load, load_text
from dockersched.epicfile.admission_spec import OvercommitSpec
from dockersched.epicfile.files_spec import InputSpec, OutputSpec, WorkspaceSpec
from dockersched.epicfile.opening_spec import MountSpec, OpeningKeys, UlimitsSpec
from dockersched.epicfile.quota_spec import QuotaSpec
from dockersched.epicfile.retry_spec import BackoffSpec, MemorySpec, RetrySpec
from dockersched.epicfile.spec import Defaults, EpicFile, TaskSpec
from dockersched.errors import EpicError
from dockersched.model import CAPABILITIES, RETRY_CAUSES, ULIMITS, EpicExecutionOptions, QuotaConfig, RetryPolicy
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "epic-file.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
SCHEMA = Draft202012Validator(epic_schema())


class CoreLoader(yaml.SafeLoader):
    """For the key `on`, which is a boolean to YAML 1.1 alone."""


CoreLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not (tag.endswith(":bool") and first not in "tTfF")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parsed(text: str) -> Any:
    return yaml.load(text, Loader=CoreLoader)  # noqa: S506 - a SafeLoader with fewer booleans


def schema_accepts(data: object) -> bool:
    return SCHEMA.is_valid(data)


def loader_accepts(text: str) -> bool:
    try:
        load_text(text, "e.yaml")
    except EpicError:
        return False
    return True


def blocks(fence: str) -> list[str]:
    return re.findall(rf"^```{fence}\n(.*?)^```$", REFERENCE.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(epic_schema())


def test_the_file_for_editors_is_the_schema() -> None:
    """To write it anew: dockersched schema > docs/epic.schema.json."""
    written = json.dumps(epic_schema(), indent=2) + "\n"

    assert (ROOT / "docs" / "epic.schema.json").read_text("utf-8") == written


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from nodes(child)


def test_every_key_is_described_and_none_takes_null() -> None:
    for node in nodes(epic_schema()):
        for name, schema in node.get("properties", {}).items():
            assert schema["description"].endswith("."), name
            assert {"type": "null"} not in schema.get("anyOf", []), name
            assert "title" not in schema


def test_the_schema_tells_the_runners_defaults() -> None:
    definitions = epic_schema()["$defs"]
    told = {name: schema.get("default") for name, schema in definitions["TaskSpec"]["properties"].items()}
    quota = {name: schema.get("default") for name, schema in definitions["QuotaSpec"]["properties"].items()}
    runner = SandboxDefaults()

    assert (told["image"], told["user"], told["network"], told["pull_policy"]) == (
        runner.image,
        runner.user,
        runner.network,
        runner.pull_policy,
    )
    assert units.parse_duration(told["timeout"]) == runner.timeout_s
    assert units.parse_duration(told["stop_grace_period"]) == runner.stop_grace_s
    assert QuotaConfig(**quota) == runner.quota
    filled = runner.fill(SandboxRunOptions("e.t", "true"))
    assert (told["profile"], told["read_only"]) == (runner.profile, filled.read_only)
    assert definitions["UlimitsSpec"]["properties"]["core"]["default"] == filled.ulimits["core"]


def test_the_schema_tells_the_defaults_of_retries() -> None:
    definitions = epic_schema()["$defs"]
    retry, backoff = definitions["RetrySpec"]["properties"], definitions["BackoffSpec"]["properties"]

    assert RetryPolicy() == RetryPolicy(
        limit=retry["limit"]["default"],
        on=retry["on"]["default"],
        initial_s=units.parse_duration(backoff["initial"]["default"]),
        factor=backoff["factor"]["default"],
        max_s=units.parse_duration(backoff["max"]["default"]),
        jitter=backoff["jitter"]["default"],
    )


def test_the_schema_tells_the_defaults_of_overcommit() -> None:
    overcommit = epic_schema()["$defs"]["OvercommitSpec"]["properties"]

    assert EpicExecutionOptions() == EpicExecutionOptions(
        overcommit_cpus=overcommit["cpus"]["default"], overcommit_memory=overcommit["memory"]["default"]
    )


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_examples_load_and_satisfy_the_schema(example: Path) -> None:
    text = example.read_text("utf-8")

    assert text.startswith("# yaml-language-server: $schema=../docs/epic.schema.json\n")
    assert load(str(example)).options.epic_id == example.stem
    assert not [error.message for error in SCHEMA.iter_errors(parsed(text))]


@pytest.mark.parametrize("text", blocks("yaml"))
def test_epics_of_the_reference_load_and_satisfy_the_schema(text: str) -> None:
    load_text(text, "epic-file.md")

    assert not [error.message for error in SCHEMA.iter_errors(parsed(text))]


def test_the_mistakes_of_the_reference_are_what_the_loader_says() -> None:
    (text,), printed = blocks("yaml invalid"), blocks("text")[0]

    with pytest.raises(EpicError) as caught:
        load_text(text, "release.yaml")

    assert str(caught.value) == printed.rstrip("\n")
    assert not schema_accepts(parsed(text))


def test_the_reference_has_a_row_for_every_key() -> None:
    rows = set(re.findall(r"^\| `([^`]+)` \|", REFERENCE.read_text("utf-8"), re.MULTILINE))
    keys = {*EpicFile.declared, *TaskSpec.declared}

    inner = {f"quota.{name}" for name in QuotaSpec.declared}
    inner |= {f"retry.{name}" for name in RetrySpec.declared}
    inner |= {f"ulimits.{name}" for name in UlimitsSpec.declared}
    inner |= {f"mounts[].{name}" for name in MountSpec.declared}
    inner |= {f"workspace.{name}" for name in WorkspaceSpec.declared}
    inner |= {f"outputs.*.{name}" for name in OutputSpec.declared}
    inner |= {f"inputs[].{name}" for name in InputSpec.declared}
    inner |= {f"retry.backoff.{name}" for name in BackoffSpec.declared}
    inner |= {f"retry.memory.{name}" for name in MemorySpec.declared}
    inner |= {"when.task", "when.is", "when.value", "when.equals", "when.not_equals"}
    inner |= {"matrix.exclude", "matrix.include"}
    inner |= {f"overcommit.{name}" for name in OvercommitSpec.declared}

    assert rows == keys | inner | {"x-…"}
    assert set(Defaults.declared) == set(TaskSpec.declared) - {
        *("command", "args", "run", "depends_on", "matrix", "allow_failure", "when", "finally"),
        *("outputs", "inputs", "values"),
    }


def test_the_reference_explains_every_cause_of_a_retry() -> None:
    (retries,) = re.findall(r"^## Retries\n(.*?)^## ", REFERENCE.read_text("utf-8"), re.DOTALL | re.MULTILINE)

    rows = re.findall(r"^- (`.*?): ", retries, re.MULTILINE)

    assert set(re.findall(r"`(\w+)", " ".join(rows))) == set(RETRY_CAUSES)


VALUES: list[Any] = [
    None, True, 0, 1, -1, 1.5, 6291456, 10**30, "", "x", "a b", "/x", "512m", "5q", " 1g ", "1h30m", "1h 30m", "90",
    "0.5", "none", "always", "bridge", "1000:1000", "é", [], ["a"], ["a", "a"], [1], [None], [["a"]], {}, {"a": "b"},
    {"A": 1}, {"A": None}, {"A=": "b"}, {"cpus": 1}, {"cpus": 0}, {"cpus": 10**9}, {"memory": 10**30}, {"memory": 1},
    {"pids": 10**30}, {"pids": "3"}, {"cpus": "0.5", "memory": "1g", "pids": 3},
]  # fmt: skip
OPENINGS: list[Any] = [
    "locked", "trusted", False, ["NET_RAW"], ["NET_RAW", "NET_RAW"], ["SYS_ADMIN"], ["CAP_CHOWN"],
    {"/a": "1m"}, {"/a": 1}, {"/a": 4096}, {"a": "1m"}, {"/": "1m"}, {"/a/": "1m"}, {"/a/../b": "1m"}, {"//a": "1m"},
    {"/a/..b": "1m"}, {"/dev": "1m"}, {"/dev/shm": "1m"}, {"/dev/shm/a": "1m"}, {"/device": "1m"}, {"/proc/a": "1m"},
    {"nofile": 64}, {"nofile": 1}, {"nofile": 2**21}, {"nofile": {"soft": 1}}, {"nproc": 5}, {"core": 0}, {"fsize": 0},
    {"fsize": 1}, {"fsize": "5q"}, {"disk": "1m"}, {"disk": 1}, {"log": 1}, {"log": 65536},
    ["a:/b"], [{}], [{"source": "/a", "target": "/b"}], [{"source": "a", "target": "/b", "read_only": False}],
    [{"source": "a"}], [{"target": "/a"}], [{"source": "a", "target": "b"}], [{"source": "", "target": "/b"}],
    [{"source": "a", "target": "/b", "x": 1}],
]  # fmt: skip
LIMITS: list[Any] = [0, 2, 2.0, 100, 101, -1, 1.5, "2", True, None]
CAUSES: list[Any] = [
    [], "infra", {"exit_code": 75}, None, [None], ["rain"], [75], ["infra", "infra"], list(RETRY_CAUSES), [["infra"]],
    ["infra", {"exit_code": [75]}, {"exit_code": 3}], [{"exit_code": 75}, {"exit_code": 75}], [{"infra": True}], [{}],
    [{"exit_code": 75, "x": 1}],
]  # fmt: skip
EXIT_CODES: list[Any] = [1, 255, 0, 256, 75.0, 7.5, "75", None, True, [], [1, 2], [1, 1], [0], [[1]], {}]
BACKOFFS: list[Any] = [
    {}, 1, None, {"initial": "1s", "factor": 1, "max": 30, "jitter": False}, {"initial": "x"}, {"initial": 0},
    {"max": 0}, {"max": None}, {"jitter": 1}, {"delay": 1}, {"factor": 0.5}, {"factor": 1.5}, {"factor": 100},
    {"factor": 101}, {"factor": "2"}, {"factor": None},
]  # fmt: skip
RETRIES = [
    *({"limit": limit} for limit in LIMITS),
    *({"on": on} for on in CAUSES),
    *({"on": [{"exit_code": code}]} for code in EXIT_CODES),
    *({"backoff": backoff} for backoff in BACKOFFS),
    {"limit": 1, "on": ["infra"], "backoff": {}},
    {"infra": 2},
]
SOURCES: list[Any] = [
    None, "B", ["B"], {}, {"env": "B"}, {"file": "b c"}, {"env": "a b"}, {"env": "5a"}, {"env": 5}, {"env": ""},
    {"file": ""}, {"file": 5}, {"env": "B", "file": "c"}, {"env": "B", "x": 1}, {"env": None},
]  # fmt: skip
SECRETS = [
    *({"K": source} for source in SOURCES),
    *({name: {"env": "B"}} for name in ("a.b-c", "-a", ".a", "", "a" * 63, "a" * 64, "a/b")),
]
WHENS: list[Any] = [
    "success", "failure", "sucess", {"task": "a"}, {"is": "failed"}, {"task": "a", "is": "done"},
    {"task": "a b", "is": "failed"}, {"task": "a", "is": "failed", "x": 1}, {"task": None, "is": "failed"},
    {"task": "a", "is": None}, {"task": ["a"], "is": "failed"},
    {"value": "tasks.a.values.v", "equals": "1"}, {"value": " tasks.a.values.v ", "not_equals": True},
    {"value": "tasks.a.values.v"}, {"value": "tasks.a.v", "equals": "1"}, {"value": None, "equals": "1"},
    {"value": "tasks.a.values.v", "equals": None}, {"value": "tasks.a.values.v", "equals": "1", "not_equals": "2"},
    {"value": "tasks.a.values.v", "equals": ["1"]}, {"value": "${{ tasks.a.values.v }}", "equals": "1"},
]  # fmt: skip
MATRICES: list[Any] = [
    {"a": ["x"]}, {"a": []}, {"a": [1, 1.5, True]}, {"a": [None]}, {"a": [["x"]]}, {"a": "x"}, {"a b": ["x"]},
    {"a": None}, {"include": [{"a": "x"}]}, {"include": []}, {"include": [{}]}, {"include": [{"a": ["x"]}]},
    {"include": [{"a.b": "x"}]}, {"include": {"a": "x"}}, {"include": None}, {"include": ["x"]},
    {"a": ["x", "y"], "exclude": [{"a": "x"}]}, {"a": ["x", "y"], "exclude": [{"a": ["x"]}]},
    {"a": ["x", "y"], "exclude": []}, {"a": ["x", "y"], "exclude": "x"},
]  # fmt: skip
TASK_KEYS = [*TaskSpec.declared, "unknown"]
FILES: list[Any] = [
    *({"source": "src", key: value} for key in ("include", "exclude") for value in (["*.c"], [""], ["../x"], "*.c")),
    *({"size": size} for size in ("64k", "63k", 65536, "1t", 0)),
    *({"gitignore": value, "git": value} for value in (True, "yes")),
    *(
        {"report": path}
        for path in ("out/", "/workspace/out", "/etc", "..", ".", {"path": "a/../b"}, {"required": True})
    ),
    *({"r": {"path": "o", key: value}} for key in ("max_size", "max_entries", "max_depth") for value in (1, 0, "1k")),
    *({"r": {"path": "o", "max_depth": value}} for value in (256, 257)),
    *({"r": {"path": "o", "when": value}} for value in ("always", "never")),
    *([value] for value in ("a.report", "a", ".report", "a.b/c", {"from": "a.r", "at": "/workspace/x"})),
    *([{"from": "a.r", "at": at}] for at in ("/workspace", "/etc", "/workspace/../etc", "in")),
]
TASK_VALUES = st.sampled_from(VALUES) | st.sampled_from(OPENINGS + RETRIES + SECRETS + FILES + MATRICES)
TASKS = st.dictionaries(st.sampled_from(TASK_KEYS), TASK_VALUES, max_size=3)
EPICS = st.fixed_dictionaries(
    {"epic": st.sampled_from(["e", "a b", "", 5]), "tasks": st.just({"a": {"run": "x"}})},
    optional={
        "defaults": st.dictionaries(st.sampled_from(TASK_KEYS), TASK_VALUES, max_size=2),
        "max_parallel": st.sampled_from(VALUES),
        "fail_fast": st.sampled_from(VALUES),
        "timeout": st.sampled_from(VALUES),
        "x-any": st.sampled_from(VALUES),
        "$schema": st.sampled_from(VALUES),
        "unknown": st.sampled_from(VALUES),
    },
)


@settings(max_examples=400, deadline=None)
@example({"epic": "e", "tasks": {"a": {"run": "x"}}, "$schema": 0})
@given(
    st.one_of(
        EPICS,
        TASKS.map(lambda task: {"epic": "e", "tasks": {"t": task, "a": {"run": "x"}}}),
        TASKS.map(lambda task: {"epic": "e", "tasks": {"t": {"run": "x"} | task, "a": {"run": "x"}}}),
    )
)
def test_what_the_loader_accepts_the_schema_accepts(data: dict[str, Any]) -> None:
    assert not loader_accepts(json.dumps(data)) or schema_accepts(data)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *((name, value) for name in TaskSpec.declared for value in VALUES),
        *((key, value) for key in (*OpeningKeys.declared, "quota") for value in OPENINGS),
        *(("retry", value) for value in RETRIES),
        *(("secrets", value) for value in SECRETS),
        *(("matrix", value) for value in MATRICES),
        *(("when", value) for value in [*WHENS, {"task": "a", "is": "skipped"}]),
    ],
    ids=repr,
)
def test_a_single_value_is_judged_alike(key: str, value: object) -> None:
    task = {key: value} if key in {"run", "command"} else {"command": "x", key: value}
    if key == "when":
        task["depends_on"] = ["a"]
    data = {"epic": "e", "tasks": {"t": task, "a": {"run": "x"}, "1": {"run": "x"}, "b": {"run": "x"}}}

    assert (loader_accepts(json.dumps(data)), key, value) == (schema_accepts(data), key, value)


def test_the_reference_names_what_can_be_given() -> None:
    text = REFERENCE.read_text("utf-8")

    (given,) = re.findall(r"^Capabilities that can be given: (.*?)\.$", text, re.DOTALL | re.MULTILINE)
    assert tuple(re.findall(r"`(\w+)`", given)) == CAPABILITIES
    assert tuple(UlimitsSpec.declared) == ULIMITS


@pytest.mark.parametrize("pattern", [units.SIZE_PATTERN, units.DURATION_PATTERN])
@given(data=st.data())
def test_the_patterns_of_units_match_what_the_units_read(pattern: str, data: st.DataObject) -> None:
    written = data.draw(st.from_regex(re.compile(pattern), fullmatch=True))
    read = units.parse_bytes if pattern == units.SIZE_PATTERN else units.parse_duration

    assert read(written) >= 0
