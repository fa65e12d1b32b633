"""How a sed script is read."""

from __future__ import annotations

import pytest

from veracast.agents.shell.commands.sed_parse import SedParser, replacement
from veracast.agents.shell.faults import CommandFault, Unsupported


def names(script: str) -> str:
    return "".join(command.name for command in SedParser(script, False).whole())


def test_commands_and_addresses() -> None:
    assert names("1p;/a/,$!d\n{s/a/b/;p}") == "pd{sp}"
    (command,) = SedParser("2,/x/!s/a/b/2gp", False).whole()
    assert command.first is not None and command.second is not None
    assert (command.first.kind, command.first.number, command.second.kind, command.negated) == (
        "line",
        2,
        "match",
        True,
    )
    assert (command.nth, command.every, command.prints) == (2, True, True)


def test_a_delimiter_may_stand_in_brackets_or_behind_a_backslash() -> None:
    (command,) = SedParser("s/[/]\\/x/y/", False).whole()
    assert command.pattern is not None and command.pattern.search("//x") is not None
    (command,) = SedParser("s|a\\|b|c|", False).whole()
    assert command.pattern is not None and command.pattern.search("a|b") is not None


def test_replacements() -> None:
    assert replacement("a&\\1\\n\\U\\&") == [
        ("text", "a"),
        ("group", "0"),
        ("group", "1"),
        ("text", "\n"),
        ("case", "U"),
        ("text", "&"),
    ]


def test_jumps_know_their_places() -> None:
    commands = SedParser(":a;p;ta;b", False).whole()
    assert [command.jump for command in commands if command.name in "tb"] == [0, 3]


@pytest.mark.parametrize(
    "script", ["s/a", "s/a/b/q", "{p", "p}", "k", "p p", "1,p", "bx", "y/a/bc/", ":", "/a", "s/(/b/;s/\\(/b/"]
)
def test_faults(script: str) -> None:
    with pytest.raises(CommandFault):
        SedParser(script, False).whole()


@pytest.mark.parametrize("script", ["w f", "e ls", "l", "z", "/a/Mp", "s/a/b/e", "s/a/b/m"])
def test_what_is_not_modelled(script: str) -> None:
    with pytest.raises(Unsupported):
        SedParser(script, False).whole()
