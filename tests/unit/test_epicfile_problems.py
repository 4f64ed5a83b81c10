"""What an epic file must not hold, and where its reader says so."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest
import yaml
from pytest_mock import MockerFixture

from dockersched.epicfile import load, load_text, locate, reader
from dockersched.epicfile.source import MAX_BYTES
from dockersched.errors import EpicError, Problem
from dockersched.graph.capacity import Capacity, check_capacity, share_out
from dockersched.graph.problems import MAX_SUGGESTIONS
from dockersched.model import CAPABILITIES, EpicExecutionOptions


def problems_of(text: str | bytes) -> list[str]:
    """Every problem as `line:column: message`."""
    with pytest.raises(EpicError) as caught:
        load_text(text, "e.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems), "a message is one line"
    assert all(line.startswith("e.yaml:") for line in lines)
    return [line.removeprefix("e.yaml:") for line in lines]


ID_RULE = "use up to 63 letters, digits, '_', '.' and '-', and begin with a letter or digit"
INSTEAD = "write the value out, or put what tasks share into defaults"
NO_VALUE = "has no value: give it one, or remove the key"
NO_MAP = "not a map: write it as key: value, one on each line"
NO_CAUSE = (
    "is no cause of a retry; causes are infra, timed_out, oom_killed, killed, exit_code, not_found, not_executable"
)
FIRST_PAUSE = "the first pause (initial: '{}') is longer than the longest (max: '{}'): change one"


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("comand: x, run: x", "3:7: tasks.t.comand: unknown key (did you mean 'command'?)"),
        ("run: x, needs: [a]", "3:15: tasks.t.needs: unknown key: it is called depends_on here"),
        ("run: x, memory: 1g", "3:15: tasks.t.memory: unknown key: it is called quota.memory here"),
        ("run: x, quota: {cores: 1}",
         "3:23: tasks.t.quota.cores: unknown key; known are cpus, disk, fsize, log, memory, nofile, pids"),
        ("run: x, run: y", "3:15: tasks.t.run: key is used twice in one map: remove or rename one of them"),
        ("run: x, quota: {memory: 512q}",
         "3:31: tasks.t.quota.memory: '512q' is not a size: write it like 512m, 2g or 1048576"),
        ("run: x, quota: {memory: 5m}",
         "3:31: tasks.t.quota.memory: must be at least 6m (the engine's lower limit), not '5m'"),
        ("run: x, quota: {memory: 1e3}",
         "3:31: tasks.t.quota.memory: must be at least 6m (the engine's lower limit), not 1e3"),
        ("run: x, quota: {memory: 7000000.5}",
         "3:31: tasks.t.quota.memory: 7000000.5 is not a whole number of bytes: write it like 512m, 2g or 1048576"),
        ("run: x, quota: {memory: 9999999t}", "3:31: tasks.t.quota.memory: must be at most 1048576t, not '9999999t'"),
        ("run: x, quota: {memory: true}",
         "3:31: tasks.t.quota.memory: true is not a size: write it like 512m, 2g or 1048576"),
        ("run: x, quota: {cpus: 0}", "3:29: tasks.t.quota.cpus: must be at least 0.01, not 0"),
        ("run: x, quota: {cpus: .nan}", "3:29: tasks.t.quota.cpus: must be at least 0.01, not .nan"),
        ("run: x, quota: {cpus: .inf}", "3:29: tasks.t.quota.cpus: must be at most 1,000,000, not .inf"),
        ("run: x, quota: {cpus: two}",
         "3:29: tasks.t.quota.cpus: 'two' is not a number of CPUs: write it like 2 or 0.5"),
        ("run: x, quota: {pids: 0}", "3:29: tasks.t.quota.pids: must be at least 1, not 0"),
        ("run: x, quota: {pids: '8'}",
         "3:29: tasks.t.quota.pids: '8' is not a whole number: write it in digits, without quotes"),
        ("run: x, quota: 1g",
         "3:22: tasks.t.quota: is the value '1g', not a map: write it as key: value, one on each line"),
        ("run: x, timeout: 0", "3:24: tasks.t.timeout: 0 is not above zero: write it like 90s, 10m or 1h30m"),
        ("run: x, timeout: -5", "3:24: tasks.t.timeout: -5 is not above zero: write it like 90s, 10m or 1h30m"),
        ("run: x, timeout: .inf", "3:24: tasks.t.timeout: .inf is not a duration: write it like 90s, 10m or 1h30m"),
        ("run: x, timeout: 10 minutes",
         "3:24: tasks.t.timeout: '10 minutes' is not a duration: write it like 90s, 10m or 1h30m"),
        ("run: x, timeout: 367d", "3:24: tasks.t.timeout: must be at most 366d, not '367d'"),
        ("run: x, stop_grace_period: 0s",
         "3:34: tasks.t.stop_grace_period: '0s' is not above zero: write it like 90s, 10m or 1h30m"),
        ("run: x, network: host", "3:24: tasks.t.network: must be 'none' or 'bridge', not 'host'"),
        ("run: x, network: null", f"3:15: tasks.t.network: {NO_VALUE}"),
        ("run: x, profile: open", "3:24: tasks.t.profile: must be 'locked' or 'trusted', not 'open'"),
        ("run: x, read_only: 1", "3:26: tasks.t.read_only: 1 is not a boolean: write true or false"),
        ("run: x, runtime: ''", "3:24: tasks.t.runtime: is empty: give it a value, or remove the key"),
        ("run: x, cap_add: [SYS_ADMIN]",
         f"3:25: tasks.t.cap_add[0]: 'SYS_ADMIN' cannot be given to a sandbox; what can: {', '.join(CAPABILITIES)}"),
        ("run: x, cap_add: [CAP_CHOWN]", "3:25: tasks.t.cap_add[0]: 'CAP_CHOWN' is written CHOWN here"),
        ("run: x, cap_add: [ALL]",
         f"3:25: tasks.t.cap_add[0]: 'ALL' cannot be given to a sandbox; what can: {', '.join(CAPABILITIES)}"),
        ("run: x, tmpfs: {/proc/x: 1m}",
         "3:23: tasks.t.tmpfs.'/proc/x': the path must not be / or in /proc, /sys or /dev, which belong to the kernel: "
         "'/proc/x'"),
        ("run: x, tmpfs: {/a/../b: 1m}",
         "3:23: tasks.t.tmpfs.'/a/../b': the path must be an absolute path without '..' and the like, not '/a/../b'"),
        ("run: x, tmpfs: {/a: 0}", "3:27: tasks.t.tmpfs.'/a': must be at least 4k (one page of memory), not 0"),
        ("run: x, ulimits: {nproc: 5}",
         "3:25: tasks.t.ulimits.nproc: unknown key; known are core, cpu, fsize, memlock, nofile, stack"),
        ("run: x, ulimits: {nofile: 4}", "3:33: tasks.t.ulimits.nofile: must be at least 16, not 4"),
        ("run: x, quota: {nofile: 64}, ulimits: {nofile: 64}",
         "3:3: tasks.t: quota and ulimits both give nofile: keep one of them"),
        ("run: x, mounts: [a:/b]", f"3:24: tasks.t.mounts[0]: is the value 'a:/b', {NO_MAP}"),
        ("run: x, mounts: [{source: a}]", "3:24: tasks.t.mounts[0].target: is missing: every mount needs it"),
        ("run: x, mounts: [{source: a, target: /dev/a}]",
         "3:44: tasks.t.mounts[0].target: the path must not be / or in /proc, /sys or /dev, which belong to the "
         "kernel: '/dev/a'"),
        ("run: x, tmpfs: {/a: 1m}, mounts: [{source: a, target: /a}]",
         "3:6: tasks.t: tmpfs and mounts put two things at '/a': remove one"),
        ("run: x, volumes: [a:/b]", "3:15: tasks.t.volumes: unknown key: it is called mounts here"),
        ("run: x, privileged: true",
         "3:15: tasks.t.privileged: cannot be asked for: no sandbox is; single capabilities are given by cap_add"),
        ("run: x, pid: host", "3:15: tasks.t.pid: cannot be asked for: no sandbox is given a namespace of the host"),
        ("run: x, ipc: host", "3:15: tasks.t.ipc: cannot be asked for: no sandbox is given a namespace of the host"),
        ("run: x, devices: [/dev/kvm]", "3:15: tasks.t.devices: cannot be asked for: no sandbox is given devices"),
        ("run: x, quota: {disk: 1}", "3:29: tasks.t.quota.disk: must be at least 4k, not 1"),
        ("run: x, quota: {log: 1k}", "3:28: tasks.t.quota.log: must be at least 64k, not '1k'"),
        ("run: x, pull_policy: daily",
         "3:28: tasks.t.pull_policy: must be 'missing', 'always' or 'never', not 'daily'"),
        ("run: x, retry: 3", "3:22: tasks.t.retry: is the value 3, not a map: write it like {limit: 2}"),
        ("run: x, retry: never", f"3:22: tasks.t.retry: is the value 'never', {NO_MAP}"),
        ("run: x, retry: [infra]", f"3:22: tasks.t.retry: is a list, {NO_MAP}"),
        ("run: x, retry: null", f"3:15: tasks.t.retry: {NO_VALUE}"),
        ("run: x, retries: 3", "3:15: tasks.t.retries: unknown key: it is called retry.limit here"),
        ("run: x, retry: {limt: 3}", "3:23: tasks.t.retry.limt: unknown key (did you mean 'limit'?)"),
        ("run: x, priority: 1001", "3:25: tasks.t.priority: must be at most 1000, not 1001"),
        ("run: x, expected_duration: 0",
         "3:34: tasks.t.expected_duration: 0 is not above zero: write it like 90s, 10m or 1h30m"),
        ("run: x, retry: {memory: {factor: 2}}",
         "3:23: tasks.t.retry.memory: is of use after oom_killed alone: add that to on, or remove the key"),
        ("run: x, retry: {on: [oom_killed], memory: {factor: 0.5}}",
         "3:58: tasks.t.retry.memory.factor: must be at least 1, not 0.5"),
        ("run: x, retry: {on: [oom_killed], memory: {factr: 2}}",
         "3:50: tasks.t.retry.memory.factr: unknown key (did you mean 'factor'?)"),
        ("run: x, retry: {exit: 3}", "3:23: tasks.t.retry.exit: unknown key; known are backoff, limit, memory, on"),
        ("run: x, retry: {max: 3s}", "3:23: tasks.t.retry.max: unknown key: it is called backoff.max here"),
        ("run: x, retry: {limit: -1}", "3:30: tasks.t.retry.limit: must be at least 0, not -1"),
        ("run: x, retry: {limit: 101}", "3:30: tasks.t.retry.limit: must be at most 100, not 101"),
        ("run: x, retry: {limit: 1.5}",
         "3:30: tasks.t.retry.limit: 1.5 is not a whole number: write it in digits, without quotes"),
        ("run: x, retry: {on: infra}",
         "3:27: tasks.t.retry.on: is the value 'infra', not a list: write it like [one, two]"),
        ("run: x, retry: {on: {exit_code: 75}}",
         "3:27: tasks.t.retry.on: is a map, not a list: write it like [one, two]"),
        ("run: x, retry: {on: [rain]}", f"3:28: tasks.t.retry.on[0]: 'rain' {NO_CAUSE}"),
        ("run: x, retry: {on: [infra, timeout]}",
         "3:35: tasks.t.retry.on[1]: 'timeout' is no cause of a retry (did you mean 'timed_out'?)"),
        ("run: x, retry: {on: [true]}", f"3:28: tasks.t.retry.on[0]: true {NO_CAUSE}"),
        ("run: x, retry: {on: [[infra]]}", f"3:28: tasks.t.retry.on[0]: a list {NO_CAUSE}"),
        ("run: x, retry: {on: [null]}", f"3:28: tasks.t.retry.on[0]: {NO_VALUE}"),
        ("run: x, retry: {on: [75]}",
         "3:28: tasks.t.retry.on[0]: 75 is no cause of a retry: write an exit code as exit_code: [75]"),
        ("run: x, retry: {on: [killed, killed]}", "3:27: tasks.t.retry.on: 'killed' is listed twice: remove one"),
        ("run: x, retry: {on: [{}]}",
         "3:28: tasks.t.retry.on[0]: is empty: name a cause, or write exit_code: [75]"),
        ("run: x, retry: {on: [exit_cod: 75]}",
         "3:28: tasks.t.retry.on[0].exit_cod: unknown key (did you mean 'exit_code'?)"),
        ("run: x, retry: {on: [timed_out: true]}",
         "3:28: tasks.t.retry.on[0].timed_out: is a cause that takes no value: write it alone"),
        ("run: x, retry: {on: [exit_code: null]}", f"3:28: tasks.t.retry.on[0].exit_code: {NO_VALUE}"),
        ("run: x, retry: {on: [exit_code: 0]}",
         "3:39: tasks.t.retry.on[0].exit_code: must be at least 1, not 0"),
        ("run: x, retry: {on: [exit_code: any]}",
         "3:39: tasks.t.retry.on[0].exit_code: 'any' is not a whole number: write it in digits, without quotes"),
        ("run: x, retry: {on: [infra, exit_code: [75, 256]]}",
         "3:51: tasks.t.retry.on[1].exit_code[1]: must be at most 255, not 256"),
        ("run: x, retry: {on: [exit_code: []]}",
         "3:39: tasks.t.retry.on[0].exit_code: holds nothing: list at least one exit code, or write exit_code alone"
         " for all of them"),
        ("run: x, retry: {on: [exit_code: [75, 75]]}",
         "3:39: tasks.t.retry.on[0].exit_code: 75 is listed twice: remove one"),
        ("run: x, retry: {on: [exit_code: 75, exit_code: [75]]}",
         "3:27: tasks.t.retry.on: 75 is listed twice: remove one"),
        ("run: x, retry: {backoff: 5s}", f"3:32: tasks.t.retry.backoff: is the value '5s', {NO_MAP}"),
        ("run: x, retry: {backoff: {multiplier: 2}}",
         "3:33: tasks.t.retry.backoff.multiplier: unknown key: it is called factor here"),
        ("run: x, retry: {backoff: {initail: 2}}",
         "3:33: tasks.t.retry.backoff.initail: unknown key (did you mean 'initial'?)"),
        ("run: x, retry: {backoff: {initial: 0}}",
         "3:42: tasks.t.retry.backoff.initial: 0 is not above zero: write it like 90s, 10m or 1h30m"),
        ("run: x, retry: {backoff: {initial: 1m}}",
         f"3:42: tasks.t.retry.backoff.initial: {FIRST_PAUSE.format('1m', '30s')}"),
        ("run: x, retry: {backoff: {jitter: true, max: 999ms}}",
         f"3:52: tasks.t.retry.backoff.max: {FIRST_PAUSE.format('1s', '999ms')}"),
        ("run: x, retry: {backoff: {factor: 0.9}}",
         "3:41: tasks.t.retry.backoff.factor: must be at least 1, not 0.9"),
        ("run: x, retry: {backoff: {factor: .inf}}",
         "3:41: tasks.t.retry.backoff.factor: must be at most 100, not .inf"),
        ("run: x, retry: {backoff: {factor: '2'}}",
         "3:41: tasks.t.retry.backoff.factor: '2' is not a number: write it like 2 or 1.5, without quotes"),
        ("run: x, retry: {backoff: {jitter: on}}",
         "3:41: tasks.t.retry.backoff.jitter: 'on' is not a boolean: write true or false"),
        ("run: x, image: 5", "3:22: tasks.t.image: 5 is not a text: write it in quotes"),
        ("run: x, image: a b", "3:22: tasks.t.image: 'a b' holds white space: remove it"),
        ("run: x, working_dir: src", "3:28: tasks.t.working_dir: 'src' is not an absolute path: begin it with /"),
        ("run: x, user: 2147483648", "3:21: tasks.t.user: must be at most 2147483647, not 2147483648"),
        ("run: x, user: '7:4294967295'",
         "3:21: tasks.t.user: user '7:4294967295' is out of range: a uid or gid is at most 2147483647"),
        ("run: x, user: 1.5", "3:21: tasks.t.user: 1.5 is not a whole number: write it in digits, without quotes"),
        ("run: x, environment: [A=b]",
         "3:28: tasks.t.environment: is a list, not a map: write it as key: value, one on each line"),
        ("run: x, environment: {A: null}", f"3:29: tasks.t.environment.A: {NO_VALUE}"),
        ("run: x, environment: {A=B: c}",
         "3:29: tasks.t.environment.'A=B': 'A=B' cannot be the name of a variable: it must not be empty or hold '='"),
        ('run: x, environment: {A: "\\0"}',
         "3:32: tasks.t.environment.A: holds a NUL or half of a surrogate pair, which no program can be given"),
        ("run: x, depends_on: a", "3:27: tasks.t.depends_on: is the value 'a', not a list: write it like [one, two]"),
        ("run: x, depends_on: [a b]", f"3:28: tasks.t.depends_on[0]: 'a b' is not an id: {ID_RULE}"),
        ("run: x, depends_on: [t]", "3:28: task 't' depends on itself; remove it from depends_on"),
        ("run: true", "3:12: tasks.t.run: true is not a text: write it in quotes"),
        ("run: ''", "3:12: tasks.t.run: is empty: give it a value, or remove the key"),
        ("run: x, command: y", "3:7: tasks.t.run: run and command exclude each other: keep one of them"),
        ("run: x, args: [y]", "3:15: tasks.t.args: args belong to command: write them into the script"),
        ("args: [y]", "3:3: tasks.t: has neither command nor run: give it one of them"),
        ("command: [ls, -l]",
         "3:16: tasks.t.command: is a list: write the program as command, and what follows it as args"),
        ("command: x, args: y", "3:25: tasks.t.args: is the value 'y', not a list: write it like [one, two]"),
        ("command: x, args: [a, {b: c}]", "3:29: tasks.t.args[1]: is a map, not a text"),
        ("run: !!python/object:os.system x",
         "3:12: tasks.t.run: tags (!...) are refused: remove it; quotes make a value a text"),
        ("run: &a x", f"3:12: tasks.t.run: anchors (&a) are refused: {INSTEAD}"),
        ("&a run: x", f"3:7: tasks.t: anchors (&a) are refused: {INSTEAD}"),
        ("run: *a", f"3:12: tasks.t.run: aliases (*a) are refused: {INSTEAD}"),
        ("<<: *a", f"3:7: tasks.t: merge keys (<<) are refused: {INSTEAD}"),
        ("? [a, b] : c", "3:9: a key must be a text, not a map or a list"),
        ("*a : c", "3:7: a key must be a text, not an alias"),
        ("run: x, run", "3:15: tasks.t.run: key is used twice in one map: remove or rename one of them"),
    ],
)  # fmt: skip
def test_names_place_key_and_remedy_of_a_fault_in_a_task(fields: str, problem: str) -> None:
    assert problems_of(f"epic: e\ntasks:\n  t: {{{fields}}}\n") == [problem]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1:1: the file is empty: an epic needs at least epic and tasks"),
        ("# nothing\n---\n", "3:1: the file is empty: an epic needs at least epic and tasks"),
        ("epic: e", "1:1: tasks: is missing: every epic needs it"),
        ("tasks: {t: {run: x}}", "1:1: epic: is missing: every epic needs it"),
        ("[a]", "1:1: is a list, not a map: write it as key: value, one on each line"),
        ("epic: e\ntasks: {}", "2:8: tasks: holds nothing: an epic needs at least one task"),
        ("epic: e\ntasks:\n", f"2:1: tasks: {NO_VALUE}"),
        ("epic: e\ntasks:\n  t:\n", f"3:3: tasks.t: {NO_VALUE}"),
        ("epic: e\ntasks:\n  a b: {run: x}", f"3:3: tasks.'a b': 'a b' is not an id: {ID_RULE}"),
        ("epic: 5\ntasks: {t: {run: x}}", "1:7: epic: 5 is not a text: write it in quotes"),
        ("epic: e\nmax_paralel: 3\ntasks: {t: {run: x}}",
         "2:1: max_paralel: unknown key (did you mean 'max_parallel'?)"),
        ("epic: e\nmax_parallel: 0\ntasks: {t: {run: x}}", "2:15: max_parallel: must be at least 1, not 0"),
        ("epic: e\nmax_cpus: 0\ntasks: {t: {run: x}}", "2:11: max_cpus: must be at least 0.01, not 0"),
        ("epic: e\nmax_memory: 1m\ntasks: {t: {run: x}}",
         "2:13: max_memory: must be at least 6m (the engine's lower limit), not '1m'"),
        ("epic: e\novercommit: {cpus: 0}\ntasks: {t: {run: x}}",
         "2:20: overcommit.cpus: must be at least 0.01, not 0"),
        ("epic: e\novercommit: {limit: 2}\ntasks: {t: {run: x}}",
         "2:14: overcommit.limit: unknown key; known are cpus, memory"),
        ("epic: e\nmax_cpus: 2\novercommit: {cpus: 2}\ntasks: {t: {run: x}}",
         "3:14: overcommit.cpus: max_cpus says it already: keep one of them"),
        ("epic: e\nfail_fast: yes\ntasks: {t: {run: x}}",
         "2:12: fail_fast: 'yes' is not a boolean: write true or false"),
        ("epic: e\ndefaults: {run: x}\ntasks: {t: {run: x}}",
         "2:12: defaults.run: is a key of tasks only: defaults cannot hold it"),
        ("epic: e\ntasks:\n  t: {run: x}\n---\nepic: f\n",
         "4:1: a second document begins here: an epic file holds one"),
        ("epic: e\ntasks:\n\tt: x\n", "3:1: tabs cannot indent YAML: use spaces"),
        ("epic: e\ntasks: " + "[" * 200, "2:107: nesting is deeper than 100 levels"),
        (b"epic: \xff\n", "1:7: is not UTF-8: save the file as UTF-8"),
        ("epic: e\n  \x1b[31m", "2:3: control character U+001B: remove it, or write it as an escape in double quotes"),
        ("epic: \ud800", "1:7: control character U+D800: remove it, or write it as an escape in double quotes"),
        ("#" * (MAX_BYTES + 1), "1:1: is larger than 8 MiB: split it into several epics"),
        ('{"epic": "e", "epic": "f", "tasks": {"t": {"run": "x"}}}',
         "1:15: epic: key is used twice in one map: remove or rename one of them"),
        ('{"epic": true, "tasks": {"t": {"run": "x"}}}', "1:10: epic: true is not a text: write it in quotes"),
        ('{"epic": "e", "timeout": NaN, "tasks": {"t": {"run": "x"}}}',
         "1:26: timeout: 'NaN' is not a duration: write it like 90s, 10m or 1h30m"),
        ('{"epic": "e",\n "tasks": {"t": {"run": "x", "user": -1}}}',
         "2:38: tasks.t.user: must be at least 0, not -1"),
    ],
)  # fmt: skip
def test_names_place_and_remedy_of_a_fault_in_a_file(text: str | bytes, problem: str) -> None:
    assert problems_of(text) == [problem]


@pytest.mark.parametrize("text", ["epic: [", "a: b: c", "epic: 'e", "- a\nb: c", "%", "epic: e\n tasks: x", "{", "@"])
def test_says_where_the_yaml_ends_to_be_yaml(text: str) -> None:
    (problem,) = problems_of(text)

    assert " is not valid YAML: " in problem


def test_reports_faults_of_yaml_fields_and_graph_in_one_pass() -> None:
    text = """\
