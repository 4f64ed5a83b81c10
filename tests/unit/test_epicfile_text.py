"""A file is read as editors show it, and a fault is told where they show it."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text
from dockersched.errors import EpicError


def problems_of(text: str | bytes) -> list[str]:
    """Every problem as `line:column: message`."""
    with pytest.raises(EpicError) as caught:
        load_text(text, "e")
    return [line.removeprefix("e:") for line in str(caught.value).splitlines()]


MISLEADING = ["\r", "\x85", *"\u2028\u2029", *"\u202a\u202b\u202c\u202d\u202e", *"\u2066\u2067\u2068\u2069"]


@pytest.mark.parametrize("character", MISLEADING, ids=ascii)
def test_refuses_what_shows_a_file_otherwise_than_it_is_read(character: str) -> None:
    message = f"control character U+{ord(character):04X}: remove it, or write it as an escape in double quotes"

    yaml = f"epic: e\ntasks:\n  a:\n    run: x   # keep this closed{character}    network: bridge\n"
    json = f'{{"epic": "e",\n"tasks": {{"a": {{"run": "x{character}y"}}}}}}'

    assert problems_of(yaml) == [f"4:32: {message}"]
    assert problems_of(json) == [f"2:26: {message}"]


@pytest.mark.parametrize("character", MISLEADING, ids=ascii)
def test_takes_its_escape(character: str) -> None:
    epic = load_text(f'epic: e\r\ntasks: {{a: {{command: x, args: ["\\u{ord(character):04x}"]}}}}\r\n', "e")

    assert epic.dag["a"].args == (character,)
