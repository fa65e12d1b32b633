"""diff by hand; more stands in the recorded scripts."""

from __future__ import annotations

from tests.agents.shell.replay import flags, run


def test_changes_additions_and_deletions() -> None:
    outcome = run("printf '1\\n2\\n3\\n4\\n' > a; printf '0\\n1\\n2\\nx\\n4\\n5\\n' > b; diff a b")
    assert outcome.stdout == "0a1\n> 0\n3c4\n< 3\n---\n> x\n4a6\n> 5\n" and outcome.status == 1
    assert run("printf '1\\n2\\n3\\n' > a; printf '1\\n' > b; diff a b").stdout == "2,3d1\n< 2\n< 3\n"
    assert run("diff /none /etc/hosts").status == 2


def test_other_forms_are_flagged() -> None:
    assert (
        flags("diff -u a b")
        and flags("diff -r a b")
        and flags("cmp a b")
        and flags("printf a > x; printf b > y; diff x y")
    )
