"""Operators and functions of awk, each by a line of its own."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import flags, out, run


@pytest.mark.parametrize(("source", "shown"), [("1+2*3^2", "19"), ("-2^2", "-4"), ("7%4 7/2", "33.5"), ("1==1.0", "1"), ('"a" "b"', "ab"), ("!0 !1", "10"), ("x++ + ++x", "2"), ("1?2:3", "2"), ('"ab"~/^a/', "1"), ('"ab"!~"b$"', "0"), ('length("abc")', "3"), ('substr("hello",2,3)', "ell"), ('index("hello","ll")', "3"), ('toupper("a")tolower("B")', "Ab"), ('split("a-b",p,"-") p[2]', "2b"), ('sprintf("%02d",5)', "05"), ("int(-3.9)", "-3"), ("sqrt(16)", "4"), ("exp(0) log(1)", "10"), ("atan2(0,-1)>3.14", "1"), ('match("xab",/a./) RSTART RLENGTH', "222"), ('(1,2) in a', "0"), ("1<2 && 2<1 || 1", "1"), ('2 " " -1', "2-1"), ("0.1+0.2==0.3", "0"), ("1e3", "1000"), ("100000*3", "300000")])  # fmt: skip
def test_values(source: str, shown: str) -> None:
    assert out(f"awk 'BEGIN{{print ({source})}}'") == shown + "\n"


def test_replacing() -> None:
    assert (
        out("""awk 'BEGIN{s="aXbX"; n=gsub(/X/,"<&>",s); print n, s; sub(/</,"\\\\&",s); print s}'""")
        == "2 a<X>b<X>\na&X>b<X>\n"
    )


def test_functions_of_the_program() -> None:
    assert out("awk 'function f(a,n){a[1]=n; n=9; return n+1} BEGIN{k=3; r=f(v,k); print r, k, v[1]}'") == "10 3 3\n"
    assert run("awk 'function f(n){return f(n+1)} BEGIN{f(1)}'").status == 137


def test_a_shell_of_its_own() -> None:
    assert out("awk 'BEGIN{r=system(\"exit 3\"); print r}'") == "3\n" and flags("awk 'BEGIN{system(\"curl x\")}'") == (
        "curl",
    )


def test_wrong_counts_of_arguments_end_the_program() -> None:
    assert run("awk 'BEGIN{print substr(\"a\")}'").status == 2 and run("awk 'BEGIN{sub(/a/)}'").status != 0
