"""The frame of the command: verbs, help, usage errors, exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import tomllib
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

import dockersched
from dockersched import cli, log
from dockersched.errors import (
    EngineUnavailableError,
    EpicError,
    EpicTimeoutError,
    Problem,
    RunnerError,
    StateError,
)
from dockersched.results import EpicResult
from dockersched.states import EpicState

NOW = datetime.now(UTC)
HEAVY = ("rich", "structlog", "docker", "asyncio", "yaml", "requests")

Execute = Callable[[Namespace], int]
Verb = Callable[[Execute], None]


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> Verb:
    """Makes a verb `demo` that does what it is told."""
    for variable in ("DOCKERSCHED_LOG_LEVEL", "DOCKERSCHED_LOG_FORMAT"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(log._Settings, "level", log._Settings.level)
    monkeypatch.setattr(log._Settings, "format", log._Settings.format)

    def make(execute: Execute) -> None:
        def configure(parser: ArgumentParser) -> None:
            parser.add_argument("epic", nargs="?")
            parser.add_argument("--fail-fast", action="store_true")

        module = ModuleType("dockersched.cli.demo")
        vars(module).update(HELP="show something", configure=configure, execute=execute)
        monkeypatch.setitem(sys.modules, "dockersched.cli.demo", module)
        monkeypatch.setattr(cli, "VERBS", ("demo", "other"))

    return make


def raising(error: BaseException) -> Execute:
    def execute(args: Namespace) -> int:
        raise error

    return execute


def command(*args: str, environ: Mapping[str, str] = os.environ) -> str:
    """What the command says on stdout."""
    return subprocess.run(
        [sys.executable, "-m", "dockersched", *args],
        capture_output=True,
        text=True,
        check=True,
        env=environ,
        cwd=Path(dockersched.__file__).parents[1],
    ).stdout


def test_a_verb_gets_its_arguments_and_gives_the_exit_code(verb: Verb) -> None:
    seen: list[Namespace] = []

    def execute(args: Namespace) -> int:
        seen.append(args)
        return 7

    verb(execute)

    assert cli.main(["demo", "a.yaml", "--fail-fast"]) == 7
    assert (seen[0].epic, seen[0].fail_fast) == ("a.yaml", True)


@pytest.mark.parametrize(
    ("argv", "prog", "message"),
    [
        ([], "dockersched", "a verb is missing: demo or other"),
        (["dmeo"], "dockersched", "there is no verb 'dmeo' (did you mean 'demo'?)"),
        (["xyz"], "dockersched", "there is no verb 'xyz'"),
        (["--quiet", "demo"], "dockersched", "a verb comes first, then options such as '--quiet'"),
        (
            ["demo", "--fail-fsat=1"],
            "dockersched demo",
            "there is no option '--fail-fsat' (did you mean '--fail-fast'?)",
        ),
        (["demo", "a", "b"], "dockersched demo", "'b' is one argument too many"),
        (
            ["demo", "--fail"],
            "dockersched demo",
            "there is no option '--fail' (did you mean '--fail-fast'?)",
        ),
        (
            ["demo", "--log-level", "loud"],
            "dockersched demo",
            "argument --log-level: must be one of debug, info, warning, error, not 'loud'",
        ),
    ],
)
def test_a_usage_error_is_one_line_and_exit_code_2(
    verb: Verb, capsys: pytest.CaptureFixture[str], argv: list[str], prog: str, message: str
) -> None:
    verb(lambda _: 0)

    assert cli.main(argv) == 2
    assert capsys.readouterr() == ("", f"{prog}: {message}; see {prog} --help\n")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (
            EpicError([Problem("bad cpus", file="a.yaml", line=3, column=5), Problem("bad\x1b[2J graph")]),
            2,
            "a.yaml:3:5: bad cpus\nbad\\x1b[2J graph\n",
        ),
        (RunnerError("no answer"), 3, "dockersched: no answer\n"),
        (EngineUnavailableError("set DOCKER_HOST."), 3, "dockersched: set DOCKER_HOST.\n"),
        (StateError("bad state"), 2, "dockersched: bad state\n"),
        (
            EpicTimeoutError("late", EpicResult("e", "r", EpicState.TIMED_OUT, {}, NOW, NOW)),
            4,
            "dockersched: late\n",
        ),
        (KeyboardInterrupt(), 130, "dockersched: interrupted\n"),
        (FileNotFoundError(2, "No such file", "x.yaml"), 1, "dockersched: [Errno 2] No such file: 'x.yaml'\n"),
    ],
)
def test_errors_become_words_and_exit_codes(
    verb: Verb, capsys: pytest.CaptureFixture[str], error: BaseException, code: int, text: str
) -> None:
    verb(raising(error))

    assert cli.main(["demo"]) == code
    assert capsys.readouterr() == ("", text)


def test_an_unreachable_engine_comes_with_a_remedy(verb: Verb, capsys: pytest.CaptureFixture[str]) -> None:
    verb(raising(EngineUnavailableError("the engine does not answer")))

    assert cli.main(["demo"]) == 3
    assert "DOCKER_HOST" in capsys.readouterr().err


def test_an_unforeseen_error_shows_a_traceback_to_developers_only(
    verb: Verb, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(raising(LookupError("oops")))

    assert cli.main(["demo"]) == 1
    plain = capsys.readouterr().err
    assert cli.main(["demo", "--log-level", "debug"]) == 1
    debug = capsys.readouterr().err

    assert plain.startswith("dockersched: LookupError: oops")
    assert plain.count("\n") == 1
    assert "Traceback" in debug


def test_logging_is_set_by_flag_over_environment(verb: Verb, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, str]] = []

    def execute(_: Namespace) -> int:
        seen.append((log._Settings.level, log._Settings.format))
        return 0

    verb(execute)
    monkeypatch.setenv("DOCKERSCHED_LOG_LEVEL", "info")
    monkeypatch.setenv("DOCKERSCHED_LOG_FORMAT", "json")

    cli.main(["demo"])
    cli.main(["demo", "--log-level", "error", "--log-format", "console"])

    assert seen == [(log.LEVELS["info"], "json"), (log.LEVELS["error"], "console")]


def test_a_bad_log_level_in_the_environment_is_refused(
    verb: Verb, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    verb(lambda _: 0)
    monkeypatch.setenv("DOCKERSCHED_LOG_LEVEL", "loud")

    assert cli.main(["demo"]) == 2
    assert "must be one of debug, info, warning, error, not 'loud'" in capsys.readouterr().err


def test_help_lists_every_verb_and_answers_fast() -> None:
    took, texts = [], set()
    unmeasured = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    for _ in range(5):
        before = time.perf_counter()
        texts.add(command("--help", environ=unmeasured))
        took.append(time.perf_counter() - before)

    (text,) = texts
    assert min(took) < 0.3
    assert all(f"\n    {verb} " in text for verb in cli.VERBS)


@pytest.mark.parametrize("verb_name", cli.VERBS)
def test_each_verb_has_help(verb_name: str) -> None:
    assert "--log-level" in command(verb_name, "--help")


def test_the_version_is_that_of_the_package() -> None:
    project = tomllib.loads(Path(dockersched.__file__).parents[1].joinpath("pyproject.toml").read_text())

    assert dockersched.__version__ == project["project"]["version"]
    assert command("--version") == f"dockersched {dockersched.__version__}\n"


def test_a_reader_of_stdout_that_hangs_up_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-m", "dockersched", "schema", "result"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
        cwd=Path(dockersched.__file__).parents[1],
    )
    os.close(writing)

    assert (process.returncode, process.stderr) == (141, b"")


@pytest.mark.parametrize(
    "modules",
    [
        ["dockersched", "dockersched.cli", *(f"dockersched.cli.{verb}" for verb in cli.VERBS)],
        [
            f"dockersched.report.{path.stem}"
            for path in Path(dockersched.__file__).parent.joinpath("report").glob("*.py")
            if path.stem not in ("live", "__init__")  # live is what a terminal's user pays for
        ],
    ],
)
def test_importing_costs_little(modules: list[str]) -> None:
    script = f"import sys, {', '.join(modules)}; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(dockersched.__file__).parents[1],
    )

    assert done.stdout == "\n"


def test_every_public_name_can_be_imported() -> None:
    for name in dockersched.__all__:
        assert getattr(dockersched, name).__module__.startswith("dockersched")
    assert sorted(dockersched.__all__) == dockersched.__all__ == sorted(dockersched._MODULE_OF)
    assert set(dockersched.__all__) <= set(dir(dockersched))


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = dockersched.Nonsense


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-parallel", "x", "'x' is not a whole number: write it in digits, without quotes"),
        ("--max-parallel", "0", "must be at least 1, not 0"),
        ("--prepare-ahead", "9" * 20, f"must be at most 2147483647, not {'9' * 20}"),
        ("--max-cpus", "0", "must be at least 0.01, not 0"),
        ("--max-cpus", "inf", "'inf' is not a number of CPUs: write it like 2 or 0.5"),
        ("--max-cpus", "1e300", "must be at most 1,000,000, not 1e300"),
        ("--max-cpus", "two", "'two' is not a number of CPUs: write it like 2 or 0.5"),
        ("--timeout", "9999999999999999d", "must be at most 366d, not '9999999999999999d'"),
        ("--max-memory", "1m", "must be at least 6m (the engine's lower limit), not '1m'"),
        ("--max-memory", "99999999t", "must be at most 1048576t, not '99999999t'"),
        ("--max-memory", "much", "'much' is not a size: write it like 512m, 2g or 1048576"),
    ],
)
def test_a_limit_that_cannot_be_one_is_refused(
    option: str, value: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    epic = tmp_path / "e.yaml"
    epic.write_text("epic: e\ntasks: {t: {run: x}}\n")

    assert cli.main(["run", str(epic), option, value, "--state-dir", str(tmp_path)]) == 2

    assert capsys.readouterr().err == f"dockersched: {option} {value}: {words}\n"
