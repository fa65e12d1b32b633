"""What a command sees of its arguments and streams."""

from __future__ import annotations

import pytest

from veracast.agents.shell.call import Call
from veracast.agents.shell.faults import TreeFault
from veracast.agents.shell.interpreter import Shell
from veracast.agents.shell.streams import Sink, Source


def call() -> Call:
    return Call(Shell(), "name", ["a"], Source(b"in"), Sink(100), Sink(100))


def test_inputs_are_files_or_standard_input() -> None:
    made = call()
    found = list(made.inputs(["-", "/etc/hostname", "/none", "/etc"]))
    assert [one and one.data for one in found] == [b"in", b"sandbox\n", None, None]
    assert made.stderr.value() == b"name: /none: No such file or directory\nname: /etc: Is a directory\n"


def test_output_and_errors() -> None:
    made = call()
    made.line("x")
    made.out(b"y")
    made.error("z")
    assert made.stdout.value() == b"x\ny" and made.stderr.value() == b"name: z\n"
    with pytest.raises(TreeFault):
        made.source("/none")
