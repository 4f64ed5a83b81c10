"""Takes secret values out of a stream of output, whatever the chunks it comes in. Pure.

What is found: each value as it is, each longer line of a value of several lines, and the base64 form of the value,
standard and URL-safe, at each of the three places where it can stand in what was encoded, also when it is broken into
lines. What is not: other encodings, and a value that the program itself takes apart.
"""

from __future__ import annotations

import base64
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter

MASK = b"***"
"""What stands in the place of a secret."""

MIN_BYTES = 4
"""A shorter value is not looked for: it would be found everywhere."""

_MIN_LINE_BYTES = 8
_LINE_BREAK = rb"(?:\r?\n)?"
_LINE_BREAKS = b"\r\n"
_PROBE_BYTES = 4


class SecretPatterns:
    """What to look for; made once, and shared by the redactors of many streams.

    Args:
        values: the secrets.
    """

    def __init__(self, values: Iterable[bytes]) -> None:
        plain: set[bytes] = set()
        encoded: set[bytes] = set()
        for value in values:
            plain.update(_plain_forms(value))
            encoded.update(_base64_forms(value.strip()))
        self._plain = _longest_first(plain)
        self._encoded = _longest_first(encoded)
        self._plain_beginnings, self._encoded_beginnings = _beginnings(plain), _beginnings(encoded)
        longest = max(map(len, self._encoded), default=0)
        self._encoded_bytes = longest + len(_LINE_BREAKS) * (longest - 1)  # in lines of one character

    def __bool__(self) -> bool:
        """Whether there is anything to look for."""
        return bool(self._plain)

    def redactor(self) -> Redactor:
        """A redactor for one stream."""
        return Redactor(self)

    def redact(self, text: str) -> str:
        """A whole text without the secrets."""
        return self.redact_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def redact_bytes(self, whole: bytes) -> bytes:
        """The same of bytes."""
        redactor = self.redactor()
        return redactor.feed(whole) + redactor.close()

    def matches(self, data: bytes, end: int) -> Iterator[tuple[int, int]]:
        """Where secrets stand that begin before a position, those that overlap included."""
        unbroken = data.translate(None, _LINE_BREAKS)
        # Looking for each form by itself is faster than a pattern of them all.
        words = [re.escape(form) for form in self._plain if form in data]
        words += [_breakable(form) for form in self._encoded if form in unbroken]
        if not words:
            return
        regex = re.compile(b"|".join(words))
        found = regex.search(data)
        while found and found.start() < end:
            yield found.span()
            found = regex.search(data, found.start() + 1)

    def undecided_from(self, data: bytes) -> int:
        """The first position at which a secret may begin that goes on behind the data; its length if there is none."""
        window = data[-self._encoded_bytes :]
        unbroken = window.translate(None, _LINE_BREAKS)
        left = len(unbroken) - _unfinished(unbroken, self._encoded, self._encoded_beginnings)
        return min(_unfinished(data, self._plain, self._plain_beginnings), len(data) - _bytes_with(window, left))


class Redactor:
    """Redacts one stream. What it gives is the same however the stream is cut into chunks.

    Only bytes with which a secret may begin are held back until it is clear that none does, so that output which is
    followed live comes at once.
    """

    def __init__(self, patterns: SecretPatterns) -> None:
        self._patterns = patterns
        self._held = b""
        self._masked = 0  # how many of the held bytes belong to a secret whose mask is out already
        self._shown = 0  # how many of them are out as they are

    def feed(self, chunk: bytes) -> bytes:
        """What is clear of the stream by now, beyond what was given before."""
        if not self._patterns:
            return chunk
        self._held += chunk
        return self._take(self._patterns.undecided_from(self._held))

    def end_line(self) -> bytes:
        """What is held back only since an encoded secret may go on in the next line, if it is all but nothing.

        Should one do so, the rest of it is masked.
        """
        ends_line = self._held[-1:] in _LINE_BREAKS and len(self._held.strip(_LINE_BREAKS)) < _PROBE_BYTES
        if self._shown or self._masked or not ends_line:
            return b""
        self._shown = len(self._held)
        return self._held

    def close(self) -> bytes:
        """The rest, after the last chunk."""
        return self._take(len(self._held))

    def _take(self, end: int) -> bytes:
        """The held bytes up to a position, redacted; secrets that overlap have one mask."""
        held, clear = self._held, []
        masked_to, shown_to = max(self._masked, self._shown), self._shown
        for start, stop in self._patterns.matches(held, end):
            if start >= masked_to or start < shown_to < stop:
                clear += [held[masked_to:start], MASK]
                shown_to = 0
            masked_to = max(masked_to, stop)
        clear.append(held[masked_to:end])
        self._held, self._masked, self._shown = held[end:], max(0, masked_to - end), max(0, self._shown - end)
        return b"".join(clear)


