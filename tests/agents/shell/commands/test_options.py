"""getopt's ways, by hand."""

from __future__ import annotations

import pytest

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.faults import CommandFault, Unsupported
from veracast.agents.shell.interpreter import Shell
from veracast.agents.shell.streams import Sink, Source


def call(*words: str) -> Call:
    return Call(Shell(), "x", list(words), Source(), Sink(10), Sink(10))


def test_bundles_values_and_operands() -> None:
    found = options(call("-ab5", "f", "-b", "6", "--long=7", "--lo", "8", "--", "-a"), "ab:", {"long": "l:"})
    assert (
        found.rest == ["f", "-a"] and found.all("b") == ["5", "6"] and found.all("l") == ["7", "8"] and found.has("a")
    )
    assert options(call("f", "-a"), "a", in_order=True).rest == ["f", "-a"]
    assert options(call("-i.bak"), "i?").value("i") == ".bak" and options(call("-i", "x"), "i?").rest == ["x"]
    assert options(call("-"), "a").rest == ["-"] and options(call("-ab"), "ab").last("ab") == "b"


def test_what_is_not_listed_is_flagged() -> None:
    for words in (("-z",), ("--zzz",), ("-az",)):
        with pytest.raises(Unsupported, match="x -"):
            options(call(*words), "a")
    with pytest.raises(CommandFault):
        options(call("-b"), "b:")
