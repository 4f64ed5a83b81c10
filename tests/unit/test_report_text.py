"""Hostile text, cut and escaped for display."""

from __future__ import annotations

import pytest

from dockersched.report.output import LINE_LIMIT_BYTES, TASK_LIMIT, OutputLines
from dockersched.report.text import Paint, TerminalText, colours_wanted, decode, one_line, printable


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x1b[2J", "\\x1b[2J"),
        ("done\rFAKE", "done\\rFAKE"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f\x00\x08", "\\x7f\\x00\\x08"),
        ("abc\u202edcba", "abc\\u202edcba"),
        ("\u2066x\u2069\u200f\u061c", "\\u2066x\\u2069\\u200f\\u061c"),
        ("a\u2028b\u0085c", "a\\u2028b\\x85c"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        ("ok\U000e0159\U000e015e", "ok\\U000e0159\\U000e015e"),
        ("\u00ad\u034f\u115f\u17b4\u180e", "\\xad\\u034f\\u115f\\u17b4\\u180e"),
        ("e\u200cv\u3164il\uffa0\U0001d173", "e\\u200cv\\u3164il\\uffa0\\U0001d173"),
        ("a\ufe01\ufe0e", "a\\ufe01\\ufe0e"),
        ("✔\ufe0f 👩🏽\u200d💻 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3", "✔\ufe0f 👩🏽\u200d💻 ❤\ufe0f\u200d🔥 1\ufe0f\u20e3"),
        ("\ufe0fx \u200dy", "\\ufe0fx \\u200dy"),
        ("x\ufe0f\ufe0f\u200d\u200d\ufe0f", "x\ufe0f\\ufe0f\u200d\\u200d\\ufe0f"),
        ("tab\tstays, é 漢 🚀 too", "tab\tstays, é 漢 🚀 too"),
    ],
)
def test_what_could_steer_a_terminal_is_written_out(hostile: str, shown: str) -> None:
    assert printable(hostile) == shown


def test_one_line_joins_and_bounds() -> None:
    assert one_line("a\n  b\r\nc") == "a b c"
    assert one_line("x" * 50, 10) == "x" * 9 + "…"


def test_invalid_utf8_is_shown_with_a_replacement() -> None:
    assert decode(b"ok \xff\xfe end", 100) == "ok \ufffd\ufffd end"


@pytest.mark.parametrize("limit", [4, 5, 6, 7])
def test_a_cut_never_falls_inside_a_character(limit: int) -> None:
    assert decode("aaa🚀🚀".encode(), limit) in ("aaa … (line cut)", "aaa🚀 … (line cut)")


def test_lines_come_whole_whatever_the_chunks() -> None:
    data = "première\r\nzweite 🚀\nlast".encode()
    whole = OutputLines("t | ")
    bytewise = OutputLines("t | ")

    expected = [*whole.feed(data), *whole.end(None)]
    got = [line for byte in data for line in bytewise.feed(bytes([byte]))] + bytewise.end(None)

    assert got == expected == ["t | première", "t | zweite 🚀", "t | last"]


def test_the_partial_last_line_waits_for_the_end() -> None:
    lines = OutputLines("")

    assert lines.feed(b"half") == []
    assert lines.end(None) == ["half"]
    assert lines.end(None) == []


@pytest.mark.parametrize("chunk", [1_000, LINE_LIMIT_BYTES, 10**6])
def test_a_long_line_is_cut_once(chunk: int) -> None:
    lines = OutputLines("")
    data = b"x" * 10 * LINE_LIMIT_BYTES + b"\nnext\n"

    got = [line for at in range(0, len(data), chunk) for line in lines.feed(data[at : at + chunk])]

    assert got == ["x" * LINE_LIMIT_BYTES + " … (line cut)", "next"]


def test_a_line_of_exactly_the_limit_is_not_cut() -> None:
    assert OutputLines("").feed(b"x" * LINE_LIMIT_BYTES + b"\n") == ["x" * LINE_LIMIT_BYTES]


@pytest.mark.parametrize("flood", [b"\n", b"\x1b\n", b"y" * 200 + b"\n", b"no newline at all "])
def test_a_flood_is_bounded(flood: bytes) -> None:
    lines = OutputLines("flood | ")
    chunk = flood * (65_536 // len(flood))

    shown = [line for _ in range(64) for line in lines.feed(chunk)]
    end = lines.end("logs/flood.log")

    assert sum(map(len, shown)) < TASK_LIMIT + 5 * LINE_LIMIT_BYTES
    if b"\n" in flood:
        assert shown[-1] == "flood | … enough is shown; what follows goes to the log only"
        assert end[-1].endswith("MiB more output in logs/flood.log")


def test_the_size_of_what_is_left_out_is_exact() -> None:
    lines = OutputLines("")
    width = 1_023
    enough = -(-TASK_LIMIT // width)

    shown = lines.feed((b"z" * width + b"\n") * enough)

    assert len(shown) == enough
    assert lines.feed(b"one more\n") == ["… enough is shown; what follows goes to the log only"]
    assert lines.feed(b"again") == []
    assert lines.end("x.log") == ["… 14 B more output in x.log"]


def test_output_that_the_display_had_no_time_for_is_counted() -> None:
    lines = OutputLines("t | ")
    lines.feed(b"part")

    assert lines.skip(2_048) == ["t | part", "t | … 2 KiB left out here, this display is too slow"]
    assert lines.end(None) == ["t | … 2 KiB more output, not shown"]


@pytest.mark.parametrize("cuts", [[], [1], [7], [8], [9], [10], [7, 8, 9, 10, 11]])
def test_a_terminal_gets_the_same_whatever_the_chunks(cuts: list[int]) -> None:
    data = b"10%\r20%\r\r\nend\xc3\xa9\r"
    terminal = TerminalText("utf-8")
    shown = [terminal.feed(data[at:to]) for at, to in zip([0, *cuts], [*cuts, None], strict=True)]

    assert b"".join([*shown, terminal.end()]) == "10%\\r20%\\r\nendé\\r".encode()


def test_a_terminal_gets_the_character_that_broke_off() -> None:
    terminal = TerminalText("utf-8")

    assert terminal.feed(b"end \xc3") + terminal.end() == "end \ufffd".encode()


def test_a_task_keeps_its_colour() -> None:
    paint = Paint(enabled=True)

    assert paint.task("lint", "lint") == paint.task("lint", "lint")
    assert len({paint.task("x", f"task-{number}") for number in range(50)}) > 5
    assert paint("gone", "bold", "red") == "\x1b[1;31mgone\x1b[0m"
    assert Paint(enabled=False).task("lint", "lint") == "lint"


@pytest.mark.parametrize(
    ("environ", "terminal", "wanted"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "0"}, True, False),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_when_colours_are_wanted(environ: dict[str, str], terminal: bool, wanted: bool) -> None:
    assert colours_wanted(environ, terminal=terminal) is wanted
