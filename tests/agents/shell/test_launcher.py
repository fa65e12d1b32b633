"""Redirections, assignments and what a name stands for."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out, run
from veracast.agents.shell.interpreter import Shell


def test_functions_come_before_builtins_and_files() -> None:
    assert out("echo() { printf 'mine\\n'; }; echo a; command echo b; printf c | xargs echo") == "mine\nb\nc\n"


def test_variables_of_one_command() -> None:
    assert out("x=1; x=2 bash -c 'echo $x'; echo $x; IFS=, read a b <<< 1,2; echo $b") == "2\n1\n2\n"


def test_scripts_are_found_by_path_and_need_their_mode() -> None:
    assert out("echo 'echo hi $1' > /usr/local/bin/hi; chmod +x /usr/local/bin/hi; hi you") == "hi you\n"
    assert (
        run("echo x > s; ./s").status == 126
        and run("./none").status == 127
        and run("/etc").status == 126
        and run("").status == 0
    )
    assert flags("printf '#!/usr/bin/python3\\n' > p; chmod +x p; ./p")


def test_streams_are_put_back() -> None:
    shell = Shell()
    assert shell.run("{ echo a; } > f; echo b; exec > g; echo c").stdout == "b\n"
    assert shell.run("cat f g").stdout == "a\nc\n"
    assert run("echo a >&7").status == 1 and run("exec 1>&-; echo a | cat; echo b").stdout == ""


def test_arguments_that_a_command_did_not_expect_are_flagged() -> None:
    assert flags("nl -w x /etc/hosts") and flags("fold -w x /etc/hosts") and flags("set -o")
