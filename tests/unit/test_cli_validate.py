"""`dockersched validate` and `dockersched schema`, without an engine but for a stub of one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dockersched.cli import main, validate
from dockersched.epicfile import epic_schema
from dockersched.report.document import result_schema
from dockersched.sandbox.docker.capacity import engine_features
from dockersched.sandbox.docker.features import EngineFeatures

GOOD = "epic: e\ntasks: {t: {run: x}}\n"


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.chdir(tmp_path)
    validate._engine_features.cache_clear()
    yield
    validate._engine_features.cache_clear()


class _Engine(BaseHTTPRequestHandler):
    info: object = {"NCPU": 2, "MemTotal": 2**30, "Runtimes": {"runc": {"path": "runc"}}}

    def do_GET(self) -> None:
        versions = {"Version": "20.10.24", "ApiVersion": "1.41"}
        body = json.dumps(versions if self.path == "/version" else self.info).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the library's
        pass


@pytest.fixture
def small_engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Engine) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_says_that_good_files_are_good(capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.yaml").write_text(GOOD)
    Path("two.json").write_text('{"epic": "e", "tasks": {"a": {"run": "x"}, "b": {"run": "x"}}}')

    code = main(["validate", "one.yaml", "two.json"])

    assert code == 0
    assert capsys.readouterr() == ("one.yaml: ok (1 task)\ntwo.json: ok (2 tasks)\n", "")


def test_lists_every_problem_of_every_file(capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.yaml").write_text("epic: e\ntasks: {t: {rum: x, timeout: 0}}\n")
    Path("good.yaml").write_text(GOOD)

    code = main(["validate", "bad.yaml", "good.yaml", "none.yaml"])

    assert code == 2
    out, err = capsys.readouterr()
    assert out == "good.yaml: ok (1 task)\n"
    assert err.splitlines() == [
        "bad.yaml:2:9: tasks.t: has neither command nor run: give it one of them",
        "bad.yaml:2:13: tasks.t.rum: unknown key (did you mean 'run'?)",
        "bad.yaml:2:30: tasks.t.timeout: 0 is not above zero: write it like 90s, 10m or 1h30m",
        "none.yaml:1:1: cannot be read: no such file or directory",
    ]


def test_shows_control_characters_of_a_file_name_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", "a\n\x1b[31mb"]) == 2

    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert len(err.splitlines()) == 1


@pytest.mark.usefixtures("small_engine")
def test_reports_quotas_that_the_engine_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.yaml").write_text("epic: e\ntasks:\n  t: {run: x, quota: {cpus: 3, memory: 2g}}\n")

    code = main(["validate", "e.yaml"])

    assert code == 2
    assert capsys.readouterr().err.splitlines() == [
        "e.yaml:3:29: task 't' asks for 3 CPUs, but the engine has 2: lower quota.cpus",
        "e.yaml:3:40: task 't' asks for 2 GiB of memory, but the engine has 1 GiB: lower quota.memory",
    ]


@pytest.mark.usefixtures("small_engine")
def test_reports_a_runtime_that_the_engine_does_not_have(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.yaml").write_text(
        "epic: e\ndefaults:\n  runtime: runsc\ntasks:\n  t: {run: x}\n  u: {run: x, runtime: runc}\n"
    )

    code = main(["validate", "e.yaml"])

    assert code == 2
    assert capsys.readouterr().err.splitlines() == [
        "e.yaml:3:12: task 't' wants the runtime 'runsc', which the engine does not have (it has runc): "
        "install it there and name it in the engine's daemon.json, or change runtime",
    ]


@pytest.mark.usefixtures("small_engine")
def test_what_fits_the_engine_is_good(capsys: pytest.CaptureFixture[str]) -> None:
    Path("e.yaml").write_text("epic: e\ntasks:\n  t: {run: x, quota: {cpus: 2, memory: 800m}}\n  u: {run: x}\n")

    assert main(["validate", "e.yaml"]) == 0
    assert capsys.readouterr().out == "e.yaml: ok (2 tasks)\n"


@pytest.mark.usefixtures("small_engine")
def test_asks_the_engine_what_it_has() -> None:
    assert engine_features() == EngineFeatures(2, 2**30, frozenset({"runc"}), is_local=False)


@pytest.mark.usefixtures("small_engine")
def test_does_without_an_engine_that_does_not_know_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Engine, "info", {"NCPU": None})

    assert engine_features() is None


@pytest.mark.parametrize("host", ["unix:///none.sock", "tcp://127.0.0.1:1", "nonsense://"])
def test_does_without_an_engine(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", host)

    assert engine_features() is None


@pytest.mark.parametrize(
    ("arguments", "schema"), [([], epic_schema()), (["epic"], epic_schema()), (["result"], result_schema())]
)
def test_prints_schemas(arguments: list[str], schema: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", *arguments]) == 0

    assert json.loads(capsys.readouterr().out) == schema
