"""Parameters, splitting, arithmetic and substitutions, against what bash said."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, run
from veracast.agents.shell.expand import split_by


def test_it_answers_as_gnu_did() -> None:
    assert differences("expansion") == []


def test_fields_between_separators() -> None:
    assert split_by("a b  c", " \t\n") == ["a", "b", "c"]
    assert split_by("a::b", ":") == ["a", "", "b"]
    assert split_by(" a ", " ") == [None, "a", None]


def test_what_bash_makes_up_as_it_goes_is_flagged() -> None:
    assert flags("echo $RANDOM") and flags("echo $LINENO") and flags("echo ${x^^[a-c]}")
    assert run("echo $UID $HOSTNAME").stdout == "0 sandbox\n"


def test_too_much_text_ends() -> None:
    outcome = run("x=aaaaaaaaaa; while :; do x=$x$x; done")
    assert outcome.status == 137 and "limit" in outcome.unsupported[0]
