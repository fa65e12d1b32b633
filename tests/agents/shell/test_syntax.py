"""The dataclasses hold what the parser reads; equal scripts are equal."""

from __future__ import annotations

from veracast.agents.shell.parser import parse
from veracast.agents.shell.syntax import Condition, Text, Word
from veracast.agents.shell.syntax import Test as Bracketed


def test_equal_scripts_are_equal_and_can_be_keys() -> None:
    assert parse("a  b") == parse("a b # c") and hash(parse("a b")) == hash(parse("a b"))
    assert parse("a b") != parse("a 'b'")


def test_a_condition_is_a_tree() -> None:
    (item,) = parse("[[ -f a && ! $b ]]").items
    command = item.first.commands[0]
    assert isinstance(command, Bracketed)
    left, right = command.condition.inner
    assert command.condition.op == "&&" and left == Condition("-f", (Word((Text("a"),)),)) and right.op == "!"
