"""No secret comes through, however the stream is cut, and nothing else is lost."""

from __future__ import annotations

import base64
import string
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched.sandbox.redaction import MASK, MIN_BYTES, OutputRedactor, SecretPatterns

SECRET = b"sk-live-0123456789/+abc?>~\xff\xfe"
few_letters = st.text("ab/\n", min_size=MIN_BYTES, max_size=8).map(str.encode)
secret_values = st.lists(st.one_of(few_letters, st.binary(min_size=MIN_BYTES, max_size=20)), min_size=1, max_size=3)


def redacted(values: list[bytes], *chunks: bytes) -> bytes:
    redactor = SecretPatterns(values).redactor()
    return b"".join([*map(redactor.feed, chunks), redactor.close()])


def cut(whole: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(whole) + 1) for place in places), len(whole)]
    return [whole[start:stop] for start, stop in pairwise(bounds)]


@given(secret_values, st.data())
def test_chunks_make_no_difference(values: list[bytes], data: st.DataObject) -> None:
    pieces = st.one_of(st.sampled_from(values), few_letters, st.sampled_from(values).map(base64.encodebytes))
    whole = b"".join(data.draw(st.lists(pieces, max_size=6)))
    chunks = cut(whole, data.draw(st.lists(st.integers(0, 1000), max_size=6)))
    assert redacted(values, *chunks) == redacted(values, whole)


@given(secret_values, st.lists(few_letters, min_size=2, max_size=2), st.lists(st.integers(0, 1000), max_size=4))
def test_no_secret_comes_through(values: list[bytes], around: list[bytes], places: list[int]) -> None:
    sought = [value for value in values if len(value.strip()) >= MIN_BYTES]
    whole = around[0].join([b"", *values, around[1]])
    clear = redacted(values, *cut(whole, places)).split(MASK)
    assert [value for value in sought if any(value.strip() in piece for piece in clear)] == []


@given(st.binary(min_size=MIN_BYTES, max_size=40), st.binary(max_size=5), st.binary(max_size=5), st.integers(1, 80))
def test_base64_is_found_wherever_the_value_stands_and_whatever_the_length_of_lines(
    value: bytes, before: bytes, after: bytes, width: int
) -> None:
    value = b"[" + value + b"]"  # nothing that could be stripped
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(before + value + after)
        broken = b"\n".join(encoded[start : start + width] for start in range(0, len(encoded), width))
        clear = redacted([value], broken).replace(b"\n", b"")
        # What is left depends on what is around it too: at most one character at each end holds some bits of the value.
        left = len(clear.replace(MASK, b""))
        assert MASK in clear
        assert left <= len(encode(before)) + len(encode(after)) + 4


@given(st.binary(max_size=200))
def test_without_secrets_nothing_changes(whole: bytes) -> None:
    assert redacted([], whole) == whole


@given(st.text(string.ascii_lowercase, max_size=60), st.lists(st.integers(0, 100), max_size=5))
def test_what_is_no_secret_is_kept(text: str, places: list[int]) -> None:
    assert redacted([b"SECRET"], *cut(text.encode(), places)) == text.encode()


@pytest.mark.parametrize(
    ("values", "whole", "clear"),
    [
        pytest.param([SECRET], b"a " + SECRET + b" b", b"a *** b", id="plain"),
        pytest.param([SECRET], SECRET + SECRET, b"******", id="twice"),
        pytest.param([b"abcdef", b"efghij"], b"-abcdefghij-", b"-***-", id="overlap"),
        pytest.param([b"abcdef", b"abcd"], b"abcdef abcd", b"*** ***", id="one is the other's beginning"),
        pytest.param([b"value\n"], b"value", b"***", id="the file ends in a newline, the output does not"),
        pytest.param([b"abc"], b"abc", b"abc", id="too short to look for"),
        pytest.param([b""], b"abc", b"abc", id="empty"),
        pytest.param([b"first line\n  {\nlast line!"], b"{ last line! first line", b"{ *** ***", id="lines"),
    ],
)
def test_redacts(values: list[bytes], whole: bytes, clear: bytes) -> None:
    assert redacted(values, whole) == clear
    assert redacted(values, *(bytes((byte,)) for byte in whole)) == clear


def test_only_what_may_be_a_secret_is_held_back() -> None:
    redactor = SecretPatterns([SECRET]).redactor()
    assert redactor.feed(b"password? ") == b"password? "
    assert redactor.feed(SECRET[:9]) == b""
    assert redactor.feed(b"no") == SECRET[:9] + b"no"


def test_a_text_is_redacted_too() -> None:
    assert SecretPatterns(["pässword".encode()]).redact("exec pässword failed") == "exec *** failed"
    assert SecretPatterns([]).redact("as it is") == "as it is"


def test_a_large_log_with_a_long_secret_takes_a_moment_only() -> None:
    value = b"-----BEGIN KEY-----\n" + base64.encodebytes(bytes(range(256)) * 8)
    redactor = SecretPatterns([value]).redactor()
    line = b"the quick brown fox jumps over the lazy dog; Lorem ipsum dolor sit amet AAEC\n"
    began = time.process_time()
    for _ in range(160):
        assert redactor.feed(line * 1000)
    assert time.process_time() - began < 5.0


ENCODED = base64.b64encode(b"hunter2-hunter2")  # which no length before it changes, since it is of whole groups


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        ([(2, b"deni" + ENCODED[:2] + b"\n"), (1, b"1\n"), (2, b"on\n")], b"deni" + ENCODED[:2] + b"\n1\non\n"),
        ([(2, ENCODED[:2] + b"\n"), (1, b"1\n"), (2, ENCODED[2:] + b"\n")], ENCODED[:2] + b"\n1\n***\n"),
        ([(2, ENCODED[:2]), (1, b"1\n"), (2, ENCODED[2:] + b"\n")], b"1\n***\n"),
        ([(2, ENCODED[:4] + b"\n"), (1, b"1\n"), (2, ENCODED[4:] + b"\n")], b"1\n***\n"),
        ([(2, b"hunter2-"), (1, b"1\n"), (2, b"hunter2\n")], b"1\n***\n"),
        ([(2, ENCODED[:1] + b"\n"), (1, b"1\n"), (2, ENCODED[1:3] + b"\n"), (1, b"2\n")],
         ENCODED[:1] + b"\n1\n2\n" + ENCODED[1:3] + b"\n"),
    ],
)  # fmt: skip
def test_lines_of_mixed_streams_stay_whole_where_no_secret_may_go_on(
    pieces: list[tuple[int, bytes]], shown: bytes
) -> None:
    redactor = OutputRedactor(SecretPatterns([b"hunter2-hunter2"]))
    assert b"".join(redactor.feed([piece]) for piece in pieces) + redactor.close() == shown
    together = OutputRedactor(SecretPatterns([b"hunter2-hunter2"]))
    assert together.feed(pieces) + together.close() == shown
