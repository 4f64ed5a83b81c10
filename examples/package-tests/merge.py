"""Merges JUnit files into one and says what is in them: `merge.py REPORTS OUT`. It runs in a sandbox.

REPORTS holds a folder for each package, with its `junit.xml`. OUT gets `report.xml` and `summary.txt`, and the file
that `$DOCKERSCHED_OUTPUT` names the values `packages`, `tests`, `failed` and `skipped`.
"""

from __future__ import annotations

import os
import sys
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

COUNTS = ("tests", "failures", "errors", "skipped")
ROW = "{:<16} {:>6} {:>7} {:>8} {:>8}"


def main(reports: Path, out: Path) -> None:
    """Writes the report, the summary and the values."""
    merged = ET.Element("testsuites")
    total: Counter[str] = Counter()
    seconds = 0.0
    packages = sorted(folder.name for folder in reports.iterdir())
    rows = [ROW.format("package", "tests", "failed", "skipped", "seconds")]
    for package in packages:
        for suite in ET.parse(reports / package / "junit.xml").getroot().iter("testsuite"):  # noqa: S314 (in a sandbox)
            suite.set("name", package)
            merged.append(suite)
            counts = Counter({name: int(suite.get(name, 0)) for name in COUNTS})
            took = float(suite.get("time", 0))
            rows.append(row(package, counts, took))
            total += counts
            seconds += took
    rows.append(row("together", total, seconds))
    for name in COUNTS:
        merged.set(name, str(total[name]))

    out.mkdir()
    ET.ElementTree(merged).write(out / "report.xml", encoding="utf-8", xml_declaration=True)
    summary = "\n".join(rows)
    (out / "summary.txt").write_text(f"{summary}\n", "utf-8")
    print(summary)
    values = {"packages": len(packages), "tests": total["tests"], "failed": failed(total), "skipped": total["skipped"]}
    with Path(os.environ["DOCKERSCHED_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(f"{key}={value}\n" for key, value in values.items())


def row(name: str, counts: Counter[str], seconds: float) -> str:
    """A line of the summary."""
    return ROW.format(name, counts["tests"], failed(counts), counts["skipped"], f"{seconds:.1f}")


def failed(counts: Counter[str]) -> int:
    """How many did not pass, for whatever reason."""
    return counts["failures"] + counts["errors"]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