epic: e
defaults: {image: 5}
tasks:
  lint: {comand: ruff}
  test: {run: x, depends_on: [lnt, lint]}
  a: {run: x, depends_on: [b]}
  b: {run: x, depends_on: [a], timeout: never}
  b: {run: &x x}
"""

    assert problems_of(text) == [
        "2:19: defaults.image: 5 is not a text: write it in quotes",
        "4:3: tasks.lint: has neither command nor run: give it one of them",
        "4:10: tasks.lint.comand: unknown key (did you mean 'command'?)",
        "5:31: task 'test' depends on 'lnt', which is not a task of this epic (did you mean 'lint'?)",
        "6:28: dependency cycle: a -> b -> a; remove one of these dependencies",
        "7:41: tasks.b.timeout: 'never' is not a duration: write it like 90s, 10m or 1h30m",
        "8:3: tasks.b: key is used twice in one map: remove or rename one of them",
        f"8:12: tasks.b.run: anchors (&x) are refused: {INSTEAD}",
    ]


def test_near_words_are_looked_for_a_few_times_only() -> None:
    tasks = {f"t{index}": {"run": "x", "imag": 1, "retry": {"on": ["infr"]}} for index in range(MAX_SUGGESTIONS)}

    problems = problems_of(json.dumps({"epic": "e", "tasks": tasks}))

    suggesting = ["did you mean" in problem for problem in problems]
    assert suggesting == [True] * MAX_SUGGESTIONS + [False] * MAX_SUGGESTIONS


def test_reports_every_fault_of_retries_at_once() -> None:
    text = """\
