from __future__ import annotations

import pytest

from dockersched.errors import ValueReferenceError
from dockersched.model.references import Reference, literal, parse_template

VALUES = {"build": {"version": "1.2", "odd": "${{ tasks.build.values.version }}"}, "a.values.b": {"k": "v"}}


@pytest.mark.parametrize(
    ("text", "rendered"),
    [
        ("plain $HOME ${HOME} }}", "plain $HOME ${HOME} }}"),
        ("v${{ tasks.build.values.version }}!", "v1.2!"),
        ("${{tasks.build.values.version}}${{ tasks.build.values.version }}", "1.21.2"),
        ("${{ tasks.a.values.b.values.k }}", "v"),
        ("$${{ tasks.build.values.version }}", "${{ tasks.build.values.version }}"),
        ("$$${{ x", "$${{ x"),
        ("${{ tasks.build.values.odd }}", "${{ tasks.build.values.version }}"),
    ],
)
def test_fills_values_in(text: str, rendered: str) -> None:
    assert parse_template(text).render(VALUES) == rendered


def test_finds_references() -> None:
    template = parse_template("a ${{ tasks.build.values.version }} b")
    assert template.references == (Reference("build", "version", "${{ tasks.build.values.version }}"),)
    assert parse_template("no reference").references == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x ${{ tasks.a.values.b", "does not end: add }}, or write $${{ for text"),
        ("${{ }}", "is no reference: write ${{ tasks.TASK.values.KEY }}"),
        ("${{ tasks.a.outputs.b }}", "is no reference"),
        ("${{ tasks.a.values.1 }}", "is no reference"),
        ("${{ tasks.a b.values.c }}", "is no reference"),
        ("${{ needs.a.values.c }}", "is no reference"),
    ],
)
def test_names_what_is_no_reference(text: str, message: str) -> None:
    with pytest.raises(ValueReferenceError) as raised:
        parse_template(text)
    assert message in str(raised.value)


def test_what_is_made_literal_is_no_reference() -> None:
    text = "a ${{ x $${{ tasks.build.values.version }} y"
    assert parse_template(literal(text)).render({}) == text


def test_a_value_that_was_not_written_is_named() -> None:
    with pytest.raises(ValueReferenceError, match=r"task 'build' wrote no value 'versio' \(it wrote: odd, version\)"):
        parse_template("${{ tasks.build.values.versio }}").render(VALUES)