class OutputRedactor:
    """Redacts streams that come mixed, each by itself: what one brings may part a secret in another.

    What is held back of one comes with its next piece, behind what others bring meanwhile; not so the end of a line.
    """

    def __init__(self, patterns: SecretPatterns) -> None:
        self._patterns = patterns
        self._redactors = defaultdict[int, Redactor](patterns.redactor)
        self._last: int | None = None

    def feed(self, pieces: Iterable[tuple[int, bytes | memoryview]]) -> bytes:
        """What is clear by now, beyond what was given before, of pieces that are told with their streams."""
        if not self._patterns:
            return b"".join([piece for _, piece in pieces])
        clear = []
        for stream, of_stream in groupby(pieces, itemgetter(0)):
            if stream != self._last:
                clear += [redactor.end_line() for redactor in self._redactors.values()]
            self._last = stream
            clear.append(self._redactors[stream].feed(b"".join([piece for _, piece in of_stream])))
        return b"".join(clear)

    def close(self) -> bytes:
        """The rest, after the last pieces."""
        return b"".join([redactor.close() for redactor in self._redactors.values()])


def _plain_forms(value: bytes) -> Iterator[bytes]:
    """The value, and its lines; without the white space around them, which programs drop."""
    whole = value.strip()
    if len(whole) >= MIN_BYTES:
        yield whole
    lines = whole.splitlines()
    if len(lines) > 1:
        yield from (line for line in map(bytes.strip, lines) if len(line) >= _MIN_LINE_BYTES)


def _base64_forms(value: bytes) -> Iterator[bytes]:
    """The characters that depend on the value alone, for each number of bytes (modulo 3) that may come before it."""
    if len(value) < MIN_BYTES:
        return
    for before in range(3):
        whole = base64.b64encode(bytes(before) + value + bytes(2))
        form = whole[(8 * before + 5) // 6 : 8 * (before + len(value)) // 6]
        yield form
        yield form.replace(b"+", b"-").replace(b"/", b"_")


def _longest_first(forms: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(forms, key=lambda form: (-len(form), form)))


def _breakable(form: bytes) -> bytes:
    """A pattern for a form that may be broken into lines."""
    return _LINE_BREAK.join(re.escape(bytes((byte,))) for byte in form)


def _beginnings(forms: Iterable[bytes]) -> frozenset[bytes]:
    """Those that are shorter than a probe."""
    return frozenset(form[:size] for form in forms for size in range(1, _PROBE_BYTES))


def _unfinished(data: bytes, forms: Iterable[bytes], beginnings: frozenset[bytes]) -> int:
    """Where the end of the data is the beginning of a form, but not all of it, first; the data's length if nowhere."""
    first = len(data)
    for size in range(1, min(_PROBE_BYTES, first + 1)):
        if data[-size:] in beginnings:
            first = len(data) - size
    for form in forms:
        probe = form[:_PROBE_BYTES]
        start = data.find(probe, max(0, len(data) - len(form) + 1))
        while 0 <= start < first:
            if form.startswith(data[start:]):
                first = start
            start = data.find(probe, start + 1)
    return first


def _bytes_with(window: bytes, count: int) -> int:
    """How many bytes at the end hold this many that are no line breaks."""
    size = 0
    while count:
        size += 1
        count -= window[-size] not in _LINE_BREAKS
    return size
