"""What is made of the engine's log: its frames, its own words in it, and secrets in streams that come mixed."""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched.sandbox.docker.logfile import CollectedLog, collect
from dockersched.sandbox.docker.streams import FrameDecoder
from dockersched.sandbox.redaction import MASK, OutputRedactor, SecretPatterns

SECRET = b"hunter2-hunter2-hunter2"
ENTRY_BYTES = 16_384  # of a line, after which the engine begins another entry
ERROR = b"Error grabbing logs: log message is too large\n"
written_frames = st.lists(
    st.tuples(st.sampled_from((1, 2)), st.sampled_from((b"abca", b"bd", b"ab", b"YWJjYWJk", b"\n", b""))), max_size=12
)


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def collected(*chunks: bytes, secrets: tuple[bytes, ...] = (), path: Path | None = None) -> CollectedLog:
    return collect(chunks, path, limit_bytes=10**7, shown_bytes=0, patterns=SecretPatterns(secrets))


@pytest.mark.parametrize("between", [b"warning\n", b"hunter2-hunter2"])
def test_a_secret_is_found_where_the_other_stream_comes_between_its_halves(between: bytes, tmp_path: Path) -> None:
    beginning = b"x" * (ENTRY_BYTES - 11) + SECRET[:11]
    frames = [frame(1, beginning), frame(2, between), frame(1, SECRET[11:] + b"\n")]
    collected(*frames, secrets=(SECRET,), path=tmp_path / "log")
    clear = (tmp_path / "log").read_bytes()
    assert MASK + b"\n" in clear
    assert sorted(clear.replace(MASK, b"")) == sorted(b"x" * (ENTRY_BYTES - 11) + b"\n" + between)


@given(written_frames, st.lists(st.integers(1, 20), max_size=40))
def test_what_was_shown_live_is_the_beginning_of_the_log(frames: list[tuple[int, bytes]], sizes: list[int]) -> None:
    patterns = SecretPatterns([b"abcabd", b"dbab"])
    whole = b"".join(frame(*each) for each in frames)
    bounds = [0, *accumulate(sizes), len(whole)]
    decoder, redactor = FrameDecoder(), OutputRedactor(patterns)
    live = b""
    log = collect([whole], None, limit_bytes=10**7, shown_bytes=0, patterns=patterns).head
    for start, stop in pairwise(bounds):
        live += redactor.feed(decoder.feed(whole[start:stop]))
        assert log.startswith(live)


@pytest.mark.parametrize("cut", [1, 7, 8, 13, 14, 30])
def test_the_engines_words_of_its_log_are_no_output_and_make_it_incomplete(cut: int, tmp_path: Path) -> None:
    answer = frame(1, b"hello\n") + frame(3, ERROR) + frame(1, b"again\n")
    log = collected(answer[:cut], answer[cut:], path=tmp_path / "log")
    assert (tmp_path / "log").read_bytes() == b"hello\nagain\n"
    assert not log.complete
    assert log.summary is not None
    assert not log.summary.complete


def test_what_is_no_frame_makes_a_log_incomplete() -> None:
    log = collected(frame(2, b"hello\n") + b"plain text")
    assert log.head == b"hello\n"
    assert not log.complete


def test_a_log_that_is_cut_is_incomplete() -> None:
    whole = frame(1, b"hello\n")
    assert collected(whole).complete
    assert not collected(whole[:-1]).complete
    assert not collected(whole + whole[:3]).complete
