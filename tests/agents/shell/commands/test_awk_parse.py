"""How an awk program is read."""

from __future__ import annotations

import pytest

from veracast.agents.shell.commands.awk_parse import AwkParser, Node, unescaped
from veracast.agents.shell.faults import CommandFault, LimitReached


def expression(source: str) -> Node:
    statement = AwkParser(f"BEGIN{{x={source}}}").program().begin[0].parts[0]
    assert isinstance(statement, Node) and isinstance(statement.parts[0], Node)
    found = statement.parts[0].parts[2]
    assert isinstance(found, Node)
    return found


def number(value: float) -> Node:
    return Node("number", (value,))


def test_what_binds_closer() -> None:
    assert expression("1+2*3") == Node("math", ("+", number(1), Node("math", ("*", number(2), number(3)))))
    assert expression("1 2+3") == Node("concat", (number(1), Node("math", ("+", number(2), number(3)))))
    assert (
        expression("-2^2").kind == "unary"
        and expression("a~/b/").kind == "match"
        and expression("$NF-1").kind == "math"
    )
    assert expression("a?b:c?d:e").kind == "ternary" and expression("!a~b").kind == "match"


def test_a_slash_begins_a_pattern_or_divides() -> None:
    assert expression("a/b/c").kind == "math"
    assert AwkParser("/a[/]b/").program().rules[0][0] == Node("regex", ("a[/]b",))


def test_a_greater_sign_behind_print_is_a_file() -> None:
    (block,) = AwkParser('BEGIN{print a > "f"}').program().begin
    assert block.parts == (Node("print", ((Node("variable", ("a",)),), ">", Node("string", ("f",)))),)


def test_escapes_and_faults() -> None:
    assert unescaped(r"a\tb\"\/\q\101") == 'a\tb"/\\qA'
    for source in ("{", "BEGIN", "{print (}", "{if}", "{a b c", "1 +", "{for(;;}", "function f(", "{x=}", "@"):
        with pytest.raises(CommandFault):
            AwkParser(source).program()
    with pytest.raises(LimitReached):
        AwkParser("{x=" + "(" * 500).program()
