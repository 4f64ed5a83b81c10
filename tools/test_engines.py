"""Run the tests that need an engine on several engines, and print a table: `test_engines FOLDER… [-- PYTEST ARGS…]`.

The first engine is the one that the environment names, the others are those whose programs are in the folders; each of
these gets a network of its own, which its tests share. `make test-engines` runs it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dockersched.sandbox.docker.connection import EngineEndpoint, make_client, resolve_endpoint
from dockersched.sandbox.docker.dial import fetch_version
from tests.support.engine_room import search_path
from tests.support.private_engine import API_VERSION, PrivateEngine, why_no_private_engine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "test-results"
SUITES = ("contract", "engine", "faults")
IMAGES = "dockersched*/*"
NO_TESTS = 5


@dataclass(frozen=True, slots=True)
class Subject:
    """An engine under test: its version, and how a test of it is run."""

    version: str
    environ: Mapping[str, str]
    prefix: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of one suite on one engine."""

    passed: int
    failed: int
    skipped: int
    seconds: float

    def __str__(self) -> str:
        skipped = f" / {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} / {self.failed}{skipped} / {self.seconds:.0f} s"


def figures(report: Path) -> Figures:
    """The figures of a JUnit report."""
    suite = ET.parse(report).getroot().find("testsuite")  # noqa: S314 (pytest wrote it a moment ago)
    if suite is None:
        raise SystemExit(f"{report} holds no test suite")
    tests, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    return Figures(tests - failed - skipped, failed, skipped, float(suite.get("time", 0)))


def run_suite(subject: Subject, suite: str, args: Sequence[str]) -> Figures:
    """Runs one suite on one engine."""
    print(f"\n{suite} on {subject.version}", flush=True)
    report = RESULTS / f"engines-{subject.version}-{suite}.xml"
    report.unlink(missing_ok=True)
    pytest = [sys.executable, "-m", "pytest", "-q", "-m", "engine", f"--junitxml={report}", f"tests/{suite}", *args]
    done = subprocess.run([*subject.prefix, *pytest], cwd=ROOT, env={**subject.environ}, check=False)
    if not report.exists():
        raise SystemExit(f"pytest ended with {done.returncode} before it wrote {report}")
    found = figures(report)
    # A run that broke off (a leak found at its end, say) is no success, whatever its tests say.
    broken = done.returncode not in {0, NO_TESTS} and not found.failed
    return Figures(found.passed, 1, found.skipped, found.seconds) if broken else found


@contextmanager
def private_subject(programs: Path, source: EngineEndpoint) -> Iterator[Subject]:
    """An engine of the programs in a folder, with the sandbox images of another engine."""
    with PrivateEngine(dockerd=programs, bridge=True) as engine:
        with make_client(source, version=API_VERSION, timeout=60) as client:
            tags = [tag for image in client.images(IMAGES) for tag in image["RepoTags"] or ()]
        for tag in tags:
            engine.load_image(tag, source)
        version = fetch_version(engine.endpoint, timeout=5).engine
        environ = {**engine.environ(), "PATH": search_path(programs.absolute())}
        yield Subject(version, environ, engine.room.on_network([]))


def table(found: Mapping[str, Mapping[str, Figures]]) -> str:
    """Engines down, suites across."""
    rows = [["passed / failed / time", *SUITES]]
    rows += [[version, *(str(suites.get(suite, "-")) for suite in SUITES)] for version, suites in found.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def main(arguments: Sequence[str]) -> int:
    """Run all suites on all engines; returns the exit code."""
    folders, _, args = (list(part) for part in _partition(arguments))
    if folders and (reason := why_no_private_engine()):
        raise SystemExit(reason)
    RESULTS.mkdir(exist_ok=True)
    suites = [suite for suite in SUITES if (ROOT / "tests" / suite).is_dir()]
    endpoint = resolve_endpoint()
    system = Subject(fetch_version(endpoint, timeout=5).engine, dict(os.environ))
    found = {system.version: {suite: run_suite(system, suite, args) for suite in suites}}
    for folder in folders:
        with private_subject(Path(folder), endpoint) as subject:
            found[subject.version] = {suite: run_suite(subject, suite, args) for suite in suites}
    print(f"\n{table(found)}")
    return 1 if any(each.failed for row in found.values() for each in row.values()) else 0


def _partition(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    where = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:where], arguments[where : where + 1], arguments[where + 1 :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
