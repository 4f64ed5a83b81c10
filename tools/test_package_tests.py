"""Run the example of real use, and hold its report against what the packages' own tests said: `test_package_tests`.

`make test-examples` runs it. The report is left in `test-results/package-tests.xml`.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "package-tests"
REPORT = ROOT / "test-results" / "package-tests.xml"
COUNTS = ("tests", "failures", "errors", "skipped")


def main() -> None:
    """Runs, checks, and prints the summary.

    Raises:
        SystemExit: the epic failed, or the report is not what the suites said.
    """
    with tempfile.TemporaryDirectory(prefix="dockersched-package-tests-") as name:
        folder = Path(name)
        state = folder / "state"
        ended = dockersched("run", EXAMPLE / "epic.yaml", "--output", "json", "--state-dir", state)
        if not ended.stdout:
            raise SystemExit(f"package-tests: the epic did not run: exit code {ended.returncode}")
        result: dict[str, Any] = json.loads(ended.stdout)
        if ended.returncode != 0:
            raise SystemExit(f"package-tests: {result['state']} because of {', '.join(result['root_causes'])}")
        copied = folder / "artifacts"
        dockersched("artifacts", result["run"], "--to", copied, "--state-dir", state).check_returncode()
        if problems := found_problems(copied, Path(result["tasks"]["total"]["log"]).read_text("utf-8")):
            raise SystemExit("\n".join(f"package-tests: {problem}" for problem in problems))
        REPORT.parent.mkdir(exist_ok=True)
        shutil.copy(copied / "merge" / "report" / "report.xml", REPORT)
        print((copied / "merge" / "report" / "summary.txt").read_text("utf-8"))
        print(f"package-tests: all of it in {result['duration_s']:.0f} s; the report is {REPORT.relative_to(ROOT)}")


def dockersched(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs the command, whose progress is shown; stdout is kept."""
    return subprocess.run(
        [sys.executable, "-m", "dockersched", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )


def parsed(report: Path) -> ET.Element:
    """The root of a JUnit file. It comes out of a sandbox, but expat bounds what entities can grow to."""
    return ET.parse(report).getroot()  # noqa: S314


def found_problems(artifacts: Path, said: str) -> list[str]:
    """What is wrong with the outputs of a run that succeeded.

    Args:
        artifacts: folder with the outputs, as `<task>/<output>/`.
        said: the output of the task `total`.
    """
    merged = {suite.get("name"): suite for suite in parsed(artifacts / "merge/report/report.xml")}
    packages = re.findall(r"^([\w-]+)==", (EXAMPLE / "sdists.txt").read_text("utf-8"), re.MULTILINE)
    if sorted(packages) != sorted(str(name) for name in merged):
        return [f"the report is of {', '.join(map(str, merged))}, the packages are {', '.join(packages)}"]
    problems = []
    totals = dict.fromkeys(COUNTS, 0)
    for package in packages:
        suite = parsed(artifacts / package / "junit/junit.xml").find("testsuite")
        if suite is None:
            problems.append(f"the tests of {package} reported nothing")
            continue
        if [*map(ET.tostring, suite)] != [*map(ET.tostring, merged[package])]:
            problems.append(f"the report does not hold what the tests of {package} reported")
        counts = {name: int(suite.get(name, 0)) for name in COUNTS}
        if not counts["tests"] or counts["failures"] or counts["errors"]:
            problems.append(f"not all tests of {package} passed: {counts}")
        totals = {name: totals[name] + counts[name] for name in COUNTS}
    wanted = f"{totals['tests']} tests of {len(packages)} packages, 0 failed, {totals['skipped']} skipped"
    if said.strip() != wanted:
        problems.append(f"the last task said {said.strip()!r}, not {wanted!r}")
    return problems


if __name__ == "__main__":
    main()
