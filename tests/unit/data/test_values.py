from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched.data.values import MAX_VALUES_BYTES, parse_values
from dockersched.errors import ValuesError


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (b"", {}),
        (b"version=1.2\n", {"version": "1.2"}),
        (b"version=1.2", {"version": "1.2"}),
        (b"\n\na=\nb-1=x=y\n_c= spaced \r\n", {"a": "", "b-1": "x=y", "_c": " spaced \r"}),
        (b"a=1\na=2\n", {"a": "2"}),
        (b"a<<END\none\n\nt=wo\nEND\nb=3\n", {"a": "one\n\nt=wo", "b": "3"}),
        (b"a<<END\nEND", {"a": ""}),
        (b"a=x<<y\n", {"a": "x<<y"}),
        (b"a<<E=F\nx\nE=F\n", {"a": "x"}),
        ("a=ü".encode(), {"a": "ü"}),
    ],
)
def test_reads_what_a_task_wrote(written: bytes, values: dict[str, str]) -> None:
    assert parse_values(written) == values


@pytest.mark.parametrize(
    ("written", "line", "message"),
    [
        (b"a=1\nnothing\n", 2, "line 2: 'nothing' is no value: write key=value"),
        (b"1a=x", 1, "'1a' is no key"),
        (b"=x", 1, "'' is no key"),
        (b"a b=x", 1, "'a b' is no key"),
        (b"k" * 101 + b"=x", 1, "is no key: write up to 100"),
        (b"a<<END\nx\n", 1, "does not end: a line 'END' is missing"),
        (b"a<<\nx\n", 1, "needs a word"),
        (b"a=x\0y", 1, "the value of a holds NUL"),
        (b"a=1\nb=\xff", 2, "is not UTF-8"),
        (b"\x1b[31m", 1, r"'\x1b[31m' is no value"),
        (b"a=" + b"x" * MAX_VALUES_BYTES, 0, "more than 64 KiB of values"),
    ],
)
def test_names_what_is_no_value(written: bytes, line: int, message: str) -> None:
    with pytest.raises(ValuesError) as raised:
        parse_values(written)
    assert raised.value.line == line
    assert message in str(raised.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_refused(written: bytes) -> None:
    values: dict[str, str] = {}
    with suppress(ValuesError):
        values = parse_values(written)
    assert all(key.isascii() and "\0" not in value for key, value in values.items())


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,20}", fullmatch=True), st.text(max_size=30)))
def test_what_is_written_in_several_lines_comes_back(values: dict[str, str]) -> None:
    wanted = {key: value.replace("\0", "") for key, value in values.items()}
    written = "".join(f"{key}<<==end==\n{value}\n==end==\n" for key, value in wanted.items())
    assert parse_values(written.encode()) == wanted
