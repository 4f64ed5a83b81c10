"""Require every line and branch of some functions to be covered: COVERAGE.json Class.method…."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def problems(report: dict[str, Any], name: str) -> list[str]:
    """What is missing for one function, in words; empty when it is covered in full."""
    found = [(path, file["functions"][name]) for path, file in report["files"].items() if name in file["functions"]]
    if len(found) != 1:
        return [f"{name}: found {len(found)} times in the coverage report instead of once"]
    path, function = found[0]
    if not report["meta"]["branch_coverage"] or not function["executed_lines"]:
        return [f"{name}: not measured, with branches, in {path}"]
    return [
        *(f"{path}:{line}: {name}: line not covered" for line in function["missing_lines"]),
        *(f"{path}:{start}: {name}: branch to {end} not covered" for start, end in function["missing_branches"]),
    ]


def main(arguments: list[str]) -> int:
    """Check each named function; returns the exit code."""
    report = json.loads(Path(arguments[0]).read_text("utf-8"))
    found = [problem for name in arguments[1:] for problem in problems(report, name)]
    print("\n".join(found) if found else f"branch coverage 100 %: {', '.join(arguments[1:])}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
