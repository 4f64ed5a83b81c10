"""The example of real use: its parts speak of the same packages, and its report says what the suites say."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from dockersched.data.values import parse_values
from dockersched.epicfile import load_text
from tests.support.documents import README, ROOT, section
from tools.test_package_tests import found_problems, parsed

EXAMPLE = ROOT / "examples" / "package-tests"
PACKAGES = re.findall(r"^([\w-]+)==", (EXAMPLE / "sdists.txt").read_text("utf-8"), re.MULTILINE)


def test_every_package_is_downloaded_tested_and_reported() -> None:
    tasks = {task.id: task for task in load_text((EXAMPLE / "epic.yaml").read_bytes(), "epic.yaml").dag}

    assert [task_id for task_id, task in tasks.items() if "junit" in task.outputs] == PACKAGES
    assert [(given.task, given.output, given.at) for given in tasks["merge"].inputs] == [
        (package, "junit", f"/workspace/reports/{package}") for package in PACKAGES
    ]


def test_the_readme_shows_a_run_of_all_packages() -> None:
    shown = re.findall(r"^([a-z][\w-]*) +\d+ +0 ", section(README, "Real use"), re.MULTILINE)
    assert shown == [*PACKAGES, "together"]


def test_the_report_counts_every_suite(tmp_path: Path) -> None:
    _write_junit(tmp_path / "reports" / "one", tests=3, failures=1, errors=1, skipped=0, time=1.25)
    _write_junit(tmp_path / "reports" / "two", tests=2, failures=0, errors=0, skipped=1, time=0.5)
    values = tmp_path / "values"

    subprocess.run(
        [sys.executable, EXAMPLE / "merge.py", "reports", "report"],
        cwd=tmp_path,
        env={**os.environ, "DOCKERSCHED_OUTPUT": str(values)},
        capture_output=True,
        check=True,
    )

    report = parsed(tmp_path / "report" / "report.xml")
    assert report.attrib == {"tests": "5", "failures": "1", "errors": "1", "skipped": "1"}
    assert [(suite.get("name"), len(suite)) for suite in report] == [("one", 3), ("two", 2)]
    rows = [line.split() for line in (tmp_path / "report" / "summary.txt").read_text().splitlines()]
    assert rows == [
        ["package", "tests", "failed", "skipped", "seconds"],
        ["one", "3", "2", "0", "1.2"],
        ["two", "2", "0", "1", "0.5"],
        ["together", "5", "2", "1", "1.8"],
    ]
    assert parse_values(values.read_bytes()) == {"packages": "2", "tests": "5", "failed": "2", "skipped": "1"}


def test_a_report_that_lacks_a_test_is_found(tmp_path: Path) -> None:
    said = f"{2 * len(PACKAGES)} tests of {len(PACKAGES)} packages, 0 failed, 0 skipped\n"
    for package in PACKAGES:
        _write_junit(tmp_path / package / "junit", tests=2, failures=0, errors=0, skipped=0, time=1)
    report = tmp_path / "merge" / "report" / "report.xml"
    report.parent.mkdir(parents=True)
    merged = ET.Element("testsuites")
    for package in PACKAGES:
        suite = parsed(tmp_path / package / "junit" / "junit.xml")[0]
        suite.set("name", package)
        merged.append(suite)
    ET.ElementTree(merged).write(report)
    assert found_problems(tmp_path, said) == []

    del merged[0][1]
    ET.ElementTree(merged).write(report)

    assert found_problems(tmp_path, said) == [f"the report does not hold what the tests of {PACKAGES[0]} reported"]


def _write_junit(folder: Path, *, tests: int, **attributes: float) -> None:
    """A JUnit file as pytest writes it."""
    folder.mkdir(parents=True)
    root = ET.Element("testsuites")
    counts = {name: str(value) for name, value in {"tests": tests, **attributes}.items()}
    suite = ET.SubElement(root, "testsuite", {"name": "pytest", **counts})
    for number in range(tests):
        ET.SubElement(suite, "testcase", name=f"test_{number}")
    ET.ElementTree(root).write(folder / "junit.xml")
