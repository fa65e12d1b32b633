"""Cut one huge JSON object of objects into chunks of whole members, in any layout, and decode them.

In an indented file the line breaks show where a member ends. That is a guess (an indent of 0 shows nothing, a damaged
string may hold a line break), but one that proves itself: where braces put around a piece make it one valid object, the
piece ends between two members. Where they do not, the piece is scanned byte by byte (json_scan.py), which is always right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from veracast.core.errors import InputError

CHUNK_BYTES = 8 << 20
MAX_MEMBER_BYTES = 64 << 20
_SPACE = b" \t\r\n"
_BETWEEN = re.compile(rb"[ \t\r\n,]*")
T = TypeVar("T")


class ByteSource(Protocol):
    """Anything that can be read like a binary file."""

    def read(self, size: int = -1, /) -> bytes:
        """Up to `size` bytes; empty at the end."""
        ...


@dataclass(frozen=True)
class Chunk(Generic[T]):
    """`body` is a complete JSON object of whole members; `end` is the offset in the source where they end.

    decoded: what `decode` made of the body, None where it could make nothing of it.
    """

    body: bytes
    decoded: T | None
    start: int
    end: int


@dataclass(frozen=True)
class _Cut(Generic[T]):
    body: bytes
    decoded: T | None
    length: int  # bytes of the buffer that it takes


def split_object(
    source: ByteSource, *, file: str, decode: Callable[[bytes], T | None], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk[T]]:
    """Chunks of whole members of the outer object, in order.

    decode: turns the text of a JSON object into something, and what is no valid JSON into None.
    Raises InputError when the text is not one JSON object of objects, is cut short, or holds a member over 64 MB.
    """
    buffer, offset = _open_object(source.read(chunk_bytes), file)
    indent = buffer[: len(buffer) - len(buffer.lstrip(_SPACE))]
    quick = True
    more = source.read(chunk_bytes)  # one ahead, to know when the buffer is the rest
    while more or not _is_over(buffer):
        cut = _cut_by_guess(buffer, indent, decode, rest=not more) if quick else None
        if cut is None:
            cut = _cut_by_scan(buffer, decode)
            quick = quick and (cut is None or cut.decoded is None)  # else the guess misled
        if cut is not None:
            buffer, start, offset = buffer[cut.length :], offset, offset + cut.length
            yield Chunk(cut.body, cut.decoded, start, offset)
        elif not more:
            raise _truncated(buffer, offset, file)
        elif len(buffer) > MAX_MEMBER_BYTES:
            remedy = "cut the record out"
            raise InputError("one record is over 64 MB", file=file, record=f"byte {offset}", remedy=remedy)
        buffer += more
        more = source.read(chunk_bytes) if more else b""


def _open_object(buffer: bytes, file: str) -> tuple[bytes, int]:
    """What follows the opening brace, and its offset."""
    text = buffer.removeprefix(b"\xef\xbb\xbf")
    head = text.lstrip(_SPACE)
    if not head.startswith(b"{"):
        message = f"does not start with an object but with {head[:20]!r}"
        raise InputError(message, file=file, record="byte 0", remedy="give the release's JSON file")
    return head[1:], len(text) - len(head) + 1


def _is_over(buffer: bytes) -> bool:
    return buffer.strip(_SPACE + b",") == b"}"


def _truncated(buffer: bytes, offset: int, file: str) -> InputError:
    left = buffer.strip(_SPACE + b",")
    what = "ends in the middle of a record" if len(left) > 1 else "ends before its closing brace"
    remedy = "download or export it again"
    return InputError(f"the file {what} (truncated)", file=file, record=f"byte {offset}", remedy=remedy)


def _cut_by_guess(buffer: bytes, indent: bytes, decode: Callable[[bytes], T | None], *, rest: bool) -> _Cut[T] | None:
    """Up to the last line break that looks like one between two members, or all; None where that turns out wrong."""
    if rest:
        length = len(buffer.rstrip(_SPACE)) - 1
        found = buffer[length : length + 1] == b"}"
    else:
        length = buffer.rfind(indent + b"}," + indent + b'"') + len(indent) + 1
        found = indent.startswith((b"\n", b"\r\n")) and length > len(indent)
    body = _braced(buffer, length) if found else b""
    decoded = decode(body) if found else None
    return None if decoded is None else _Cut(body, decoded, length)


def _cut_by_scan(buffer: bytes, decode: Callable[[bytes], T | None]) -> _Cut[T] | None:
    """Up to the end of the last whole member; None where there is none."""
    from veracast.data.json_scan import member_ends  # numpy takes .1 s to import, as long as 10 MB of a usual file

    ends = member_ends(buffer)
    if not len(ends):
        return None
    body = _braced(buffer, int(ends[-1]) + 1)
    return _Cut(body, decode(body), int(ends[-1]) + 1)


def _braced(buffer: bytes, length: int) -> bytes:
    between = _BETWEEN.match(buffer)
    start = between.end() if between else 0
    return b"".join((b"{", memoryview(buffer)[start:length], b"}"))
