"""From a file's data to an epic: keys checked, defaults merged into every task, the graph checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from dockersched.epic import Epic
from dockersched.epicfile import values
from dockersched.epicfile.admission_spec import OvercommitSpec
from dockersched.epicfile.expansion import expand
from dockersched.epicfile.files_spec import check_references, files_fields
from dockersched.epicfile.findings import Finding
from dockersched.epicfile.kinds import findings_of
from dockersched.epicfile.opening_spec import opening_fields
from dockersched.epicfile.quota_spec import quota_of
from dockersched.epicfile.retry_spec import BackoffSpec, ExitCodesSpec, RetrySpec
from dockersched.epicfile.secret_spec import secret_sources
from dockersched.epicfile.source import STDIN, name_of
from dockersched.epicfile.spec import Defaults, EpicFile, TaskSpec
from dockersched.errors import EpicError, Problem
from dockersched.graph.dag import TaskDAG
from dockersched.graph.problems import find_problems
from dockersched.model import EpicExecutionOptions, RetryPolicy, ScheduledTask
from dockersched.model.references import literal
from dockersched.states import Reason

SHELL = "sh"
SHELL_OPTIONS = ("-eu", "-c")

_OOM_KILLED = str(Reason.OOM_KILLED)
_DEFAULT_MEMORY_FACTOR = 2.0
_DEFAULT_PAUSES = {"initial": "1s", "max": "30s"}


def build(data: Any, name: str) -> tuple[Epic | None, list[Finding]]:
    """The epic that the data describes, or all that is wrong with it."""
    expansion = expand(data)
    epic, findings = _build(expansion.data, name)
    findings = [*expansion.findings, *findings]
    return None if findings else epic, expansion.found_in_file(findings)


def _build(data: Any, name: str) -> tuple[Epic | None, list[Finding]]:
    findings = [
        *_check_commands(data),
        *_check_pauses(data),
        *_check_memory(data),
        *_check_overcommit(data),
        *check_references(_tasks(data), _defaults(data)),
    ]
    try:
        file = EpicFile.read(_without_extensions(data))
    except ValueError as error:
        findings += findings_of(error)
    else:
        if not findings:
            return _epic(file, name)
    return None, findings + _graph_findings(find_problems(_nodes(data)))


def _without_extensions(data: Any) -> Any:
    """The data without `x-…` keys at the top, which belong to the author's other tools."""
    if not isinstance(data, dict):
        return data
    return {key: value for key, value in data.items() if not key.startswith("x-")}


def _tasks(data: Any) -> dict[str, dict[str, Any]]:
    tasks = data.get("tasks") if isinstance(data, dict) else None
    return {key: task for key, task in tasks.items() if isinstance(task, dict)} if isinstance(tasks, dict) else {}


def _defaults(data: Any) -> Any:
    return data.get("defaults") if isinstance(data, dict) else None


def _check_commands(data: Any) -> Iterator[Finding]:
    """A rule over several keys, checked apart so that it is reported beside the faults of single keys."""
    for task_id, task in _tasks(data).items():
        path = ("tasks", task_id)
        if "run" in task and "command" in task:
            yield Finding("run and command exclude each other: keep one of them", (*path, "run"), at_key=True)
        elif "run" in task and "args" in task:
            yield Finding("args belong to command: write them into the script", (*path, "args"), at_key=True)
        elif "run" not in task and "command" not in task:
            yield Finding("has neither command nor run: give it one of them", path, at_key=True)


def _check_pauses(data: Any) -> Iterator[Finding]:
    """Another such rule: with a first pause above the longest one, the first would silently not be kept."""
    shared = _pauses(_defaults(data))
    for task_id, task in _tasks(data).items():
        own = _pauses(task)
        if not (own or shared):
            continue
        pauses = _DEFAULT_PAUSES | shared | own
        if _longer(pauses["initial"], pauses["max"]):
            initial, longest = values.shown(pauses["initial"]), values.shown(pauses["max"])
            message = f"the first pause (initial: {initial}) is longer than the longest (max: {longest}): change one"
            path = ("tasks", task_id) if own else ("defaults",)
            yield Finding(message, (*path, "retry", "backoff", next(iter(own or shared))))


def _pauses(task: Any) -> dict[str, Any]:
    """The pauses that a task or the defaults give, as they are written."""
    backoff = _map_at(task, "retry", "backoff")
    return {key: backoff[key] for key in _DEFAULT_PAUSES if key in backoff}


def _check_memory(data: Any) -> Iterator[Finding]:
    """Another one: more memory is for attempts that are made because there was too little."""
    shared = _map_at(data, "defaults", "retry")
    message = f"is of use after {_OOM_KILLED} alone: add that to on, or remove the key"
    used = False
    for task_id, task in _tasks(data).items():
        own = _map_at(task, "retry")
        causes = own.get("on", shared.get("on"))
        if isinstance(causes, list) and _OOM_KILLED in causes:
            used = True
        elif "memory" in own:
            yield Finding(message, ("tasks", task_id, "retry", "memory"), at_key=True)
    if "memory" in shared and not used:
        yield Finding(message, ("defaults", "retry", "memory"), at_key=True)