epic: e
defaults:
  retry: {limit: many, on: [disk], lmit: 2, backoff: {initial: 20s, max: 10s}}
tasks:
  plain: {run: x}
  longer: {run: x, retry: {limit: 1}}
  own:
    comand: x
    retry:
      on:
        - exit_code: 300
        - rain
      backoff: {max: 5s, factor: 0}
  mended: {run: x, retry: {backoff: {max: 20s}}, depends_on: [zzz]}
"""

    assert problems_of(text) == [
        "3:18: defaults.retry.limit: 'many' is not a whole number: write it in digits, without quotes",
        f"3:29: defaults.retry.on[0]: 'disk' {NO_CAUSE}",
        "3:36: defaults.retry.lmit: unknown key (did you mean 'limit'?)",
        f"3:64: defaults.retry.backoff.initial: {FIRST_PAUSE.format('20s', '10s')}",
        "7:3: tasks.own: has neither command nor run: give it one of them",
        "8:5: tasks.own.comand: unknown key (did you mean 'command'?)",
        "11:22: tasks.own.retry.on[0].exit_code: must be at most 255, not 300",
        f"12:11: tasks.own.retry.on[1]: 'rain' {NO_CAUSE}",
        f"13:22: tasks.own.retry.backoff.max: {FIRST_PAUSE.format('20s', '5s')}",
        "13:34: tasks.own.retry.backoff.factor: must be at least 1, not 0",
        "14:63: task 'mended' depends on 'zzz', which is not a task of this epic",
    ]


def test_faults_of_tasks_are_never_taken_for_one_of_the_defaults() -> None:
    text = "epic: e\ndefaults: {image: &x 5, user: !!str &y a}\ntasks:\n" + "".join(
        f"  {name}: {{run: x, image: {image}}}\n" for name, image in [("a", "*x"), ("b", "*x"), ("c", "7")]
    )

    assert [line.split(": ")[0] for line in problems_of(text)] == ["2:19", "2:31", "2:31", "4:22", "5:22", "6:22"]


def test_a_problem_carries_its_path() -> None:
    with pytest.raises(EpicError) as caught:
        load_text("epic: e\ntasks: {t: {run: x, quota: {pids: 0}}}", "e.yaml")

    assert caught.value.problems == (
        Problem("tasks.t.quota.pids: must be at least 1, not 0", ("tasks", "t", "quota", "pids"), "e.yaml", 2, 35),
    )


def test_the_pure_python_loader_finds_the_same_places(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "epic: e\nepic: f\ntasks:\n  t: {run: x, timeout: 0, image: *a}\n"
    with_c = problems_of(text)

    monkeypatch.setattr(reader, "_LOADER", yaml.SafeLoader)

    assert problems_of(text) == with_c


def test_a_rule_that_only_the_model_has_is_told_at_the_task(mocker: MockerFixture) -> None:
    mocker.patch("dockersched.epicfile.build.ScheduledTask", side_effect=ValueError("a rule of tomorrow"))

    assert problems_of("epic: e\ntasks:\n  t: {run: x}\n") == ["3:3: tasks.t: a rule of tomorrow"]


def refusal(source: str) -> str:
    with pytest.raises(EpicError) as caught:
        load(source)
    return str(caught.value)


def test_refuses_what_is_no_readable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    large = tmp_path / "large.yaml"
    large.touch()
    os.truncate(large, 2**40)

    assert refusal("none.yaml") == "none.yaml:1:1: cannot be read: no such file or directory"
    assert refusal(".") == ".:1:1: cannot be read: is a directory"
    assert refusal("a\0b") == "a\0b:1:1: cannot be read: embedded null byte"
    assert refusal("large.yaml") == "large.yaml:1:1: is larger than 8 MiB: split it into several epics"


def test_names_standard_input_in_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\xff")))

    assert refusal("-") == "<stdin>:1:1: is not UTF-8: save the file as UTF-8"


def test_finds_the_places_of_problems_that_only_an_engine_shows(tmp_path: Path) -> None:
    path = tmp_path / "e.yaml"
    path.write_text(
        """\
epic: e
defaults:
  quota: {cpus: 16}
tasks:
  a: {run: x}
  b: {run: x, quota: {memory: 1t}}
  c: {run: x, quota: {cpus: 2}}
"""
    )
    dag, capacity = load(str(path)).dag, Capacity(4, 2**30)
    found = check_capacity(dag, share_out(dag, EpicExecutionOptions(), capacity), capacity)

    located = [(problem.line, problem.column, problem.message) for problem in locate(found, str(path))]

    assert located == [
        (3, 17, "task 'a' asks for 16 CPUs, but the engine has 4: lower quota.cpus"),
        (6, 31, "task 'b' asks for 1 TiB of memory, but the engine has 1 GiB: lower quota.memory"),
    ]
    path.unlink()
    assert [str(problem) for problem in locate(found[:1], str(path))] == [f"{path}: {located[0][2]}"]
