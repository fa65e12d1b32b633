"""What bash does itself, beyond the recorded scripts."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out, run
from veracast.agents.shell.builtins import BUILTINS
from veracast.agents.shell.interpreter import Shell


def test_a_session_keeps_directory_variables_and_functions() -> None:
    shell = Shell()
    shell.run("cd /tmp; x=5; f() { echo $x; }; set -- a b")
    assert shell.run("pwd; f; echo $#").stdout == "/tmp\n5\n2\n"


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "trap x INT",
        "alias a=b",
        "shopt -s nullglob",
        "set -x",
        "declare -i x",
        "declare -p",
        "type ls",
        "umask 077",
        "printf %q x",
        "getopts a x",
        "pushd /",
    ):
        assert flags(script), script


def test_printing_to_a_variable_and_reading_pieces() -> None:
    assert out('printf -v x "%03d" 7; echo $x') == "007\n"
    assert out("echo abcd | { read -n 2 x; echo $x; }; printf 'a:b' | { read -d : x; echo $x; }") == "ab\na\n"


def test_exit_and_return_codes() -> None:
    assert run("exit 300").status == 44 and run("cd /none").status == 1 and run("exit x").status == 2
    assert set(["cd", "echo", "read", "export", "test", "[", ":"]) <= set(BUILTINS)
