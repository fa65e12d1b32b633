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
_PIECE_BYTES = 1 << 18
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
    """Whole members of the outer object, which lie between the offsets `start` and `end` of the source.

    decoded: what `decode` made of them as an object of their own, None where it could make nothing of it.
    body: the text of that object where nothing was made of it, else empty.
    """

    decoded: T | None
    body: bytes
    start: int
    end: int


@dataclass(frozen=True)
class _Cut(Generic[T]):
    decoded: T | None
    body: bytes
    length: int  # bytes of the buffer that it takes, not counting the first


Decode = Callable[[bytes | memoryview], T | None]


def split_object(
    source: ByteSource, *, file: str, decode: Decode[T], chunk_bytes: int = CHUNK_BYTES
) -> Iterator[Chunk[T]]:
    """Chunks of whole members of the outer object, in order.

    decode: turns the text of a JSON object into something that is not a view of it, and what is no valid JSON into None.
    Raises InputError when the text is not one JSON object of objects, is cut short, or holds a member over 64 MB.
    """
    buffer = (
        bytearray()
    )  # one byte that is done with (a brace: the outer one, or of the member before) and what follows
    more = _fill(buffer, source, chunk_bytes)
    offset = _open_object(buffer, file)
    indent = bytes(buffer[1 : len(buffer) - len(buffer[1:].lstrip(_SPACE))])
    quick = True
    while more or not _is_over(buffer):
        cut = _cut_by_guess(buffer, indent, decode, rest=not more) if quick else None
        if cut is None:
            cut = _cut_by_scan(buffer, decode)
            quick = quick and (cut is None or cut.decoded is None)  # else the guess misled
        if cut is not None:
            del buffer[: cut.length]
            start, offset = offset, offset + cut.length
            yield Chunk(cut.decoded, cut.body, start, offset)
        elif not more:
            raise _truncated(buffer, offset, file)
        elif len(buffer) > MAX_MEMBER_BYTES:
            remedy = "cut the record out"
            raise InputError("one record is over 64 MB", file=file, record=f"byte {offset}", remedy=remedy)
        more = more and _fill(buffer, source, chunk_bytes)


def _fill(buffer: bytearray, source: ByteSource, size: int) -> bool:
    """Read `size` more bytes; False at the end of the source. In small pieces, whose memory is used again and again."""
    wanted = len(buffer) + size
    while len(buffer) < wanted:
        piece = source.read(min(_PIECE_BYTES, wanted - len(buffer)))
        if not piece:
            return False
        buffer += piece
    return True


def _open_object(buffer: bytearray, file: str) -> int:
    """Drop what stands before the opening brace; returns the offset of what follows it."""
    text = buffer.removeprefix(b"\xef\xbb\xbf")
    head = text.lstrip(_SPACE)
    if not head.startswith(b"{"):
        message = f"does not start with an object but with {bytes(head[:20])!r}"
        raise InputError(message, file=file, record="byte 0", remedy="give the release's JSON file")
    del buffer[: len(buffer) - len(head)]
    return len(text) - len(head) + 1


def _is_over(buffer: bytearray) -> bool:
    return buffer[1:].strip(_SPACE + b",") == b"}"


def _truncated(buffer: bytearray, offset: int, file: str) -> InputError:
    left = buffer[1:].strip(_SPACE + b",")
    what = "ends in the middle of a record" if len(left) > 1 else "ends before its closing brace"
    remedy = "download or export it again"
    return InputError(f"the file {what} (truncated)", file=file, record=f"byte {offset}", remedy=remedy)


def _cut_by_guess(buffer: bytearray, indent: bytes, decode: Decode[T], *, rest: bool) -> _Cut[T] | None:
    """Up to the last line break that looks like one between two members, or all; None where that turns out wrong."""
    if rest:
        end = len(buffer.rstrip(_SPACE)) - 1
        found = end > 0 and buffer[end] == b"}"[0]
    else:
        end = buffer.rfind(indent + b"}," + indent + b'"') + len(indent) + 1
        found = indent.startswith((b"\n", b"\r\n")) and end > len(indent)
    decoded = _decode_between(buffer, _start(buffer), end, decode) if found else None
    return None if decoded is None else _Cut(decoded, b"", end - 1)


def _decode_between(buffer: bytearray, start: int, end: int, decode: Decode[T]) -> T | None:
    """What stands from `start` to `end` as an object; the bytes before and after are lent to its braces, to copy nothing."""
    before, after = buffer[start - 1], buffer[end]
    buffer[start - 1], buffer[end] = b"{}"
    with memoryview(buffer) as whole, whole[start - 1 : end + 1] as body:
        decoded = decode(body)
    buffer[start - 1], buffer[end] = before, after
    return decoded


def _cut_by_scan(buffer: bytearray, decode: Decode[T]) -> _Cut[T] | None:
    """Up to the end of the last whole member; None where there is none."""
    from veracast.data.json_scan import member_ends  # numpy takes .1 s to import, as long as 10 MB of a usual file

    ends = member_ends(bytes(buffer[1:]))
    if not len(ends):
        return None
    length = int(ends[-1]) + 1
    body = b"{" + bytes(buffer[_start(buffer) : length + 1]) + b"}"
    decoded = decode(body)
    return _Cut(decoded, body if decoded is None else b"", length)


def _start(buffer: bytearray) -> int:
    """Where the next member starts."""
    between = _BETWEEN.match(buffer, 1)
    return between.end() if between else 1
