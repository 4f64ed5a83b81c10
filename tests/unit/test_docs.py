"""The documentation says what the program does."""

from __future__ import annotations

import json
import re
import sqlite3
import tomllib
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from dockersched import EpicExecutionOptions, TaskExecutionError, __version__, errors, recovery, results
from dockersched.cli import VERBS, cancel, failures, gc
from dockersched.cli.agents import AGENT_VARIABLES
from dockersched.cli.arguments import Parser, add_log_options
from dockersched.cli.schema import SCHEMAS
from dockersched.epicfile import load_text
from dockersched.events import (
    EpicFinished,
    EpicStarted,
    Event,
    RunDone,
    RunLaunched,
    TaskFinished,
    TaskRetrying,
    TaskStarted,
)
from dockersched.graph.retry import INFRASTRUCTURE
from dockersched.inspection.documents import status_schema, task_fields
from dockersched.inspection.explain_document import explain_schema
from dockersched.inspection.outlook_text import plan_schema
from dockersched.inspection.runs import OpenState
from dockersched.inspection.spans_text import timeline_schema
from dockersched.model import QuotaConfig, RetryPolicy
from dockersched.report.agent import agent_lines
from dockersched.report.digest import DEFAULT_BYTES, DigestSettings, make_digest
from dockersched.report.document import result_schema
from dockersched.report.event_document import event_document, event_schema
from dockersched.report.phase_fields import PHASES
from dockersched.sandbox.docker import (
    collecting,
    container,
    image_calls,
    out_of_memory,
    patience,
    room,
    transport,
    watcher,
)
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.session import asked
from dockersched.session.signals import SIGNALS
from dockersched.states import EpicState, Reason, TaskState
from dockersched.store import schema as database
from dockersched.store.journal import Journal
from dockersched.units import format_bytes
from tests.support.documents import (
    ARCHITECTURE,
    DOCUMENTS,
    ORCHESTRATOR,
    README,
    RELIABILITY,
    ROOT,
    Block,
    blocks,
    first_cells,
    run_python,
    section,
)

PYTHON = [block for block in blocks("python") if not block.needs_engine]
EPICS = [block for block in blocks("yaml") if block.document != "docs/epic-file.md"]
PACKAGE = ROOT / "dockersched"

EXIT_CODES = {
    *results._EXIT_CODES.values(),
    *(code for name, code in vars(failures).items() if name.startswith("EXIT_")),
    *(128 + number for number in SIGNALS),
}


def test_there_is_something_to_test() -> None:
    assert len(PYTHON) >= 3
    assert {block.document for block in EPICS} == {"README.md"}


@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_python_runs_and_prints_what_it_says(block: Block, tmp_path: Path) -> None:
    assert run_python(block, tmp_path) == block.prints


@pytest.mark.parametrize("block", EPICS, ids=str)
def test_epics_load(block: Block) -> None:
    assert len(load_text(block.code, str(block)).dag) > 0


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+://", target):
            continue
        name, _, anchor = target.partition("#")
        path = (document.parent / name) if name else document
        assert path.exists(), f"{document.name} links to {target}, which does not exist"
        if anchor:
            assert anchor in _anchors(path), f"{document.name} links to {target}, but there is no such heading"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    named = re.findall(
        r"`([\w.-]+(?:/[\w.-]+)*\.(?:py|md|sh|svg|toml|yaml|json)|[\w-]+/(?:[\w-]+/)*)`", _prose(document)
    )
    examples = {"result.json", "epic.yaml", "epic.json", "release.yaml"}
    missing = [name for name in named if name not in examples and not _exists(name)]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_make_targets_that_are_named_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = re.findall(r"`make ([a-z]+)|^make ([a-z]+)", document.read_text("utf-8"), re.MULTILINE)
    assert {first or second for first, second in named} <= targets


def test_every_state_and_reason_is_explained() -> None:
    assert _words(section(ORCHESTRATOR, "States")) == [str(state) for state in TaskState]
    assert _words(section(ORCHESTRATOR, "Reasons")) == [str(reason) for reason in Reason]
    document = section(ORCHESTRATOR, "result.json")
    assert [state for state in EpicState if f"`{state}`" not in document] == []


