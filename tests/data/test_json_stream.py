"""The splitter agrees with json.loads on any layout, chunk by chunk, and says where a file is cut short."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core.errors import InputError
from veracast.data import json_stream
from veracast.data.json_stream import Chunk, split_object

SCALAR = st.one_of(st.text(max_size=30), st.integers(), st.lists(st.text(max_size=4), max_size=3))
MEMBER = st.dictionaries(
    st.text(max_size=6), st.one_of(SCALAR, st.dictionaries(st.text(max_size=3), SCALAR)), max_size=4
)


def loads(body: bytes | memoryview) -> dict[str, Any] | None:
    try:
        return dict(json.loads(bytes(body).decode("utf-8", "surrogatepass")))
    except ValueError:
        return None


def chunks(raw: bytes, chunk_bytes: int = 1 << 20) -> list[Chunk[dict[str, Any]]]:
    return list(split_object(io.BytesIO(raw), file="x", decode=loads, chunk_bytes=chunk_bytes))


def joined(found: list[Chunk[dict[str, Any]]]) -> tuple[dict[str, Any], int]:
    """All members, and how many there were before a key could overwrite its like."""
    parts = [chunk.decoded for chunk in found if chunk.decoded is not None]
    return {key: member for part in parts for key, member in part.items()}, sum(map(len, parts))


@settings(max_examples=150, deadline=None)
@given(st.lists(MEMBER, min_size=1, max_size=8), st.sampled_from([None, 0, 3]), st.integers(1, 64), st.booleans())
def test_chunks_join_to_the_whole(
    members: list[dict[str, object]], indent: int | None, chunk: int, ascii_only: bool
) -> None:
    whole = {str(i): member for i, member in enumerate(members)}
    raw = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found = chunks(raw, chunk)
    assert joined(found) == (whole, len(whole))
    assert not any(part.body for part in found)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_an_indented_file_needs_no_scan(monkeypatch: pytest.MonkeyPatch, newline: str) -> None:
    whole = {str(i): {"a": {"0": {"b": i}, "1": {"b": "},"}}} for i in range(50)}
    raw = json.dumps(whole, indent=3).replace("\n", newline).encode()
    monkeypatch.setattr(json_stream, "_cut_by_scan", None)
    found = chunks(raw, 1000)
    assert joined(found) == (whole, 50) and len(found) > 3


def test_a_layout_that_misleads_is_scanned_instead() -> None:
    """With an indent of 0 the end of an inner object looks like that of a member."""
    whole = {str(i): {"a": {"0": {"b": i}, "1": {"b": 2}}} for i in range(50)}
    assert joined(chunks(json.dumps(whole, indent=0).encode(), 300)) == (whole, 50)


def test_a_damaged_member_spoils_only_its_chunk() -> None:
    whole = {str(i): {"a": i} for i in range(50)}
    raw = json.dumps(whole, indent=3).encode().replace(b'"a": 20\n', b'"a": twenty\n')
    found = chunks(raw, 100)
    (bad,) = [chunk for chunk in found if chunk.decoded is None]
    assert bad.body.startswith(b'{"') and b'"a": twenty' in bad.body and bad.body.endswith(b"}}")
    assert joined(found)[1] + bad.body.count(b'"a"') == 50


def test_offsets_are_those_of_the_source() -> None:
    raw = b"\xef\xbb\xbf" + json.dumps({str(i): {"a": i} for i in range(20)}, indent=3).encode()
    found = chunks(raw, 64)
    assert [chunk.start for chunk in found[1:]] == [chunk.end for chunk in found[:-1]]
    for chunk in found:
        assert chunk.decoded == loads(b"{" + raw[3:][chunk.start : chunk.end].lstrip(b" \n,") + b"}")


@pytest.mark.parametrize("raw", [b'{"0": {"a": 1}, "1": {"b"', b'{"0": {"a": 1}', b'{"0": {"a": 1}, '])
def test_a_cut_file_is_told_with_its_byte(raw: bytes) -> None:
    with pytest.raises(InputError, match=r"x, byte 14: the file ends .* \(truncated\) -> download or export it again"):
        chunks(raw)


def test_an_indented_file_that_is_cut_is_told_too() -> None:
    raw = json.dumps({"0": {"a": 1}, "1": {"a": 2}}, indent=3).encode()
    for end, words in ((-1, "ends before its closing brace"), (-12, "ends in the middle of a record")):
        with pytest.raises(InputError, match=words):
            chunks(raw[:end], 8)


def test_what_is_no_object_is_told() -> None:
    with pytest.raises(InputError, match="does not start with an object"):
        chunks(b"[1, 2]")


def test_a_member_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "MAX_MEMBER_BYTES", 100)
    with pytest.raises(InputError, match=r"x, byte 1: one record is over 64 MB -> cut the record out"):
        chunks(b'{"0": {"a": "' + b"x" * 500, 50)
