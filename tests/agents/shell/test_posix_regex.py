"""POSIX expressions as they are translated, their errors, and those that would never end."""

from __future__ import annotations

import pytest

from veracast.agents.shell.faults import CommandFault, LimitReached, Unsupported
from veracast.agents.shell.posix_regex import Dialect, compile_pattern


@pytest.mark.parametrize(("dialect", "pattern", "text", "found"), [
    ("basic", r"a\{2\}", "caab", "aa"), ("basic", "a{2}", "a{2}", "a{2}"), ("basic", "*a", "b*a", "*a"), ("basic", r"\(ab\)\1", "ababab", "abab"),
    ("basic", "a^b$c", "a^b$c", "a^b$c"), ("basic", r"x\|yz", "ayz", "yz"), ("basic", r"\<b\w*", "ab bcd", "bcd"), ("extended", "(a|ab)(c|bcd)", "abcd", "abcd"),
    ("extended", "a|ab|abc", "abcd", "abc"), ("extended", "a{,2}", "aaa", "aa"), ("extended", "a+?", "aa", "aa"), ("extended", "[^]x]+", "]ab]", "ab"),
    ("extended", "[[:upper:]]+[[:digit:]]", "abCD1", "CD1"), ("extended", "a)b", "a)b", "a)b"), ("extended", r"\.", "a.b", "."), ("perl", r"\d+(?=x)", "1 23x", "23"),
    ("extended", "a{1", "a{1", "a{1"), ("basic", r"\d", "5d", "d"), ("extended", "()b", "ab", "b"), ("awk", r"a\/b", "a/b", "a/b"),
])  # fmt: skip
def test_leftmost_and_longest(dialect: Dialect, pattern: str, text: str, found: str) -> None:
    match = compile_pattern(pattern, dialect).search(text)
    assert match is not None and match.group() == found


def test_around_words_and_lines() -> None:
    assert compile_pattern("a", around="word").search("ba a_ a") is not None
    assert compile_pattern("a", around="word").search("ba a_") is None
    assert compile_pattern("a|b", "extended", around="line").search("ab") is None


@pytest.mark.parametrize("pattern", ["(", "[a", "[[:no:]]", "a{2,1}", "[z-a]", "a\\", "(a)\\2"])
def test_what_is_no_expression(pattern: str) -> None:
    with pytest.raises(CommandFault):
        compile_pattern(pattern, "extended")


def test_what_is_not_modelled() -> None:
    for pattern, dialect in (("[[=a=]]", "extended"), (r"\sa", "awk"), ("(?R)", "perl")):
        with pytest.raises(Unsupported):
            compile_pattern(pattern, dialect)  # type: ignore[arg-type]


def test_catastrophic_ones_end() -> None:
    with pytest.raises(LimitReached):
        compile_pattern("^(a|aa)+b$", "perl", timeout_s=0.05).search("a" * 60)
    with pytest.raises(LimitReached):
        compile_pattern("(" * 500 + ")" * 500, "extended")
    with pytest.raises(LimitReached):
        compile_pattern("a" * 10_000)