def test_states_of_reasons_are_final_states_of_tasks() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section(ORCHESTRATOR, "Reasons"), re.MULTILINE)
    assert dict(rows) == {
        reason: (
            "upstream_failed"
            if reason is Reason.UPSTREAM_FAILED
            else "cancelled"
            if reason in {Reason.CANCELLED, Reason.FAIL_FAST, Reason.EPIC_TIMED_OUT}
            else "skipped"
            if reason in {Reason.CONDITION, Reason.UPSTREAM_SKIPPED}
            else "failed"
        )
        for reason in Reason
    }


def test_every_key_of_the_result_is_explained() -> None:
    schema: Any = result_schema()
    task = schema["properties"]["tasks"]["additionalProperties"]
    document = section(ORCHESTRATOR, "result.json")
    named = [re.findall(r"`(\w+)`", cell) for cell in first_cells(document)]
    assert sorted(key for cell in named for key in cell) == sorted([*schema["properties"], *task["properties"]])


def test_every_key_of_the_digest_is_explained() -> None:
    schema: Any = result_schema()
    found = schema["properties"]["digest"]["properties"]
    named = [re.findall(r"`(\w+)`", cell) for cell in first_cells(section(ORCHESTRATOR, "Failure digest"))]
    expected = [*found, *found["causes"]["items"]["properties"]]
    assert sorted(key for cell in named for key in cell) == sorted(expected)
    assert f"`--digest-bytes N` ({DEFAULT_BYTES})" in section(ORCHESTRATOR, "Failure digest")


def test_variables_of_agents_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| <(\S+)> \|$", section(ORCHESTRATOR, "Language models"), re.MULTILINE)
    assert rows == [tuple(variable) for variable in AGENT_VARIABLES]


def test_what_agents_are_told_is_what_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_id, run_dir = "20260131-235959-1a2b3c4d", tmp_path / ".dockersched/runs/20260131-235959-1a2b3c4d"
    (run_dir / "logs").mkdir(parents=True)
    log = run_dir / "logs" / "check.log"
    log.write_text("assertion failed\n")
    asked = QuotaConfig(cpus=0.5, memory="64m", pids=16)
    check = results.SandboxResult(
        "e.check",
        3,
        started_at=_EPOCH,
        finished_at=_EPOCH + timedelta(seconds=0.42),
        quota_requested=asked,
        quota_effective=replace(asked, disk="48m"),
        log=results.LogSummary(str(log), 17),
    )
    upstream_failed = TaskState.UPSTREAM_FAILED
    tasks = (
        results.TaskResult("reproduce", TaskState.SUCCEEDED, attempts=1),
        results.TaskResult("check", TaskState.FAILED, Reason.EXIT_CODE, attempts=1, sandbox=check),
        results.TaskResult("publish", upstream_failed, Reason.UPSTREAM_FAILED, root_cause="check"),
    )
    by_id = {task.task_id: task for task in tasks}
    finished_at = _EPOCH + timedelta(seconds=3.2)
    result = results.EpicResult("fix-issue-42", run_id, EpicState.FAILED, by_id, _EPOCH, finished_at)
    digest = make_digest(result, DigestSettings())

    (shown,) = blocks("text agent")

    assert list(agent_lines(result, digest, exit_code=1, result_path=run_dir / "result.json")) == (
        shown.code.splitlines()
    )


def test_the_excerpt_of_a_result_has_only_keys_of_the_schema() -> None:
    (excerpt,) = blocks("json")
    found = json.loads(excerpt.code)
    schema: Any = result_schema()
    assert found.keys() <= schema["properties"].keys()
    for task in found["tasks"].values():
        assert task.keys() <= schema["properties"]["tasks"]["additionalProperties"]["properties"].keys()


