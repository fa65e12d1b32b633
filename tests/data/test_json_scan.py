"""Member ends by hand: strings hide braces, backslashes hide quotes, the outer brace ends the scan."""

from __future__ import annotations

from itertools import pairwise

import pytest

from veracast.data.json_scan import member_ends


@pytest.mark.parametrize(
    ("text", "members"),
    [
        (b'"0": {}, "1": {"a": {"b": {}}}', [b'"0": {}', b', "1": {"a": {"b": {}}}']),
        (b'"0": {"a": "} \\" { \\\\"}, "1": {"b": "\\\\\\"}"}', [b'"0": {"a": "} \\" { \\\\"}', b', "1": {"b": "\\\\\\"}"}']),
        (b'"0": {"a": 1}} "1": {}', [b'"0": {"a": 1}']),
        (b'"0": {"a": "}', []),
        (b"", []),
    ],
)  # fmt: skip
def test_members_end_where_the_depth_falls_back(text: bytes, members: list[bytes]) -> None:
    ends = [0, *(member_ends(text) + 1).tolist()]
    assert [text[a:b] for a, b in pairwise(ends)] == members
