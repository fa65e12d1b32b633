"""awk, as mawk answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out, run


def test_it_answers_as_gnu_did() -> None:
    assert differences("awk") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "BEGIN{getline}",
        'BEGIN{"ls"|getline x}',
        "BEGIN{print rand()}",
        'BEGIN{print strftime("%Y")}',
        'BEGIN{print gensub(/a/,"b","g","a")}',
        "/\\s/",
        "BEGIN{n=asort(a)}",
    ):
        assert flags(f"awk '{script}' /etc/hosts"), script


def test_where_mawk_and_gawk_part_we_go_with_gawk() -> None:
    assert out("awk 'BEGIN{print 2^31, 2^53}'") == "2147483648 9007199254740992\n"
    assert out("echo aab | awk '/^a{2}b$/{print \"interval\"}'") == "interval\n"
    assert out("awk 'BEGIN{print length(\"\u00e9\")}'") == "1\n"


def test_faults_are_said() -> None:
    for script in (
        "{",
        "BEGIN{print 1/0}",
        "BEGIN{f(1)}",
        "BEGIN{a[1]=1; print a}",
        "BEGIN{x=1; x[1]=2}",
        "/(/",
        "BEGIN{printf}",
        "}",
    ):
        outcome = run(f"awk '{script}' /etc/hosts")
        assert outcome.status == 2 and outcome.stderr.startswith("awk: "), script