def test_every_key_of_what_is_seen_from_outside_is_explained() -> None:
    schema: Any = status_schema()
    task = schema["properties"]["tasks"]["additionalProperties"]
    named = [re.findall(r"`(\w+)`", cell) for cell in first_cells(section(ORCHESTRATOR, "Watching"))]
    assert sorted(key for cell in named for key in cell) == sorted([*schema["properties"], *task["properties"]])
    (row,) = re.findall(r"^\| `state` \| (.*else as in.*) \|$", section(ORCHESTRATOR, "Watching"), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == [str(state) for state in OpenState]


@pytest.mark.parametrize(("heading", "schema"), [("Planning", plan_schema()), ("Explaining a task", explain_schema())])
def test_every_key_of_what_verbs_print_is_explained(heading: str, schema: Any) -> None:
    named = [re.findall(r"`(\w+)`", cell) for cell in first_cells(section(ORCHESTRATOR, heading))]
    of_status = {"schema_version", *(field.key for field in task_fields())}
    assert {key for cell in named for key in cell} - of_status == schema["properties"].keys() - of_status


def test_every_phase_and_key_of_the_timeline_is_explained() -> None:
    text = section(ORCHESTRATOR, "Where time goes")
    phases = [field.key for field in PHASES]
    assert [word for cell in first_cells(text) for word in re.findall(r"`(\w+)`", cell)] == phases
    schema: Any = timeline_schema()
    keys = {*schema["properties"], *schema["properties"]["attempts"]["items"]["properties"]}
    assert keys - set(phases) <= set(re.findall(r"`(\w+)`", text))


def test_schemas_that_are_named_exist() -> None:
    (named,) = re.findall(r"^\| `schema \[([^]]*)\]`", README.read_text("utf-8"), re.MULTILINE)
    assert named.split(r"\|") == list(SCHEMAS)
    assert set(re.findall(r"`(?:dockersched )?schema (\w+)`", ORCHESTRATOR.read_text("utf-8"))) <= set(SCHEMAS)


@pytest.mark.parametrize("document", [README, ORCHESTRATOR], ids=lambda path: path.name)
def test_exit_codes_are_those_of_the_program(document: Path) -> None:
    assert [int(cell) for cell in first_cells(section(document, "Exit codes"))] == sorted(EXIT_CODES)


def test_verbs_are_those_of_the_command() -> None:
    assert tuple(word.split()[0] for word in _words(section(README, "The command"), r"`(.*)`")) == VERBS


def test_options_of_verbs_are_those_of_the_command() -> None:
    rows = re.findall(r"^\| `(\w+)[^|]*(?:\\\|[^|]*)*\| ([^\n]*) \|$", section(README, "The command"), re.MULTILINE)
    common = _options(None)
    assert {verb: set(re.findall(r"`(--[\w-]+)", text)) for verb, text in rows} == {
        verb: _options(verb) - common for verb in VERBS
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_that_are_named_exist(document: Path) -> None:
    text = document.read_text("utf-8")
    scripts = "\n".join(block.code for block in blocks("sh") if block.document.endswith(document.name))
    called = re.findall(r"`dockersched ([a-z]\w*)([^`\n]*)`", _prose(document))
    called += re.findall(r"^dockersched (\w+)(.*)$", scripts, re.MULTILINE)
    for verb, rest in called:
        assert verb in VERBS, f"{document.name} names `dockersched {verb}`"
        assert set(re.findall(r"--[\w-]+", rest)) <= _options(verb), f"{document.name}: `dockersched {verb}{rest}`"
    for verb, option in re.findall(rf"`({'|'.join(VERBS)}) (--[\w-]+)", text):
        assert option in _options(verb), f"{document.name}: `{verb} {option}`"


def test_every_event_is_explained_with_its_keys() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([^\n]*) \|$", section(ORCHESTRATOR, "events.jsonl"), re.MULTILINE)
    assert set(Event.__args__) == {type(event) for event in _EVENTS}
    documents = [event_document(event) for event in _EVENTS]
    assert [name for name, _ in rows] == [document["type"] for document in documents]
    of_task = set(event_document(_EVENTS[4])) - {"at", "type", "task"}
    schema: Any = result_schema()
    assert of_task == set(schema["properties"]["tasks"]["additionalProperties"]["properties"])
    for (name, text), document in zip(rows, documents, strict=True):
        named = set(re.findall(r"`(\w+)`", text))
        assert named | (of_task if name == "task_finished" else set()) == set(document) - {"at", "type"}


def test_the_schema_of_events_has_the_types_that_are_explained() -> None:
    schema: Any = event_schema()
    explained = _words(section(ORCHESTRATOR, "events.jsonl"))
    assert [kind["properties"]["type"]["const"] for kind in schema["oneOf"]] == explained
    for event, kind in zip(_EVENTS, schema["oneOf"], strict=True):
        assert event_document(event).keys() == kind["properties"].keys() == set(kind["required"])


def test_tables_are_those_of_the_database() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        database.prepare(connection)
        found = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rootpage").fetchall()
        columns = {name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")} for (name,) in found}
    document = section(ARCHITECTURE, "State directory")
    assert _words(document) == [name for (name,) in found]
    assert set(re.findall(r"\(`(\w+)`\)", document)) <= columns["attempts"]


def test_figures_of_reliability_are_those_of_the_code() -> None:
    text = " ".join(RELIABILITY.read_text("utf-8").split())
    assert transport.RETRIES.tries == 4
    assert "repeated up to three times within seconds" in text
    assert f"once a second for up to {patience._OUTAGE_LIMIT_S:g} s" in text
    assert patience._PAUSE_S == 1
    assert watcher._OUTAGE_LIMIT_S == patience._OUTAGE_LIMIT_S
    assert f"tries again each second, up to {room._LIMIT_S:g} s" in text
    assert room._PAUSE_S == 1
    assert patience._FULL_LIMIT_S == room._LIMIT_S
    assert image_calls.PULL_RETRIES.tries == 5
    assert "is tried up to five times" in text
    assert f"SIGKILL does not end within {container._KILL_LIMIT_S:g} s" in text
    assert f"A listing every {watcher._LISTING_INTERVAL_S:g} s" in text
    assert f"waited for up to {out_of_memory._DELAY_S:g} s longer" in text
    assert collecting._LOG_TRIES == 3
    assert "it is read again, three times in all" in text


def test_figures_of_verbs_are_those_of_the_code() -> None:
    assert f"all but the last {gc.DEFAULT_KEEP} finished runs" in section(README, "The command")
    assert cancel._WAIT_S == 60
    assert "waits up to a minute" in ORCHESTRATOR.read_text("utf-8")


def test_retries_by_default_are_those_of_the_policy() -> None:
    policy = RetryPolicy()
    assert (policy.limit, policy.on, policy.exit_codes) == (2, ("infra",), ())
    named = " and ".join(f"`{reason}`" for reason in sorted(INFRASTRUCTURE, reverse=True))
    assert named.replace(" and ", " or ") in ORCHESTRATOR.read_text("utf-8")
    for document in (README, ORCHESTRATOR):
        text = " ".join(document.read_text("utf-8").split())
        assert "gets up to two more" in text
        assert all(f"`{reason}`" in text for reason in INFRASTRUCTURE)


def test_what_the_architecture_says_of_recovery_is_there() -> None:
    text = section(ARCHITECTURE, "Going on after a crash")
    assert "`Journal.on_engine`" in text
    assert callable(Journal.on_engine)
    assert "every 0.2 s" in text
    assert asked.INTERVAL_S == 0.2
    for name in ("end_orphan", "collect_garbage"):
        assert f"`{name}`" in text
        assert callable(getattr(recovery, name))


def test_max_parallel_default_is_that_of_the_options() -> None:
    parallel = section(ORCHESTRATOR, "Parallel Execution")
    assert f"default: {EpicExecutionOptions().max_parallel}," in parallel


def test_the_error_is_described_with_all_it_has() -> None:
    parallel = section(ORCHESTRATOR, "Parallel Execution")
    result = results.EpicResult("e", "r", EpicState.SUCCEEDED, {}, _EPOCH, _EPOCH)
    assert _words(parallel) == list(vars(TaskExecutionError("", result)))
    for subclass in TaskExecutionError.__subclasses__():
        assert f"`{subclass.__name__}`" in parallel
        assert subclass in vars(errors).values()


def test_defaults_of_a_sandbox_are_those_of_the_runner() -> None:
    defaults = SandboxDefaults()
    rows = dict(re.findall(r"^\| ([^|]+) \| ([^|]+) \|", section(README, "What a sandbox gets"), re.MULTILINE))
    assert rows["network"].startswith(f"`{defaults.network}`")
    assert rows["user"] == f"`{defaults.user}`"
    assert rows["CPU"] == f"{defaults.quota.cpus:g}"
    assert rows["memory"].startswith(format_bytes(defaults.quota.memory_bytes or 0))
    assert rows["processes and threads"] == str(defaults.quota.pids)
    assert rows["time"].startswith(f"{defaults.timeout_s / 60:g} minutes")
    assert f"{defaults.stop_grace_s:g} seconds later" in rows["time"]
    assert rows["kept output"] == f"about the last {format_bytes(defaults.quota.log_bytes or 0)}"
    assert rows["open files of a process"] == str(defaults.quota.nofile)
    assert rows["largest file"] == format_bytes(defaults.quota.fsize_bytes or 0)


def test_environment_variables_of_the_code_are_listed() -> None:
    text = section(README, "Environment variables")
    listed = set(re.findall(r"(?:DOCKERSCHED|DOCKER)_[A-Z_]+\b", text))
    used = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r'environ(?:\.get\(|\[)"((?:DOCKERSCHED|DOCKER)_[A-Z_]+)"', path.read_text("utf-8"))
    }
    assert len(used) > 4
    assert used <= listed


def test_layers_are_those_of_the_contract() -> None:
    (drawn,) = blocks("text layers")
    configuration = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = configuration["tool"]["importlinter"]["contracts"][0]["layers"]
    assert [set(re.findall(r"\w+", line)) for line in drawn.code.splitlines()] == [
        set(re.findall(r"\w+", layer)) for layer in layers
    ]


def test_modules_in_the_diagram_exist() -> None:
    (diagram,) = blocks("mermaid")
    named = re.findall(r'\["([\w/]+):? ?', diagram.code)
    assert len(named) > 8
    folders = (PACKAGE, PACKAGE / "sandbox" / "docker")
    assert [name for name in named if not any(_module_exists(folder / name) for folder in folders)] == []


def test_changelog_begins_with_this_version() -> None:
    assert f"will be {__version__}," in section(ROOT / "CHANGELOG.md", "[Unreleased]")


def test_the_picture_shows_the_quickstart() -> None:
    picture = (ROOT / "docs" / "quickstart.svg").read_text("utf-8").replace("&#160;", " ")
    quickstart = load_text((ROOT / "examples" / "quickstart.yaml").read_bytes(), "quickstart.yaml")
    assert [task.id for task in quickstart.dag if f">{task.id}" not in picture] == []
    assert f"{len(quickstart.dag)} succeeded, 0 failed" in picture
    assert "http" not in picture.replace("http://www.w3.org/", "").replace("https://www.textualize.io", "")


_EPOCH = datetime.fromtimestamp(0, UTC)
_SANDBOX = results.SandboxResult("e.t", exit_code=1)
_EVENTS: tuple[Event, ...] = (
    RunLaunched(_EPOCH, "e", "r", 1, Path("/state")),
    EpicStarted(_EPOCH, "e", "r", ("t",)),
    TaskStarted(_EPOCH, "t", "e.t", 1),
    TaskRetrying(_EPOCH, "t", 1, _SANDBOX, 1.0),
    TaskFinished(_EPOCH, results.TaskResult("t", TaskState.FAILED, Reason.EXIT_CODE, sandbox=_SANDBOX)),
    EpicFinished(_EPOCH, results.EpicResult("e", "r", EpicState.FAILED, {}, _EPOCH, _EPOCH)),
    RunDone(_EPOCH, "r", EpicState.FAILED, 1, ("t",)),
)


def _options(verb: str | None) -> set[str]:
    """The long options of a verb; of every verb if it is None."""
    parser = Parser()
    if verb is not None:
        import_module(f"dockersched.cli.{verb}").configure(parser)
    add_log_options(parser)
    return {option for option in parser._option_string_actions if option.startswith("--")}


def _anchors(path: Path) -> set[str]:
    """What a heading is called in a link: lower case, without punctuation, spaces as hyphens."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _prose(document: Path) -> str:
    return re.sub(r"^```.*?^```$", "", document.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def _words(text: str, pattern: str = r"`(\w+)`") -> list[str]:
    """The first code word of the first cell of each row."""
    return [found[1] for cell in first_cells(text) if (found := re.search(pattern, cell))]


def _exists(name: str) -> bool:
    return any((folder / name).exists() for folder in (ROOT, PACKAGE, ROOT / "docs"))


def _module_exists(path: Path) -> bool:
    return path.is_dir() or path.with_suffix(".py").is_file()
