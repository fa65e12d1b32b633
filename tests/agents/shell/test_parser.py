"""What a script says, by hand, and what bash calls a syntax error."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import flags, run
from veracast.agents.shell.faults import LimitReached, SyntaxFault
from veracast.agents.shell.parser import parse
from veracast.agents.shell.syntax import AndOr, Group, Pipeline, Redirect, Script, Simple, Text, Word


def simple(*words: str) -> Simple:
    return Simple((), tuple(Word((Text(word),)) for word in words))


def test_lists_and_pipelines() -> None:
    found = parse("a b | c && ! d || e; f # g")
    first = AndOr(
        Pipeline((simple("a", "b"), simple("c")), both=(False,)),
        (("&&", Pipeline((simple("d"),), negated=True)), ("||", Pipeline((simple("e"),)))),
    )
    assert found == Script((first, AndOr(Pipeline((simple("f"),)))))


def test_two_here_documents_in_a_line() -> None:
    (item,) = parse("cat <<A 3<<'B'\n1$x\nA\n2$x\nB\n").items
    command = item.first.commands[0]
    assert isinstance(command, Simple)
    assert [r.descriptor for r in command.redirects] == [None, 3]
    assert command.redirects[1] == Redirect("<<", Word((Text("2$x\n", True),)), 3)


def test_a_group_takes_redirections() -> None:
    (item,) = parse("{ a; } > f").items
    assert item.first.commands[0] == Group(
        Script((AndOr(Pipeline((simple("a"),))),)), redirects=(Redirect(">", Word((Text("f"),))),)
    )


@pytest.mark.parametrize("script", ["if", "if true", "if true; then fi", "for", "while do done", "a |", "a &&", ")", "a ) b", "{ a", "( a", "case x in", "f( a", "a ; ; b", "fi", "done", "[[ ]]", "[[ a", "< ", "a >", "((1", "for x in a; echo; done", "}", "& a"])  # fmt: skip
def test_syntax_errors(script: str) -> None:
    outcome = run(script)
    assert outcome.status in (2, 127) and outcome.stdout == ""
    if not outcome.unsupported:
        with pytest.raises(SyntaxFault):
            parse(script)


@pytest.mark.parametrize("script", ["sleep 1 &", "select x in a; do :; done", "coproc x", "echo a*(b)", "cat <> f", "case x in a) ;;& esac"])  # fmt: skip
def test_what_is_not_modelled_is_flagged(script: str) -> None:
    assert flags(script)


@pytest.mark.parametrize("piece", ["(", "{ ", "if ", "[[ ! ( ", "while ", "case x in x) "])
def test_deep_nesting_ends(piece: str) -> None:
    with pytest.raises((LimitReached, SyntaxFault)):
        parse(piece * 2_000)
