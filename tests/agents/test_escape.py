"""Any text between brackets comes back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.agents.escape import escape, unescape

ANY = st.text(st.characters(), max_size=40) | st.text(alphabet="\\x[]();0aFf \n\t\u2028\u202e\x00", max_size=12)


@given(ANY)
def test_any_text_comes_back_from_one_line_without_bare_marks(text: str) -> None:
    written = escape(text)
    assert unescape(written) == text
    assert len(written.splitlines()) <= 1 and written == written.strip()
    bare = written.replace("\\\\", "").replace("\\[", "").replace("\\]", "").replace("\\(", "").replace("\\)", "")
    assert not set(bare) & set("[]()")


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("red shirt", "red shirt"),
        (" a", "\\x20;a"),
        ("a[0]", "a\\[0\\]"),
        ("f(x)\n", "f\\(x\\)\\xa;"),
        ("\x00", "\\x0;"),
        ("\u202eabc", "\\x202e;abc"),
        ("c:\\x41;", "c:\\\\x41;"),
    ],
)
def test_by_hand(text: str, written: str) -> None:
    assert escape(text) == written
    assert unescape(written) == text


@pytest.mark.parametrize("text", [r"\d+", r"\x", r"\xzz;", r"\x110000;", r"\xffffff;", "\\"])
def test_what_is_no_escape_stands_for_itself(text: str) -> None:
    assert unescape(text) == text


def test_an_escape_may_name_any_character() -> None:
    assert unescape(r"\x1f600;\x41;") == "\U0001f600A"
