"""What an epic file means once it is read."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest

from dockersched.epicfile import load, load_text
from dockersched.model import RETRY_CAUSES, EpicExecutionOptions, Mount, QuotaConfig, RetryPolicy, ScheduledTask


def one_task(fields: str, top: str = "") -> ScheduledTask:
    epic = load_text(f"epic: e\n{top}\ntasks:\n  t: {{{fields}}}\n", "e.yaml")
    return epic.dag["t"]


def test_reads_every_key_of_a_task() -> None:
    task = one_task(
        "command: pytest, args: [-q, tests], image: python, environment: {CI: 'yes'}, working_dir: /src,"
        " user: '1000:1000', quota: {cpus: 0.5, memory: 64m, pids: 16, disk: 1g, nofile: 64, fsize: 1m, log: 2m},"
        " network: bridge, timeout: 1h30m,"
        " stop_grace_period: 500ms, pull_policy: always, runtime: runsc, network_namespace: own, profile: trusted,"
        " read_only: true,"
        " cap_add: [NET_ADMIN], tmpfs: {/scratch: 64m, /dev/shm: 1g}, ulimits: {stack: 8388608},"
        " mounts: [{source: data, target: /data}, {source: /srv/out, target: /out, read_only: false}],"
        " retry: {limit: 5, on: [infra, timed_out, exit_code: [75, 111]],"
        " backoff: {initial: 500ms, factor: 1.5, max: 1m, jitter: false}}"
    )

    assert task == ScheduledTask(
        id="t",
        depends_on=(),
        command="pytest",
        args=("-q", "tests"),
        image="python",
        environment={"CI": "yes"},
        working_dir="/src",
        user="1000:1000",
        quota=QuotaConfig(cpus=0.5, memory="64m", pids=16, disk="1g", nofile=64, fsize="1m", log="2m"),
        network="bridge",
        timeout_s=5400.0,
        stop_grace_s=0.5,
        pull_policy="always",
        runtime="runsc",
        network_namespace="own",
        profile="trusted",
        read_only=True,
        cap_add=("NET_ADMIN",),
        tmpfs={"/scratch": 64 * 2**20, "/dev/shm": 2**30},
        ulimits={"stack": 8388608},
        mounts=(Mount(str(Path.cwd() / "data"), "/data"), Mount("/srv/out", "/out", read_only=False)),
        retry=RetryPolicy(
            limit=5,
            on=("infra", "timed_out"),
            exit_codes=(75, 111),
            initial_s=0.5,
            factor=1.5,
            max_s=60.0,
            jitter=False,
        ),
    )


def test_leaves_what_the_file_does_not_say_to_the_runner() -> None:
    assert one_task("command: ls") == ScheduledTask(id="t", depends_on=(), command="ls")


def test_openings_of_the_defaults_are_merged_into_tasks() -> None:
    epic = load_text(
        """
epic: e
defaults:
  profile: trusted
  read_only: true
  cap_add: [CHOWN]
  tmpfs: {/a: 1m, /b: 1m}
  ulimits: {nofile: 64, cpu: 5}
  mounts: [{source: shared, target: /shared}]
tasks:
  own: {run: x, profile: locked, read_only: false, cap_add: [], tmpfs: {/b: 2m}, ulimits: {cpu: 9}, mounts: []}
  none: {run: x}
