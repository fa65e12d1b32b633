"""xargs and what else runs a command, as GNU's answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out


def test_it_answers_as_gnu_did() -> None:
    assert differences("xargs") == []


def test_a_shell_in_the_shell_knows_what_is_exported() -> None:
    assert out("x=1; export y=2; f() { :; }; bash -c 'echo [$x][$y]'") == "[][2]\n"
    assert out("echo 'echo $0 $1' > s; sh s a; echo 'echo in' | bash; env z=3 sh -c 'echo $z'") == "s a\nin\n3\n"


def test_what_is_not_modelled_is_flagged() -> None:
    for script in ("xargs -t ls < /etc/hosts", "env -i ls", "bash -x s", "timeout -k 1 2 ls", "xargs -p < /etc/hosts"):
        assert flags(script), script
