"""Cut one huge JSON object of objects into chunks of whole members, without parsing it.

A chunk of bytes is scanned with numpy: unescaped quotes give what lies inside strings, braces outside strings give the
depth; a member ends where the depth falls back to that of the outer object. Any white space and any layout will do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from veracast.core.errors import InputError

CHUNK_BYTES = 8 << 20
MAX_MEMBER_BYTES = 64 << 20
_QUOTE, _BACKSLASH, _OPEN, _CLOSE = 34, 92, 123, 125
_SPACE = b" \t\r\n"


class ByteSource(Protocol):
    """Anything that can be read like a binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; empty at the end."""
        ...


@dataclass(frozen=True)
class Chunk:
    """`body` is a complete JSON object of `members` members; `end` is the offset in the source where it ends."""

    body: bytes
    members: int
    start: int
    end: int


def split_object(source: ByteSource, *, file: str, chunk_bytes: int = CHUNK_BYTES) -> Iterator[Chunk]:
    """Chunks of whole members of the outer object, in order.

    Raises InputError when the text is not one JSON object of objects, is cut short, or holds a member over 64 MB.
    """
    buffer = source.read(chunk_bytes)
    if buffer.startswith(b"\xef\xbb\xbf"):
        buffer = buffer[3:]
    head = buffer.lstrip(_SPACE)
    if not head.startswith(b"{"):
        message = f"does not start with an object but with {head[:20]!r}"
        raise InputError(message, file=file, record="byte 0", remedy="give the release's JSON file")
    offset = len(buffer) - len(head) + 1
    buffer = head[1:]
    while True:
        ends = member_ends(buffer)
        if len(ends):
            cut = int(ends[-1]) + 1
            body = b"{" + buffer[:cut].lstrip(_SPACE + b",") + b"}"
            yield Chunk(body=body, members=len(ends), start=offset, end=offset + cut)
            offset, buffer = offset + cut, buffer[cut:]
        elif len(buffer) > MAX_MEMBER_BYTES:
            raise InputError(
                "one record is over 64 MB", file=file, record=f"byte {offset}", remedy="cut the record out"
            )
        more = source.read(chunk_bytes)
        if not more:
            break
        buffer += more
    tail = buffer.strip(_SPACE + b",")
    if tail != b"}":
        what = "ends in the middle of a record" if len(tail) > 1 else "ends before its closing brace"
        message = f"the file {what} (truncated)"
        raise InputError(message, file=file, record=f"byte {offset}", remedy="download or export it again")


def member_ends(buffer: bytes) -> np.ndarray:
    """Positions of the closing braces of complete members; `buffer` starts between two members."""
    text = np.frombuffer(buffer, dtype=np.uint8)
    quotes = _unescaped(text, np.flatnonzero(text == _QUOTE))
    braces = np.flatnonzero((text == _OPEN) | (text == _CLOSE))
    outside = braces[np.searchsorted(quotes, braces) % 2 == 0]
    depth = np.cumsum(np.where(text[outside] == _OPEN, 1, -1))
    closed = np.flatnonzero(depth < 0)  # the outer object's own closing brace ends the scan
    if len(closed):
        outside, depth = outside[: closed[0]], depth[: closed[0]]
    return np.asarray(outside[depth == 0])


def _unescaped(text: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Quotes that an even number of backslashes precedes."""
    suspects = quotes[(quotes > 0) & (text[np.maximum(quotes - 1, 0)] == _BACKSLASH)]
    escaped = []
    for quote in suspects.tolist():
        run = quote - 1
        while run >= 0 and text[run] == _BACKSLASH:
            run -= 1
        if (quote - 1 - run) % 2 == 1:
            escaped.append(quote)
    return np.setdiff1d(quotes, np.array(escaped, dtype=quotes.dtype), assume_unique=True) if escaped else quotes
