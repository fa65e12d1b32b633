"""Values, fields and formats of awk, by hand."""

from __future__ import annotations

import math

import pytest

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.awk_parse import Program
from veracast.agents.shell.commands.awk_values import Entry, Values, as_number, is_numeric
from veracast.agents.shell.faults import CommandFault, LimitReached
from veracast.agents.shell.interpreter import Shell
from veracast.agents.shell.streams import Sink, Source


@pytest.fixture
def values() -> Values:
    return Values(Call(Shell(), "awk", [], Source(), Sink(100), Sink(100)), Program())


def test_numbers_in_texts() -> None:
    assert [as_number(v) for v in ("12abc", " -1.5e2x", "", "x", None, ".5", Entry("0x1A"))] == [
        12,
        -150,
        0,
        0,
        0,
        0.5,
        0,
    ]
    assert [is_numeric(v) for v in (Entry(" 1 "), Entry("1x"), "1", 1.0, None)] == [True, False, False, True, True]


def test_comparisons_of_what_looks_like_numbers(values: Values) -> None:
    assert values.compared("<", Entry("9"), Entry("10")) and not values.compared("<", "9", "10")
    assert values.compared("==", Entry("1.0"), 1.0) and values.compared("<", Entry("a"), Entry("b"))


def test_numbers_as_texts(values: Values) -> None:
    assert [values.text(v) for v in (3.0, 0.1 + 0.2, 1e6, -0.0, math.inf, None)] == [
        "3",
        "0.3",
        "1000000",
        "0",
        "inf",
        "",
    ]


def test_fields_and_what_changes_them(values: Values) -> None:
    values.set_record("  a b\tc ")
    assert [values.field(n) for n in (1, 3, 4)] == ["a", "c", None] and values.get("NF") == 3.0
    values.set_field(5, "e")
    assert values.whole() == "a b c  e"
    values.set("NF", 2.0)
    assert values.whole() == "a b"
    with pytest.raises(LimitReached):
        values.set_field(10**9, "x")
    with pytest.raises(CommandFault):
        values.field(-1)


def test_separators(values: Values) -> None:
    assert values.split_text("a::b", ":") == ["a", "", "b"] and values.split_text("a1b22c", "[0-9]+") == ["a", "b", "c"]
    assert (
        values.split_text("a|b", "|") == ["a", "b"]
        and values.split_text("abc", "") == ["a", "b", "c"]
        and values.split_text("", ":") == []
    )


def test_formats(values: Values) -> None:
    assert values.formatted("%s-%03d-%c%c-%%-%5.1f", ["a", 7.0, 65.0, "xyz", 2.25]) == "a-007-Ax-%-  2.2"
    with pytest.raises(CommandFault):
        values.formatted("%s", [])


def test_arrays_are_no_scalars(values: Values) -> None:
    values.array("a")["k"] = 1.0
    for wrong in (lambda: values.get("a"), lambda: values.set("a", 1.0), lambda: values.array("NR")):
        with pytest.raises(CommandFault):
            wrong()
