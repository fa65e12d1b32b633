"""The splitter agrees with json.loads on any layout, chunk by chunk."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core.errors import InputError
from veracast.data.json_stream import split_object

MEMBER = st.dictionaries(
    st.text(max_size=6),
    st.one_of(st.text(max_size=30), st.integers(), st.lists(st.text(max_size=4), max_size=3)),
    max_size=4,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(MEMBER, min_size=1, max_size=8), st.sampled_from([None, 0, 3]), st.integers(1, 64), st.booleans())
def test_chunks_join_to_the_whole(
    members: list[dict[str, object]], indent: int | None, chunk: int, ascii_only: bool
) -> None:
    whole = {str(i): member for i, member in enumerate(members)}
    raw = json.dumps(whole, indent=indent, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    found: dict[str, object] = {}
    count = 0
    for part in split_object(io.BytesIO(raw), file="x", chunk_bytes=chunk):
        found |= json.loads(part.body.decode("utf-8", "surrogatepass"))
        count += part.members
    assert (found, count) == (whole, len(whole))


def test_braces_and_escaped_quotes_inside_strings_do_not_count() -> None:
    raw = b'{"0": {"a": "} \\" { \\\\"}, "1": {"b": "\\\\\\"}"}}'
    assert [json.loads(part.body) for part in split_object(io.BytesIO(raw), file="x", chunk_bytes=7)][-1] == {
        "1": {"b": '\\"}'}
    }


@pytest.mark.parametrize("raw", [b'{"0": {"a": 1}, "1": {"b"', b'{"0": {"a": 1}', b'{"0": {"a": 1}, '])
def test_a_cut_file_is_told_with_its_byte(raw: bytes) -> None:
    with pytest.raises(InputError, match=r"x, byte 14: the file ends .* \(truncated\) -> download or export it again"):
        list(split_object(io.BytesIO(raw), file="x"))


def test_what_is_no_object_is_told() -> None:
    with pytest.raises(InputError, match="does not start with an object"):
        list(split_object(io.BytesIO(b"[1, 2]"), file="x"))
