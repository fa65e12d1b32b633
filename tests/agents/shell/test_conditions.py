"""test and [ by hand; bash's own answers stand in the recorded scripts."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import flags
from veracast.agents.shell.conditions import test as holds
from veracast.agents.shell.faults import CommandFault
from veracast.agents.shell.interpreter import Shell


@pytest.mark.parametrize(("words", "value"), [("", False), ("x", True), ("-n x", True), ("-z x", False), ("a = a", True), ("a != a", False), ("1 -lt 2", True), ("! a = b", True), ("a = a -a b = c", False), ("a = b -o c = c", True), ("( a = a )", True), ("-f /etc/passwd", True), ("-d /etc", True), ("-e /nothing", False), ("-x /etc", True), ("-s /etc/passwd", True), ("-L /bin/sh", True), ("-n", True), ("/etc -ef /etc/.", True)])  # fmt: skip
def test_values(words: str, value: bool) -> None:
    assert holds(words.split(), Shell()) is value


@pytest.mark.parametrize("words", ["1 -eq x", "a b", "-q x", "( a", "a = b c"])
def test_what_is_no_test(words: str) -> None:
    with pytest.raises(CommandFault) as caught:
        holds(words.split(), Shell())
    assert caught.value.status == 2


def test_terminals_are_not_modelled() -> None:
    assert flags("[ -t 1 ]")
