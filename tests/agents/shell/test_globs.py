"""Shell patterns and braces, against what bash said and by hand."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import differences, run
from veracast.agents.shell.faults import LimitReached
from veracast.agents.shell.globs import braced, has_magic, matches, plain, quoted
from veracast.agents.shell.limits import DEFAULT, Limits
from veracast.agents.shell.syntax import Text, Word


def test_it_answers_as_gnu_did() -> None:
    assert differences("globs") == []


@pytest.mark.parametrize(("pattern", "text", "fits"), [("a*c", "abbc", True), ("a?c", "ac", False), ("[!a-c]", "d", True), ("[!a-c]", "b", False), ("[]a]", "]", True), ("[a", "[a", True), ("\\*", "*", True), ("\\*", "x", False), ("[[:digit:]x]", "7", True), ("*", ".hidden", True), ("[z-a]", "m", False), ("a.c", "abc", False), ("", "", True), ("*\n*", "a\nb", True)])  # fmt: skip
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    assert matches(pattern, text) is fits


def test_a_text_as_a_pattern_matches_itself_only() -> None:
    text = "a*b[c]?\\!-^"
    assert matches(quoted(text), text) and plain(quoted(text)) == text and not has_magic(quoted(text))


def test_braces_have_a_limit() -> None:
    assert [word.bare for word in braced(Word((Text("a{1..3}"),)), DEFAULT)] == ["a1", "a2", "a3"]
    for text in ("{1..99}", "{a,b}" * 8, "{" * 200):
        with pytest.raises(LimitReached):
            braced(Word((Text(text),)), Limits(words=50))
    assert run("echo {1..100000000}").status == 137
