"""Scopes, arrays and what a subshell keeps to itself."""

from __future__ import annotations

import pytest

from veracast.agents.shell.faults import CommandFault
from veracast.agents.shell.variables import Variables


def test_scopes_and_copies() -> None:
    values = Variables({"a": "1"})
    values.scopes.append({})
    values.set("a", "2")
    values.set("b", "3", local=True)
    assert values.text("a") == "2" and values.text("b") == "3"
    child = values.copy()
    child.set("a", "9")
    values.scopes.pop()
    assert values.text("b") is None and values.text("a") == "2" and values.environment() == {"a": "2"}


def test_arrays_stay_in_order_of_their_numbers() -> None:
    values = Variables({})
    for index in ("10", "2", "0"):
        values.set_element("x", index, "v" + index)
    assert list(values.elements("x")) == ["0", "2", "10"] and values.text("x") == "v0"
    values.unset("x", "2")
    assert list(values.elements("x")) == ["0", "10"]
    values.readonly.add("x")
    with pytest.raises(CommandFault):
        values.set("x", "no")
