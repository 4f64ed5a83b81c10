"""docs/security.md names attacks, tests, checks and holes that are there, and leaves none out."""

from __future__ import annotations

import ast
import re
from functools import cache

import pytest

from dockersched.cli.doctor import check_state_dir
from dockersched.sandbox.docker.advisories import ADVISORIES
from dockersched.sandbox.docker.checkup import ENOUGH_FREE_BYTES, LEAST_FREE_BYTES, check_engine
from dockersched.units import format_bytes
from tests.abuse import escape, exhaustion, hostile
from tests.support.documents import ROOT, first_cells, section
from tests.unit.test_checkup import facts

SECURITY = ROOT / "docs" / "security.md"
ATTACKS = {attack.name: attack for attack in (*exhaustion.ATTACKS, *escape.ATTACKS, *hostile.ATTACKS)}


def rows(title: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    lines = re.findall(r"^\| (.*) \|$", section(SECURITY, title), re.MULTILINE)
    cells = [line.split(" | ") for line in lines]
    return [row for row, following in zip(cells, [*cells[1:], [""]], strict=True) if "---" not in row[0] + following[0]]


NAMED = [(row[0], name) for row in rows("Attacks") for name in re.findall(r"`([^`]+)`", row[2])]


@cache
def functions(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("name", dict.fromkeys(name for _, name in NAMED))
def test_a_test_that_is_named_exists(name: str) -> None:
    file, _, function = name.partition("::")
    assert name in ATTACKS or function in functions(file)


def test_every_row_has_a_test() -> None:
    assert {attack for attack, _ in NAMED} == {row[0] for row in rows("Attacks")}
    assert len(rows("Attacks")) >= 15


def test_every_attack_is_in_the_table() -> None:
    assert set(ATTACKS) - {name for _, name in NAMED} == set()


def test_every_difference_under_gvisor_is_told() -> None:
    told = [name for cell in first_cells(section(SECURITY, "Under gVisor")) for name in re.findall(r"`([^`]+)`", cell)]
    assert sorted(told) == sorted(
        name for name, attack in ATTACKS.items() if attack.under_gvisor is not None or attack.gvisor_answers
    )


def test_every_check_of_the_doctor_is_explained() -> None:
    checks = [check.name for check in (*check_engine(facts("engine_20_10")), check_state_dir(ROOT))]
    text = section(SECURITY, "What doctor looks at")
    assert re.findall(r"^\| `([a-z -]+)` \|", text, re.MULTILINE) == checks
    assert f"less than {format_bytes(ENOUGH_FREE_BYTES)} left; less than {format_bytes(LEAST_FREE_BYTES)}" in text


def test_every_hole_that_is_known_is_listed() -> None:
    listed = [row for row in rows("What doctor looks at") if row[0].startswith("CVE-")]
    assert listed == [[hole.cve, hole.component, ", ".join(hole.fixed_in)] for hole in ADVISORIES]
