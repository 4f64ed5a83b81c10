"""What tasks hand on to each other: found wrong before anything starts, and filled in when a task does."""

from __future__ import annotations

import pytest

from dockersched import ParallelTaskScheduler
from dockersched.epicfile import load_text
from dockersched.errors import EpicError, ValueReferenceError
from dockersched.graph.dag import TaskDAG
from dockersched.model import Input, Output, ScheduledTask, Workspace
from dockersched.results import OutputSummary, SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.handover import input_trees, with_values
from tests.unit.test_epicfile_problems import problems_of

BUILD = ScheduledTask("build", [], "make", outputs={"report": Output("out/")})
VERSION = "${{ tasks.build.values.version }}"


def user(**fields: object) -> ScheduledTask:
    return ScheduledTask("use", [], "cat", **fields)  # type: ignore[arg-type]


def test_using_what_a_task_makes_is_depending_on_it() -> None:
    task = ScheduledTask(
        "use",
        ["first"],
        "cat",
        args=[VERSION],
        environment={"A": "${{ tasks.other.values.a }}"},
        inputs=[Input("build", "report", "/workspace/in"), Input("first", "x", "/workspace")],
    )
    assert task.depends_on == ("first", "build", "other")


def test_a_task_that_others_refer_to_writes_values() -> None:
    dag = TaskDAG([BUILD, user(args=[VERSION, "${{ tasks.build.values.date }}"])])
    assert dag["build"].values == ("version", "date")
    assert dag["use"].values is None


@pytest.mark.parametrize(
    ("task", "path", "message"),
    [
        (user(inputs=[Input("biuld", "report", "/workspace")]), ("inputs", 0, "from"),
         "takes an input from 'biuld', which is not a task of this epic (did you mean 'build'?)"),
        (user(inputs=[Input("build", "reprot", "/workspace")]), ("inputs", 0, "from"),
         "which has none of that name (did you mean 'report'?): add it to the outputs of 'build'"),
        (user(inputs=[Input("use", "x", "/workspace")]), ("inputs", 0, "from"), "takes an input from itself"),
        (user(args=["${{ tasks.biuld.values.x }}"]), ("args", 0), "is not a task of this epic (did you mean 'build'?)"),
        (user(environment={"X": "${{ tasks.use.values.x }}"}), ("environment", "X"), "refers to the task itself"),
    ],
)  # fmt: skip
def test_names_what_nothing_makes(task: ScheduledTask, path: tuple[object, ...], message: str) -> None:
    with pytest.raises(EpicError) as raised:
        TaskDAG([BUILD, task])
    (problem,) = raised.value.problems
    assert problem.path == ("tasks", "use", *path)
    assert message in problem.message


def test_names_a_value_that_is_not_declared() -> None:
    declares = ScheduledTask("build", [], "make", values=["version"])
    with pytest.raises(EpicError, match=r"no value 'verson' \(did you mean 'version'\?\): add it to the values of"):
        TaskDAG([declares, user(args=["${{ tasks.build.values.verson }}"])])


def test_a_cycle_through_inputs_is_a_cycle() -> None:
    first = ScheduledTask("a", [], "x", inputs=[Input("b", "o", "/workspace")], outputs={"o": Output("o")})
    second = ScheduledTask("b", [], "x", args=["${{ tasks.a.values.v }}"], outputs={"o": Output("o")})
    with pytest.raises(EpicError, match="dependency cycle: a -> b -> a"):
        TaskDAG([first, second])


class Recording:
    """A runner whose `build` makes something."""

    def __init__(self) -> None:
        self.seen: dict[str, SandboxRunOptions] = {}

    async def run(self, options: SandboxRunOptions) -> SandboxResult:
        self.seen[options.task_id] = options
        outputs = {"report": OutputSummary("ab" * 32, "/artifacts", 1, 2)}
        return SandboxResult(options.sandbox_id, 0, outputs=outputs, values={"version": "1.2 ${{ x"})


async def test_a_runner_is_told_what_was_made_upstream() -> None:
    runner = Recording()
    plain = ScheduledTask("plain", ["build"], "x")
    task = user(args=["-v", f"v{VERSION}"], environment={"V": VERSION}, inputs=[Input("build", "report", "/workspace")])
    await ParallelTaskScheduler(runner).execute_epic([BUILD, task, plain])

    options = with_values(runner.seen["use"])
    assert options.args == ("-v", "v1.2 ${{ x")
    assert options.environment == {"V": "1.2 ${{ x"}
    assert [(str(tree.digest), tree.at) for tree in input_trees(options)] == [("ab" * 32, "/workspace")]
    assert runner.seen["plain"].upstream == {}
    assert with_values(runner.seen["plain"]) is runner.seen["plain"]


def test_a_value_that_is_missing_is_an_error_and_an_output_that_is_missing_is_left_out() -> None:
    made = SandboxResult("e.build", 0)
    options = SandboxRunOptions(
        "e.use", "x", args=[VERSION], inputs=[Input("build", "report", "/workspace")], upstream={"build": made}
    )
    with pytest.raises(ValueReferenceError, match="wrote no value 'version'"):
        with_values(options)
    assert input_trees(options) == []


