"""What a declared map reads, what it says of what it cannot read, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from dockersched.epicfile.findings import Finding
from dockersched.epicfile.keys import Keys, key, needed
from dockersched.epicfile.kinds import findings_of, list_of, map_of
from dockersched.epicfile.types import COUNT, SWITCH, TEXT
from dockersched.epicfile.values import NO_VALUE, Boolean, Number


class Shared(Keys):
    """What boxes and crates have."""

    colour = key(TEXT, "Of all sides.", "red")


class Lid(Keys):
    """Of a box."""

    noun = "lid"

    tight = needed(SWITCH, "Whether nothing gets out.")


class Box(Shared):
    """Holds things."""

    noun = "box"

    from_ = needed(TEXT, "Where it is from.", name="from")
    sizes = key(list_of(COUNT, unique=True), "All of them.")
    lids = key(map_of(TEXT, Lid.kind(), empty="holds no lid"), "By name.")

    def check(self) -> None:
        """Refuses a colour that is a place."""
        if self.colour == self.from_:
            raise ValueError("a place is no colour")


def findings(data: object) -> list[Finding]:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its findings are compared
        Box.read(data)
    return list(findings_of(caught.value))


def test_reads_what_is_given_and_leaves_out_what_is_not() -> None:
    box = Box.read({"from": "here", "lids": {"top": {"tight": Boolean("true")}}})

    assert (box.from_, box.colour, box.sizes) == ("here", None, None)
    assert box.lids is not None
    assert box.lids["top"].tight
    assert set(vars(box)) == {"from_", "lids"}


def test_a_map_made_without_arguments_has_none_of_its_keys() -> None:
    assert (Box().colour, Box().sizes, vars(Box())) == (None, None, {})


def test_keys_are_declared_in_order_those_of_bases_first() -> None:
    assert list(Box.declared) == ["colour", "from", "sizes", "lids"]
    assert list(Shared.declared) == ["colour"]


def test_finds_all_faults_in_the_order_of_declaration_and_unknown_keys_last() -> None:
    data: dict[str, Any] = {
        "size": 1,
        "lids": {"": None, "top": {"tigt": Boolean("true")}},
        "sizes": [Number("0"), None, Number("2"), "x"],
        "colour": None,
    }

    assert findings(data) == [
        Finding(NO_VALUE, ("colour",), at_key=True),
        Finding("is missing: every box needs it", ("from",)),
        Finding("must be at least 1, not 0", ("sizes", 0)),
        Finding(NO_VALUE, ("sizes", 1), at_key=True),
        Finding("'x' is not a whole number: write it in digits, without quotes", ("sizes", 3)),
        Finding("is empty: give it a value, or remove the key", ("lids", ""), at_key=True),
        Finding(NO_VALUE, ("lids", ""), at_key=True),
        Finding("is missing: every lid needs it", ("lids", "top", "tight")),
        Finding("unknown key (did you mean 'tight'?)", ("lids", "top", "tigt"), at_key=True),
        Finding("unknown key (did you mean 'sizes'?)", ("size",), at_key=True),
    ]


@pytest.mark.parametrize(
    ("data", "finding"),
    [
        ("x", Finding("is the value 'x', not a map: write it as key: value, one on each line")),
        ({"from": "x", "sizes": {}}, Finding("is a map, not a list: write it like [one, two]", ("sizes",))),
        ({"from": "x", "sizes": [Number("1"), Number("1")]}, Finding("1 is listed twice: remove one", ("sizes",))),
        ({"from": "x", "lids": {}}, Finding("holds no lid", ("lids",))),
        ({"from": "x", "colour": "x"}, Finding("a place is no colour")),
        (
            {"from": "x", "lids": {"[key]": []}},
            Finding("is a list, not a map: write it as key: value, one on each line", ("lids", "[key]")),
        ),
        (
            {"from": "x", "\ud800": "x"},
            Finding("unknown key; known are colour, from, lids, sizes", ("\ud800",), at_key=True),
        ),
    ],
)
def test_says_what_is_wrong(data: object, finding: Finding) -> None:
    assert findings(data) == [finding]


def test_a_rule_over_several_keys_waits_until_each_is_right() -> None:
    assert findings({"from": "x", "colour": "x", "sizes": [None]}) == [Finding(NO_VALUE, ("sizes", 0), at_key=True)]
