"""Quotes, escapes and dollars, against what bash said and against what is not modelled."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import differences, flags, out
from veracast.agents.shell.faults import LimitReached, SyntaxFault
from veracast.agents.shell.parser import Parser
from veracast.agents.shell.syntax import Param, Text, Word
from veracast.agents.shell.words import unescaped


def test_it_answers_as_gnu_did() -> None:
    assert differences("quoting") == []


def word(text: str) -> Word | None:
    return Parser(text).word()


def test_a_word_keeps_what_was_quoted_apart() -> None:
    assert word("a'b'\"$c\"") == Word((Text("a"), Text("b", True), Text("", True), Param("c", quoted=True)))
    assert word("${x%.*}") == Word((Param("x", "%", Word((Text(".*"),))),))
    assert word("") is None and word(" a") is None
    assert Word((Text("a"), Text("b"))).bare == "ab" and Word((Text("a", True),)).bare is None


def test_escapes_of_dollar_quotes() -> None:
    assert unescaped(r"a\tb\x41\101\u00e9\q") == "a\tbAA\u00e9\\q"
    assert unescaped(r"\xc3\xa9") == "\u00e9" and unescaped(r"a\0b") == "a"


def test_what_is_not_modelled_is_flagged() -> None:
    assert (
        flags('echo $"x"')
        and flags("echo $[1+1]")
        and flags("echo >(cat)")
        and flags("echo ${x@Q}")
        and flags("echo ${!a*}")
    )


def test_open_quotes_and_deep_nesting_end() -> None:
    for text in ("'a", '"a', "`a", "${a", "$'a"):
        with pytest.raises(SyntaxFault):
            word(text)
    with pytest.raises(LimitReached):
        word("$(" * 1_000)
    assert out("echo " + "$(echo " * 5 + "x" + ")" * 5) == "x\n"