def test_reads_the_keys_of_files() -> None:
    epic = load_text(
        """
        epic: e
        defaults: {workspace: src}
        tasks:
          build:
            run: make $${{ x
            workspace: {source: /abs, include: ['*.c'], exclude: [x], gitignore: false, git: true, size: 2m}
            outputs: {report: /workspace/out/, log: {path: a/b, required: false, when: always, max_size: 1k}}
            values: [version]
          use: {inputs: [build.report, {from: build.log, at: /workspace/l}], command: x, args: ['$${{ y']}
        """,
        "/epics/e.yaml",
    )
    build, use = epic.dag["build"], epic.dag["use"]
    assert build.workspace == Workspace("/abs", ["*.c"], ["x"], gitignore=False, git=True, size_bytes=2 * 2**20)
    assert build.outputs == {"report": Output("out"), "log": Output("a/b", False, "always", 1024)}
    assert build.values == ("version",)
    assert use.workspace == Workspace("/epics/src")
    assert use.inputs == (Input("build", "report", "/workspace/report"), Input("build", "log", "/workspace/l"))
    assert use.depends_on == ("build",)
    options = with_values(SandboxRunOptions("e", "sh", args=build.args))
    assert options.args[-1] == "make $${{ x", "a script is taken as it is"
    assert with_values(SandboxRunOptions("e", "x", args=use.args)).args == ("${{ y",)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ("run: 'echo ${{ tasks.a.values.v }}'",
         "3:12: tasks.t.run: ${{ tasks.a.values.v }} would put what another task wrote into a script, as code"),
        ("command: x, args: ['${{ no }}']", "3:26: tasks.t.args[0]: '${{ no }}' is no reference"),
        ("run: x, environment: {A: '${{ tasks.a.values.v'}",
         "tasks.t.environment.A: '${{ tasks.a.values.v' does not end"),
        ("command: x, args: ['${{ tasks.b.values.v }}']", "refers to 'b', which is not a task of this epic"),
        ("run: x, inputs: [a]", "tasks.t.inputs[0].from: 'a' is no output of a task: write TASK.OUTPUT"),
        ("run: x, inputs: [a.r]", "has none of that name: add it to the outputs of 'a'"),
        ("run: x, inputs: [{at: /workspace}]", "tasks.t.inputs[0].from: is missing: every input needs it"),
        ("run: x, inputs: [{from: a.r, at: /etc}]", "must be /workspace or below it, not '/etc'"),
        ("run: x, outputs: {r: /etc}",
         "tasks.t.outputs.r.path: must be below /workspace and relative to it, not '/etc'"),
        ("run: x, outputs: {r: {}}", "tasks.t.outputs.r.path: is missing: every output needs it"),
        ("run: x, outputs: {a.b: out}", "'a.b' is not the name of an output: use up to 63 letters"),
        ("run: x, outputs: {retry: {path: x, wehn: always}}",
         "tasks.t.outputs.retry.wehn: unknown key (did you mean 'when'?)"),
        ("run: x, workspace: {include: [../x]}", "'../x' leads out of the source"),
        ("run: x, workspace: {size: 1k}", "tasks.t.workspace.size: must be at least 64k, not '1k'"),
        ("run: x, values: ['1x']", "'1x' is no key: use up to 100 letters"),
        ("run: x, workspace: ., tmpfs: {/workspace/tmp: 1m}", "put something at '/workspace/tmp', in /workspace"),
    ],
)  # fmt: skip
def test_names_what_is_wrong_with_the_keys_of_files(fields: str, problem: str) -> None:
    (line,) = problems_of(f"epic: e\ntasks:\n  t: {{{fields}}}\n  a: {{run: x}}\n")
    assert problem in line


def test_defaults_hold_no_outputs() -> None:
    (line,) = problems_of("epic: e\ndefaults: {outputs: {a: b}}\ntasks: {t: {run: x}}\n")
    assert "is a key of tasks only: defaults cannot hold it" in line


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workspace(""),
        lambda: Workspace(".", size_bytes=1),
        lambda: Output("../x"),
        lambda: Output("/workspace"),
        lambda: Output(f"out/{'x' * 256}"),
        lambda: Output("x", max_bytes=0),
        lambda: Output("x", max_depth=257),
        lambda: Input("a", "b", "/workspace/../etc"),
        lambda: Input("a", "b", f"/workspace/{'x' * 256}"),
        lambda: user(outputs={"a.b": Output("x")}),
        lambda: user(values=["1"]),
        lambda: user(outputs={"a": Output("x")}, tmpfs={"/run/dockersched": "1m"}),
    ],
)
def test_the_model_refuses_what_cannot_be_right(make: object) -> None:
    with pytest.raises(ValueError, match=r"must|cannot|choose another path"):
        make()  # type: ignore[operator]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Workspace(".", gitignore="yes"),  # type: ignore[arg-type]
        lambda: Workspace(".", include="*.c"),
        lambda: Output("x", required=1),  # type: ignore[arg-type]
        lambda: user(workspace="."),
        lambda: user(outputs=["x"]),
        lambda: user(outputs={"a": "x"}),
        lambda: user(inputs="a.b"),
        lambda: user(inputs=["a.b"]),
    ],
)
def test_the_model_refuses_other_types(make: object) -> None:
    with pytest.raises(TypeError):
        make()  # type: ignore[operator]