""",
        "epics/e.yaml",
    )
    own, none = epic.dag["own"], epic.dag["none"]

    assert (own.profile, own.read_only, own.cap_add, own.mounts) == ("locked", False, (), ())
    assert (own.tmpfs, own.ulimits) == ({"/a": 2**20, "/b": 2**21}, {"nofile": 64, "cpu": 9})
    assert (none.profile, none.read_only, none.cap_add) == ("trusted", True, ("CHOWN",))
    assert none.mounts == (Mount(str(Path.cwd() / "epics" / "shared"), "/shared"),)


@pytest.mark.parametrize(("written", "pids"), [("64", 64), ("0x40", 64), ("0o100", 64), ("6.4e1", 64), ("007", 7)])
def test_reads_every_notation_of_a_number(written: str, pids: int) -> None:
    assert one_task(f"run: x, quota: {{pids: {written}}}").quota == QuotaConfig(pids=pids)


def test_a_script_becomes_a_shell_that_stops_at_the_first_error() -> None:
    task = one_task('run: "echo $HOME | cat"')

    assert (task.command, task.args) == ("sh", ("-eu", "-c", "echo $HOME | cat"))


def test_reads_the_options_of_the_epic() -> None:
    epic = load_text("{epic: e-1, max_parallel: 8, fail_fast: true, timeout: 2h, tasks: {t: {run: x}}}", "epics/e.yaml")

    assert epic.options == EpicExecutionOptions(max_parallel=8, fail_fast=True, timeout_s=7200.0, epic_id="e-1")
    assert epic.source == "epics/e.yaml"


def test_reads_what_may_run_side_by_side() -> None:
    epic = load_text("{epic: e, max_cpus: 1.5, overcommit: {memory: 2}, tasks: {t: {run: x}}}", "e.yaml")
    assert epic.options == EpicExecutionOptions(max_cpus=1.5, overcommit_memory=2, epic_id="e")

    epic = load_text("{epic: e, max_memory: 2g, overcommit: {cpus: 0.5}, tasks: {t: {run: x}}}", "e.yaml")
    assert epic.options == EpicExecutionOptions(max_memory=2**31, overcommit_cpus=0.5, epic_id="e")


def test_reads_what_starts_first() -> None:
    text = """
        epic: e
        defaults: {priority: 3, expected_duration: 1m}
        tasks:
          plain: {run: x}
          own: {run: x, priority: 0, expected_duration: 2.5}
        """
    tasks = load_text(text, "e.yaml").dag
    assert [(task.priority, task.expected_duration_s) for task in tasks] == [(3, 60), (0, 2.5)]


def test_more_memory_for_retries_merges_key_by_key() -> None:
    text = """
        epic: e
        defaults: {retry: {on: [oom_killed], memory: {max: 1g}}}
        tasks:
          plain: {run: x}
          own: {run: x, retry: {memory: {factor: 3}}}
          other: {run: x, retry: {on: [infra]}}
        """
    found = [(task.retry.memory_factor, task.retry.memory_max) for task in load_text(text, "e.yaml").dag]
    assert found == [(2, 2**30), (3, 2**30), (2, 2**30)]
    assert one_task("run: x").retry.memory_factor is None


def test_tasks_keep_their_order_and_dependencies() -> None:
    epic = load_text("{epic: e, tasks: {c: {run: x, depends_on: [a, 1]}, a: {run: x}, 1: {run: x}}}", "e.yaml")

    assert [task.id for task in epic.dag] == ["c", "a", "1"]
    assert epic.dag["c"].depends_on == ("a", "1")


def test_defaults_reach_every_task_and_the_task_wins() -> None:
    epic = load_text(
        """
        epic: e
        defaults: {image: base, timeout: 5, user: 7, network: bridge, working_dir: /a, pull_policy: never}
        tasks:
          plain: {run: x}
          own: {run: x, image: mine, timeout: 6, user: me, network: none, working_dir: /b, pull_policy: always}
        """,
        "e.yaml",
    )

    def inherited(task: ScheduledTask) -> tuple[object, ...]:
        return task.image, task.timeout_s, task.user, task.network, task.working_dir, task.pull_policy

    assert inherited(epic.dag["plain"]) == ("base", 5.0, "7", "bridge", "/a", "never")
    assert inherited(epic.dag["own"]) == ("mine", 6.0, "me", "none", "/b", "always")


def test_quota_and_environment_merge_key_by_key() -> None:
    task = one_task(
        "run: x, quota: {memory: 1g}, environment: {B: mine, C: c}",
        "defaults: {quota: {cpus: 2, memory: 8m}, environment: {A: a, B: b}}",
    )

    assert task.quota == QuotaConfig(cpus=2.0, memory=2**30)
    assert task.environment == {"A": "a", "B": "mine", "C": "c"}


@pytest.mark.parametrize(
    ("on", "causes", "codes"),
    [
        ("[]", (), ()),
        ("[exit_code]", ("exit_code",), ()),
        ("[exit_code: 75]", (), (75,)),
        ("[exit_code: [1, 0xff]]", (), (1, 255)),
        ("[exit_code: 3, killed, {exit_code: [1, 2]}]", ("killed",), (3, 1, 2)),
        (f"[{', '.join(RETRY_CAUSES)}]", RETRY_CAUSES, ()),
    ],
)
def test_a_retry_names_causes_and_exit_codes(on: str, causes: tuple[str, ...], codes: tuple[int, ...]) -> None:
    assert one_task(f"run: x, retry: {{on: {on}}}").retry == RetryPolicy(on=causes, exit_codes=codes)


@pytest.mark.parametrize("fields", ["retry: {}", "retry: {backoff: {}}"])
def test_what_a_retry_leaves_out_takes_its_default(fields: str) -> None:
    assert one_task(f"run: x, {fields}").retry == RetryPolicy()


@pytest.mark.parametrize(
    ("own", "policy"),
    [
        ("{limit: 0}", RetryPolicy(limit=0, on=["killed"], exit_codes=[4], initial_s=5, max_s=9, jitter=False)),
        ("{on: []}", RetryPolicy(limit=7, on=[], initial_s=5, max_s=9, jitter=False)),
        ("{on: [exit_code: 5]}",
         RetryPolicy(limit=7, on=[], exit_codes=[5], initial_s=5, max_s=9, jitter=False)),
        ("{backoff: {max: 6}}",
         RetryPolicy(limit=7, on=["killed"], exit_codes=[4], initial_s=5, max_s=6, jitter=False)),
        ("{limit: 1, backoff: {jitter: true, factor: 3, initial: 9}}",
         RetryPolicy(limit=1, on=["killed"], exit_codes=[4], initial_s=9, factor=3, max_s=9)),
    ],
)  # fmt: skip
def test_retries_merge_key_by_key(own: str, policy: RetryPolicy) -> None:
    shared = "{limit: 7, on: [killed, exit_code: 4], backoff: {initial: 5, max: 9, jitter: false}}"

    assert one_task(f"run: x, retry: {own}", f"defaults: {{retry: {shared}}}").retry == policy
    assert one_task("run: x", f"defaults: {{retry: {own}}}").retry == one_task(f"run: x, retry: {own}").retry


@pytest.mark.parametrize("backoff", ["{initial: 30}", "{max: 1}", "{initial: 31s, max: 31}"])
def test_the_first_pause_may_be_as_long_as_the_longest(backoff: str) -> None:
    assert one_task(f"run: x, retry: {{backoff: {backoff}}}").retry.limit == 2


def test_json_takes_a_retry_as_yaml_does() -> None:
    retry = {"limit": 1, "on": ["infra", {"exit_code": [75]}], "backoff": {"factor": 1.5, "jitter": False}}

    task = load_text(json.dumps({"epic": "e", "tasks": {"t": {"run": "x", "retry": retry}}}), "e.json").dag["t"]

    assert task.retry == RetryPolicy(limit=1, exit_codes=[75], factor=1.5, jitter=False)


@pytest.mark.parametrize(
    "written", ["1.10", "1", "007", "0x1F", "1e3", "-0", ".5", "true", "FALSE", "yes", "off", "12:30:00", "2026-01-31"]
)
def test_arguments_and_variables_keep_their_source_text(written: str) -> None:
    task = one_task(f"command: c, args: [{written}], environment: {{V: {written}}}")

    assert (task.args, task.environment) == ((written,), {"V": written})


def test_words_that_only_old_yaml_took_for_booleans_are_texts() -> None:
    task = one_task("command: yes, args: [no, on, off, y, n], user: on")

    assert (task.command, task.args, task.user) == ("yes", ("no", "on", "off", "y", "n"), "on")


def test_ignores_extension_keys_and_the_schema_for_editors() -> None:
    text = "{$schema: ../epic.schema.json, x-team: {any: [thing, null]}, epic: e, tasks: {t: {run: x}}}"

    assert len(load_text(text, "e.yaml").dag) == 1


def test_reads_json_as_it_reads_yaml() -> None:
    data = {"epic": "e", "defaults": {"quota": {"cpus": 0.5}}, "tasks": {"t": {"command": "c", "args": ["a", 1, True]}}}
    text = json.dumps(data)

    task = load_text(text, "e.json").dag["t"]

    assert (task.args, task.quota) == (("a", "1", "true"), QuotaConfig(cpus=0.5))
    assert task == load_text("# not JSON any more\n" + text, "e.yaml").dag["t"]


def test_reads_json_that_yaml_cannot() -> None:
    text = json.dumps({"epic": "e", "tasks": {"t": {"command": "echo", "args": ["\N{GRINNING FACE}"]}}})

    assert load_text(text, "e.json").dag["t"].args == ("\N{GRINNING FACE}",)


def test_a_byte_order_mark_is_no_part_of_the_epic() -> None:
    assert load_text("\N{ZERO WIDTH NO-BREAK SPACE}epic: e\ntasks: {t: {run: x}}".encode(), "e").options.epic_id == "e"


def test_loads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("epic: e\ntasks: {t: {run: x}}\n")

    epic = load(str(path))

    assert (len(epic.dag), epic.source) == (1, str(path))


def test_loads_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"epic: e\ntasks: {t: {run: x}}\n")))

    assert load("-").source == "<stdin>"


@pytest.mark.parametrize(("fields", "allowed"), [("run: x", False), ("run: x, allow_failure: true", True)])
def test_reads_whether_a_failure_is_allowed(fields: str, allowed: bool) -> None:
    assert one_task(fields).allow_failure is allowed


@pytest.mark.parametrize(("fields", "at_end"), [("run: x", False), ("run: x, finally: true", True)])
def test_reads_whether_a_task_runs_at_the_end(fields: str, at_end: bool) -> None:
    assert one_task(fields).finally_ is at_end
