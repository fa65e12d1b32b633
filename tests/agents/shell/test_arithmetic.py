"""Shell arithmetic by hand."""

from __future__ import annotations

import pytest

from veracast.agents.shell.arithmetic import evaluate, wrapped
from veracast.agents.shell.faults import ExpansionFault, LimitReached


class Cells:
    def __init__(self, **values: str) -> None:
        self.values = values

    def is_keyed(self, name: str) -> bool:
        return name == "m"

    def load(self, name: str, index: str | None) -> str:
        return self.values.get(name if index is None else f"{name}[{index}]", "")

    def store(self, name: str, index: str | None, value: str) -> None:
        self.values[name if index is None else f"{name}[{index}]"] = value


@pytest.mark.parametrize(("text", "value"), [("1+2*3", 7), ("(1+2)*3", 9), ("-7/2", -3), ("-7%3", -1), ("2**3**2", 512), ("-2**2", 4), ("1<2&&2<1", 0), ("1||0", 1), ("5&3|8", 9), ("6^3", 5), ("~0", -1), ("1?2:3?4:5", 2), ("010", 8), ("0x1f", 31), ("36#z", 35), ("1,2", 2), ("", 0), ("!5", 0), ("1<<62<<1", -(2**63)), ("x+1", 4), ("y", 4), ("x==3", 1), ("m[k]+1", 8)])  # fmt: skip
def test_values(text: str, value: int) -> None:
    assert evaluate(text, Cells(x="3", y="x+1", **{"m[k]": "7"})) == value


def test_assignments_and_what_is_not_asked_for() -> None:
    cells = Cells(i="1")
    assert evaluate("i++ + ++i", cells) == 4 and cells.values["i"] == "3"
    assert evaluate("0 && (i=9)", cells) == 0 and evaluate("1 ? 5 : (i=9)", cells) == 5 and cells.values["i"] == "3"
    assert evaluate("a[1+1]=4, a[2]*=3", cells) == 12 and cells.values["a[2]"] == "12"
    assert wrapped(2**63) == -(2**63)


@pytest.mark.parametrize("text", ["1+", "1 2", "1/0", "5%0", "08", "a b", "(1", "1)", "2**-1", "1=2", "3++", "$"])
def test_faults(text: str) -> None:
    with pytest.raises(ExpansionFault):
        evaluate(text, Cells())


def test_names_that_go_round_and_deep_ones_end() -> None:
    with pytest.raises(LimitReached):
        evaluate("a", Cells(a="b", b="a"))
    with pytest.raises(LimitReached):
        evaluate("(" * 100 + "1" + ")" * 100, Cells())
