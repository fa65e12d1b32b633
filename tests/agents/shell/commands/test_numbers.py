"""expr and bc beyond the recorded scripts."""

from __future__ import annotations

from tests.agents.shell.replay import flags, out, run


def test_expr() -> None:
    assert (
        out(
            "expr 1 + 2 '*' 3; expr '(' 1 + 2 ')' '*' 3; expr abc : 'a.'; expr 5 % 3; expr index hello l; expr 07 = 7 '&' 1"
        )
        == "7\n9\n2\n2\n3\n1\n"
    )
    assert (
        run("expr 0").status == 1
        and run("expr 1 / 0").status == 2
        and run("expr a + 1").status == 2
        and run("expr 1 +").status == 2
    )


def test_bc() -> None:
    shown = out("echo '2^64; 7/2; scale=3; 7/2; 1/3; -5 % 3; 1 == 1; 3 > 4' | bc")
    assert shown == "18446744073709551616\n3\n3.500\n.333\n-.002\n1\n0\n"
    for script in ("define f(x){return x;}", "for(i=0;i<3;i++) i", "obase=16", "s(1)", "a[1]=2", '"text"'):
        assert flags(f"echo '{script}' | bc"), script
