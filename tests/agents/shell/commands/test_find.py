"""find, as GNU's answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out, run


def test_it_answers_as_gnu_did() -> None:
    assert differences("find") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "find . -regex x",
        "find . -ls",
        "find . -ok rm {} ;",
        "find . -daystart",
        "find . -printf %Z",
        "find . -fprint f",
        "find . -mtime 1.5",
        "find . -execdir ls {} +",
    ):
        assert flags(script.replace(";", "';'")), script


def test_what_was_read_wrongly_is_said() -> None:
    for script in (
        "-maxdepth x",
        "-size 5x",
        "-perm zzz",
        "-user nobody-known",
        "-newer none",
        "'(' -name a",
        "-type q",
        "-exec ls",
        "x -name",
    ):
        outcome = run(f"find . {script}")
        assert outcome.status != 0 and not outcome.unsupported, script


def test_days_are_those_of_the_fixed_clock() -> None:
    assert (
        out(
            "touch -d '2024-02-23 12:00:01' a; touch -d '2024-02-23 11:59:59' b; find . -type f -mtime -7; find . -type f -mtime +6"
        )
        == "./a\n./b\n"
    )
