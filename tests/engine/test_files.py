"""Files and values go into sandboxes and come out of them, on a real engine, and nothing else does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.api import APIClient

from dockersched.store.database import StateStore
from tests.support.bench import until
from tests.support.file_bench import FileBench, Task, outcomes, tree_of

FAILED = "failed"
KEY = "FILES_TEST_KEY"
LOOK = r"""
cat a.txt sub/b.txt
stat -c '%n %u:%g %a' . a.txt sub run.sh
./run.sh
ls -A; pwd
echo changed > a.txt; echo new > new.txt; rm sub/b.txt; mkdir sub/deep; touch sub/deep/x
touch /x 2>/dev/null || echo root is read-only
touch /run/dockersched/x 2>/dev/null || echo so is the folder of values
cat a.txt; ls sub
"""


@pytest.fixture
def bench(engine: APIClient, tmp_path: Path) -> Iterator[FileBench]:
    made = FileBench(engine, tmp_path)
    yield made
    made.close()


def seen_by(owner: str) -> str:
    """What `LOOK` shows to a user."""
    entries = {".": 755, "a.txt": 644, "sub": 755, "run.sh": 755}
    stats = "".join(f"{name} {owner} {mode}\n" for name, mode in entries.items())
    files = ".gitignore\na.txt\nrun.sh\nsub\n"
    refused = "root is read-only\nso is the folder of values\n"
    return f"first\nsecond\n{stats}ran\n{files}/workspace\n{refused}changed\ndeep\n"


def test_each_sandbox_begins_with_a_copy_of_the_folder_that_is_its_users(bench: FileBench) -> None:
    bench.put(
        **{"a.txt": "first\n", "run.sh": "#!/bin/sh\necho ran\n", ".gitignore": "*.log\n/build/\n", "b.log": "no"}
    )
    (bench.source / "run.sh").chmod(0o700)
    for name in ("sub", "build", ".git"):
        (bench.source / name).mkdir()
        (bench.source / name / "b.txt").write_text("second\n")
    before = tree_of(bench.source)
    users: dict[str, Task] = {
        "number": {},
        "group": {"user": "1234:4321"},
        "name": {"user": "nobody"},
        "root": {"user": "0:0"},
        "trusted": {"profile": "trusted", "read_only": True},
    }
    bench.run_tasks(
        **{name: {"run": LOOK, "workspace": "source", "values": [], **user} for name, user in users.items()}
    )
    named = bench.log("name").replace(". 0:0 1777", ". 65534:65534 755")  # whose it is is known when it is made
    assert named == seen_by("65534:65534")
    assert bench.log("number") == seen_by("65534:65534")
    assert bench.log("group") == seen_by("1234:4321")
    for name in ("root", "trusted"):
        assert bench.log(name).replace("so is the folder of values\n", "") == seen_by("0:0").replace(
            "so is the folder of values\n", ""
        )
    assert tree_of(bench.source) == before
    assert not (bench.state_dir / "runs" / bench.run_id / "artifacts").exists()


def test_the_folder_that_a_command_starts_in_is_its_users(bench: FileBench) -> None:
    (bench.source / "old").mkdir(mode=0o700)
    bench.put(**{"old/a.txt": "first\n"})
    look = "pwd; stat -c '%u:%g %a' . ..; touch x && ls -A"
    bench.run_tasks(
        made={"run": look, "workspace": "source", "working_dir": "/workspace/new/deep/"},
        there={"run": look, "workspace": "source", "working_dir": "/workspace/old", "user": "1234:4321"},
        empty={"run": look, "workspace": {}, "working_dir": "/workspace/./new", "user": "nobody"},
        outside={"run": "pwd", "workspace": "source", "working_dir": "/workspace/../tmp"},
    )
    assert bench.log("made") == "/workspace/new/deep\n65534:65534 755\n65534:65534 755\nx\n"
    assert bench.log("there") == "/workspace/old\n1234:4321 755\n1234:4321 755\na.txt\nx\n"
    assert bench.log("empty").startswith("/workspace/new\n65534:65534 755\n")
    assert bench.log("empty").endswith("\nx\n")
    assert bench.log("outside") == "/tmp\n"


def test_outputs_come_out_as_the_task_ended(bench: FileBench) -> None:
    made = "mkdir -p out/deep; echo one > out/1; echo two > out/deep/2; echo '#!' > out/tool; chmod +x out/tool"
    log = {"path": "run.log", "when": "always"}
    report = {"path": "out", "required": False}
    found = bench.run_tasks(
        1,
        fine={
            "run": f"{made}; echo fine > run.log",
            "outputs": {"report": "out/", "log": log, "no": report | {"path": "x"}},
        },
        fails={"run": f"{made}; echo fails > run.log; exit 3", "outputs": {"report": report, "log": log}},
        slow={"run": "echo slow > run.log; sleep 60", "timeout": "1s", "outputs": {"report": report, "log": log}},
        lacks={"run": "echo x > other", "outputs": {"report": "other/out", "other": "other"}},
        fails_and_lacks={"run": "exit 4", "outputs": {"report": {"path": "out", "when": "always"}}},
        empty={"run": "mkdir out", "outputs": {"report": "out"}},
        after={"run": "true", "depends_on": ["lacks"]},
    )
    assert outcomes(found) == {
        "fine": ("succeeded", None),
        "fails": (FAILED, "exit_code"),
        "slow": (FAILED, "timed_out"),
        "lacks": (FAILED, "output_missing"),
        "fails_and_lacks": (FAILED, "exit_code"),
        "empty": ("succeeded", None),
        "after": ("upstream_failed", "upstream_failed"),
    }
    assert bench.artifacts("fine") == {
        "report/1": "one\n", "report/deep/2": "two\n", "report/tool": "#!\n", "log/run.log": "fine\n"
    }  # fmt: skip
    assert bench.artifacts("fails") == {"log/run.log": "fails\n"}
    assert bench.artifacts("slow") == {"log/run.log": "slow\n"}
    assert bench.artifacts("lacks") == {"other/other": "x\n"}
    assert found["lacks"]["exit_code"] == 0
    assert "'report'" in found["lacks"]["detail"]
    folder = bench.state_dir / "runs" / bench.run_id / "artifacts"
    assert list((folder / "empty" / "report").iterdir()) == []
    assert os.access(folder / "fine" / "report" / "tool", os.X_OK)
    assert (folder / "fine" / "report" / "1").stat().st_mode & 0o111 == 0


def test_inputs_are_what_earlier_tasks_left(bench: FileBench) -> None:
    bench.put(**{"a.txt": "of the source\n"})
    show = (
        "cd /workspace; find . -type f | sort | while read f; do echo $f: $(cat $f); done; stat -c '%u:%g %a' left/tool"
    )
    bench.run_tasks(
        one={
            "run": "mkdir out; echo first > out/1; echo '#!' > out/tool; chmod +x out/tool; echo single > only",
            "outputs": {"report": "out", "single": "only", "not_made": {"path": "x", "required": False}},
        },
        two={"run": "mkdir out; echo second > out/2", "outputs": {"report": "out"}},
        both={
            "run": f"{show}; echo more >> left/1; rm left/tool; cat left/1",
            "user": "1234:4321",
            "workspace": "source",
            "inputs": [
                {"from": "one.report", "at": "/workspace/left"},
                {"from": "two.report", "at": "/workspace"},
                "one.single",
                {"from": "one.single", "at": "/workspace/.config"},
                "one.not_made",
            ],
        },
        plain={"run": "pwd; ls; echo x > report/1; cat report/1", "inputs": ["one.report"]},
    )
    hidden = "./.config/only: single\n"
    files = f"{hidden}./2: second\n./a.txt: of the source\n./left/1: first\n./left/tool: #!\n./single/only: single\n"
    assert bench.log("both") == f"{files}1234:4321 755\nfirst\nmore\n"
    assert bench.log("plain") == "/workspace\nreport\nx\n"
    assert bench.artifacts("one")["report/1"] == "first\n"


def test_values_are_handed_on_as_texts(bench: FileBench) -> None:
    write = """
    echo plain='$(touch /tmp/x) "quoted" ${HOME}' >> $DOCKERSCHED_OUTPUT
    printf 'lines<<END\\none\\n\\nthree\\nEND\\n' >> $DOCKERSCHED_OUTPUT
    echo secret=is-$(cat /run/secrets/KEY)-there >> $DOCKERSCHED_OUTPUT
    """
    references = {name: f"${{{{ tasks.writes.values.{name} }}}}" for name in ("plain", "lines", "secret")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY, "sk-0123456789")
        bench.run_tasks(
            writes={"run": write, "secrets": {"KEY": {"env": KEY}}},
            reads={
                "command": "sh",
                "args": ["-c", 'echo "$1"; echo "$LINES_"; echo "$SECRET"; ls /tmp', "sh", f"<{references['plain']}>"],
                "environment": {"LINES_": references["lines"], "SECRET": references["secret"]},
            },
        )
    assert bench.log("reads") == '<$(touch /tmp/x) "quoted" ${HOME}>\none\n\nthree\nis-***-there\n'


def test_values_that_are_missing_or_none_have_a_reason_of_their_own(bench: FileBench) -> None:
    uses = {"command": "true", "environment": {"V": "${{ tasks.forgets.values.version }}"}}
    found = bench.run_tasks(
        1,
        forgets={"run": "echo other=1 >> $DOCKERSCHED_OUTPUT"},
        uses=uses,
        babbles={"run": "echo no value >> $DOCKERSCHED_OUTPUT", "values": ["a"]},
        binary={"run": "printf 'a=\\377' >> $DOCKERSCHED_OUTPUT", "values": ["a"]},
        floods={"run": "{ printf a=; head -c 70000 /dev/zero | tr '\\0' x; } >> $DOCKERSCHED_OUTPUT", "values": ["a"]},
        hides={"run": "rm -f $DOCKERSCHED_OUTPUT || echo kept; echo a=1 > $DOCKERSCHED_OUTPUT", "values": ["a"]},
        fails={"run": "echo no value >> $DOCKERSCHED_OUTPUT; exit 3", "values": ["a"]},
        removes={"run": "rm $DOCKERSCHED_OUTPUT", "values": ["a"], "user": "0"},
    )
    bad = (FAILED, "bad_values")
    assert outcomes(found) == {
        "forgets": ("succeeded", None),
        "uses": (FAILED, "value_missing"),
        "babbles": bad,
        "binary": bad,
        "floods": bad,
        "hides": ("succeeded", None),
        "fails": (FAILED, "exit_code"),
        "removes": bad,
    }
    assert "kept\n" in bench.log("hides")
    assert "forgets" in found["uses"]["detail"]
    assert "version" in found["uses"]["detail"]
    assert "'no value' is no value" in found["babbles"]["detail"]


HOSTILE = {
    "symbolic link": "ln -s /etc/passwd out/bad",
    "hard link": "echo x > out/a; ln out/a out/bad",
    "named pipe": "mkfifo out/bad",
    "control character": r"echo x > out/$(printf 'bad\033[2J')",
}


def test_what_could_harm_the_host_is_refused_with_its_name(bench: FileBench) -> None:
    """All of an output comes out, or nothing of it."""
    tasks: dict[str, Task] = {
        kind.replace(" ", "-"): {"run": f"mkdir out; echo good > out/good; {script}", "outputs": {"report": "out"}}
        for kind, script in HOSTILE.items()
    }
    device = {"run": "mkdir out; mknod out/bad c 1 3", "profile": "trusted", "cap_add": ["MKNOD"]}
    tasks["character-device"] = device | {"outputs": {"report": "out"}}
    above = {"run": "mkdir real; echo x > real/file; ln -s real out", "outputs": {"report": "out/file"}}
    values = {
        "run": "rm $DOCKERSCHED_OUTPUT && ln -s /etc/shadow $DOCKERSCHED_OUTPUT",
        "profile": "trusted",
        "values": ["a"],
    }
    found = bench.run_tasks(1, **tasks, above=above, itself={**above, "outputs": {"report": "out"}}, values=values)
    assert set(outcomes(found).values()) == {(FAILED, "output_refused")}
    for kind in [*HOSTILE, "character device"]:
        task = found[kind.replace(" ", "-")]
        assert kind in task["detail"]
        assert "out/bad" in task["detail"] or "out/a" in task["detail"]
    for name in ("above", "itself"):
        assert "out: is a symbolic link" in found[name]["detail"]
    assert "output: is a symbolic link" in found["values"]["detail"]
    for name in found:
        assert bench.artifacts(name) == {}


def test_limits_of_an_output_hold_and_are_named(bench: FileBench) -> None:
    run = "mkdir -p out/a/b/c; echo x > out/a/b/c/d; head -c 5000 /dev/zero > out/big"
    just = {"max_size": 5002, "max_entries": 5, "max_depth": 4}
    found = bench.run_tasks(
        1,
        **{name: _reports(run, **just | {name: limit - 1}) for name, limit in just.items()},
        within=_reports(run, **just),
        hole=_reports("mkdir out; truncate -s 5003 out/big", **just),
    )
    assert outcomes(found) == {
        **dict.fromkeys([*just, "hole"], (FAILED, "output_refused")),
        "within": ("succeeded", None),
    }
    details = {name: task["detail"] for name, task in found.items()}
    assert "out/big: makes the archive larger than" in details["max_size"]
    assert "max_size" in details["hole"]
    assert "4 entries allowed (max_entries)" in details["max_entries"]
    assert "d: is deeper than the 3 steps allowed (max_depth)" in details["max_depth"]


def test_an_output_that_is_refused_half_read_does_not_hold_up_the_run(bench: FileBench) -> None:
    began = time.monotonic()
    run = "mkdir out; head -c 30000000 /dev/zero > out/big"
    found = bench.run_tasks(1, large=_reports(run, max_size=1000))
    assert outcomes(found) == {"large": (FAILED, "output_refused")}
    assert time.monotonic() - began < 20


def test_a_run_whose_own_disk_is_full_breaks_off_and_goes_on_with_its_outputs(bench: FileBench) -> None:
    bench.state_dir.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", bench.state_dir], check=True)
    try:
        bench.write({"large": _reports("mkdir out; head -c 6000000 /dev/zero > out/big")})
        broken = bench.run("run", "epic.json", "--new")
        assert broken.returncode == 2, broken.stderr
        assert "No space left on device" in broken.stderr
        subprocess.run(["mount", "-o", "remount,size=64m", bench.state_dir], check=True)
        assert bench.run("resume").returncode == 0
        assert [len(content) for content in bench.artifacts("large").values()] == [6_000_000]
        assert bench.on_engine() == []
    finally:
        subprocess.run(["umount", "-l", bench.state_dir], check=True)


def test_a_workspace_holds_what_its_size_says_and_no_more(bench: FileBench) -> None:
    bench.put(**{"a.txt": "x" * 100_000})
    fill = "head -c 9000000 /dev/zero > full || echo ended $?; echo y > other || true; cat full other a.txt | wc -c"
    workspace = {"source": "source", "size": "1m"}
    bench.run_tasks(fills={"run": f"exec 2>&1; {fill}", "workspace": workspace, "quota": {"memory": "16m"}})
    said, written = bench.log("fills").rsplit("\n", 2)[:2]
    assert "No space left on device" in said
    assert "ended 1" in said
    assert 2**20 - 2 * 4096 <= int(written) <= 2**20
    (bench.source / "b.txt").write_bytes(bytes(2**20))
    refused = bench.run("run", "epic.json", "--new")
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "exclude what is not needed, or raise workspace.size" in refused.stderr
    assert bench.on_engine() == []


def test_nothing_is_left_of_a_run_that_was_ended(bench: FileBench) -> None:
    log = {"outputs": {"log": {"path": "a.txt", "when": "always"}}}
    process = bench.begin({"long": {"run": "echo x > a.txt; sleep 60", "values": ["key"], **log}})
    until(lambda: len(bench.on_engine()) == 4)
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM
    assert bench.on_engine() == []
    bench.begin_and_kill({"long": {"run": "sleep 60", **log}})
    assert len(bench.on_engine()) == 3
    assert bench.run("gc").returncode == 0
    assert bench.on_engine() == []


def test_a_retry_that_cannot_take_over_an_output_begins_nothing(bench: FileBench) -> None:
    bench.run_tasks(
        1,
        makes={"run": "echo x > out", "outputs": {"report": "out"}},
        fails={"run": "exit 1", "inputs": ["makes.report"]},
    )
    shutil.rmtree(bench.state_dir / "store" / "objects")
    refused = bench.run("retry", bench.run_id)
    assert refused.returncode == 2
    assert refused.stderr.startswith("dockersched: what task 'makes' made cannot be taken over (tree ")
    assert refused.stderr.count("\n") == 1
    assert [run.run_id for run in StateStore(bench.state_dir).runs()] == [bench.run_id]
    assert bench.run("gc").stdout.endswith(" (not started)\n")  # it was announced, so that its folder is there
    assert [run.name for run in (bench.state_dir / "runs").iterdir()] == [bench.run_id]


def test_one_folder_is_packed_once_for_all_sandboxes(bench: FileBench) -> None:
    bench.put(**{"a.txt": "first\n"})
    again = {"run": "cat a.txt", "workspace": {"source": "./source"}}
    bench.write({str(number): again for number in range(10)})
    done = bench.run("run", "epic.json", "--new", "--log-level", "info")
    assert done.returncode == 0, done.stderr
    assert [bench.log(str(number)) for number in range(10)] == ["first\n"] * 10
    assert done.stderr.count(f"packed {bench.source}") == 1
    assert len(list((bench.state_dir / "store" / "packs").iterdir())) == 1


def _reports(run: str, **limits: int) -> Task:
    return {"run": run, "outputs": {"report": {"path": "out", **limits}}}
