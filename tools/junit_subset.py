"""Write the results of one test module out of a JUnit report: ALL.xml tests.module OUT.xml."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

STATES = {"failures": "failure", "errors": "error", "skipped": "skipped"}


def subset(report: Path, module: str) -> ET.Element:
    """The report with the cases of that module (and of classes in it) alone."""
    root = ET.parse(report).getroot()  # noqa: S314 (pytest wrote it a moment ago)
    suite = root.find("testsuite")
    if suite is None:
        raise SystemExit(f"{report} holds no test suite")
    for case in list(suite):
        name = case.get("classname") or case.get("name") or ""
        if name != module and not name.startswith(f"{module}."):
            suite.remove(case)
    if len(suite) == 0:
        raise SystemExit(f"{report} holds no test of {module}")
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{sum(float(case.get('time') or 0) for case in suite):.3f}")
    for attribute, tag in STATES.items():
        suite.set(attribute, str(sum(case.find(tag) is not None for case in suite)))
    return root


if __name__ == "__main__":
    source, wanted, target = sys.argv[1:]
    ET.ElementTree(subset(Path(source), wanted)).write(target, encoding="utf-8", xml_declaration=True)