def _check_overcommit(data: Any) -> Iterator[Finding]:
    """Another one: a limit has one source."""
    factors = _map_at(data, "overcommit")
    for key in ("cpus", "memory"):
        if key in factors and f"max_{key}" in data:
            yield Finding(f"max_{key} says it already: keep one of them", ("overcommit", key), at_key=True)


def _map_at(data: Any, *path: str) -> dict[str, Any]:
    """The map that is there; an empty one where there is none."""
    for key in path:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _longer(initial: Any, longest: Any) -> bool:
    try:
        return values.duration(initial) > values.duration(longest)
    except ValueError:  # reported as what it is
        return False


def _nodes(data: Any) -> list[tuple[str, list[str]]]:
    """The graph as far as it can be read; an entry that is not an id stays in its position, as an unknown one."""
    nodes: list[tuple[str, list[str]]] = []
    for task_id, task in _tasks(data).items():
        depends_on = task.get("depends_on")
        ids = depends_on if isinstance(depends_on, list) else []
        nodes.append((task_id, [entry if isinstance(entry, str) else "" for entry in ids]))
    return nodes


def _graph_findings(problems: list[Problem] | tuple[Problem, ...]) -> list[Finding]:
    return [Finding(problem.message, problem.path, prefixed=False) for problem in problems]


def _epic(file: EpicFile, name: str) -> tuple[Epic | None, list[Finding]]:
    shared = file.defaults or Defaults()
    shared_retry = _retry(shared.retry, RetryPolicy())
    folder = PurePath(name).parent if name != name_of(STDIN) else PurePath()
    tasks: list[ScheduledTask] = []
    findings: list[Finding] = []
    for task_id, spec in file.tasks.items():
        try:
            tasks.append(_task(task_id, spec, shared, shared_retry, folder))
        except (TypeError, ValueError) as error:  # a rule of the model that the file's models do not have
            findings.append(Finding(str(error), ("tasks", task_id), at_key=True))
    if findings:
        return None, findings
    try:
        return Epic(TaskDAG(tasks), _options(file), name), []
    except EpicError as error:
        return None, _graph_findings(error.problems)


def _options(file: EpicFile) -> EpicExecutionOptions:
    overcommit = file.overcommit or OvercommitSpec()
    given = {
        "max_parallel": file.max_parallel,
        "prepare_ahead": file.prepare_ahead,
        "timeout_s": file.timeout,
        "fail_fast": file.fail_fast,
        "max_cpus": file.max_cpus,
        "max_memory": file.max_memory,
        "overcommit_cpus": overcommit.cpus,
        "overcommit_memory": overcommit.memory,
    }
    return replace(EpicExecutionOptions(epic_id=file.epic), **_without_none(given))


def _retry(spec: RetrySpec | None, default: RetryPolicy) -> RetryPolicy:
    """The policy, with every key that is left out taken from `default`; the list `on` is one key."""
    if spec is None:
        return default
    backoff = spec.backoff or BackoffSpec()
    given: dict[str, Any] = {
        "limit": spec.limit,
        "initial_s": backoff.initial,
        "factor": backoff.factor,
        "max_s": backoff.max,
        "jitter": backoff.jitter,
    }
    if spec.on is not None:
        given["on"] = [cause for cause in spec.on if isinstance(cause, str)]
        listed = [cause.exit_code or () for cause in spec.on if isinstance(cause, ExitCodesSpec)]
        given["exit_codes"] = [code for codes in listed for code in codes]
    if spec.memory is not None:
        given |= {"memory_factor": spec.memory.factor, "memory_max": spec.memory.max}
        default = replace(default, memory_factor=default.memory_factor or _DEFAULT_MEMORY_FACTOR)
    return replace(default, **_without_none(given))


def _first_given(*choices: int | None) -> int:
    return next(choice for choice in choices if choice is not None)


def _without_none(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _task(task_id: str, spec: TaskSpec, shared: Defaults, shared_retry: RetryPolicy, folder: PurePath) -> ScheduledTask:
    command, args = (
        (spec.command, spec.args or ()) if spec.run is None else (SHELL, (*SHELL_OPTIONS, literal(spec.run)))
    )
    return ScheduledTask(
        id=task_id,
        depends_on=spec.depends_on or (),
        when=spec.when or "success",
        allow_failure=bool(spec.allow_failure),
        finally_=bool(spec.finally_),
        command=command or "",
        args=args,
        quota=quota_of(spec.quota, shared.quota),
        image=spec.image or shared.image,
        environment={**(shared.environment or {}), **(spec.environment or {})},
        working_dir=spec.working_dir or shared.working_dir,
        user=spec.user or shared.user,
        network=spec.network or shared.network,
        timeout_s=spec.timeout or shared.timeout,
        stop_grace_s=spec.stop_grace_period or shared.stop_grace_period,
        pull_policy=spec.pull_policy or shared.pull_policy,
        retry=_retry(spec.retry, shared_retry),
        secrets=secret_sources(shared.secrets, spec.secrets, folder),
        priority=_first_given(spec.priority, shared.priority, 0),
        expected_duration_s=spec.expected_duration or shared.expected_duration,
        **opening_fields(spec, shared, folder),
        **files_fields(spec, shared, folder),
    )
