"""A file is read as editors show it, and a fault is told where they show it."""

from __future__ import annotations

import pytest

from dockersched.epicfile import load_text, locate
from dockersched.errors import EpicError, Problem


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


EMOJI = r'"\ud83d\ude00"'
LONG_KEY = f'"x-{"k" * 2_000}": 1'
DEEP = "[" * 150 + "]" * 150


@pytest.mark.parametrize(
    "before", [f'"x-a": {EMOJI}', LONG_KEY, '"x-a"\n: 1', f'"x-a": {DEEP}', '"x-a": {}, "x-b": []'], ids=range(5)
)
def test_finds_places_in_all_json(before: str) -> None:
    text = f'{{{before},\n"epic": "e", "tasks": {{"a": {{"command": "x",\n "args": ["\\\\\\"", []], "runn": "x"}}}}}}'
    line = text.count("\n")

    assert problems_of(text) == [
        f"{line + 1}:19: tasks.a.args[1]: is a list, not a text",
        f"{line + 1}:24: tasks.a.runn: unknown key (did you mean 'run'?)",
    ]


def test_finds_a_key_that_is_used_twice_in_all_json() -> None:
    text = f'{{"epic": "e", "x-a": {EMOJI},\n"tasks": {{"a": {{"run": "x", "run": "y"}}, "a": {{"run": "x"}}}}}}'

    assert problems_of(text) == [
        "2:29: tasks.a.run: key is used twice in one map: remove or rename one of them",
        "2:42: tasks.a: key is used twice in one map: remove or rename one of them",
    ]


def test_says_what_is_wrong_with_json_rather_than_what_yaml_makes_of_it() -> None:
    text = f'{{"x-a": {EMOJI}, "epic": "e"\n "tasks": {{}}}}'

    assert problems_of(text) == ["2:2: is not valid JSON: expecting ',' delimiter"]


def test_json_that_only_yaml_reads_is_yaml() -> None:
    assert load_text('{"epic": "e", tasks: {a: {run: "x",}}}', "e").dag["a"].id == "a"


QUOTE = "; put a text in quotes, or below |"


@pytest.mark.parametrize(
    ("text", "place"),
    [("args: [*.py]", "1:9"), ("run: echo a: b", "1:12"), *((f"run: {mark}x", "1:6") for mark in "`@%")],
)
def test_says_what_to_do_with_a_text_that_needs_quotes(text: str, place: str) -> None:
    (problem,) = problems_of(text)

    assert problem.startswith(f"{place}: is not valid YAML: ")
    assert problem.endswith(QUOTE)


def test_tells_an_open_quote_where_it_begins() -> None:
    text = 'epic: e\ntasks:\n  a:\n    run: "echo\n' + "    # more\n" * 20

    assert problems_of(text) == ["4:10: is not valid YAML: this quote is not closed"]


def test_problems_of_what_cannot_be_read_again_have_no_place() -> None:
    found = locate([Problem("task 'a' asks for 64 CPUs", ("tasks", "a", "quota", "cpus"))], "-")

    assert [str(problem) for problem in found] == ["<stdin>: task 'a' asks for 64 CPUs"]
