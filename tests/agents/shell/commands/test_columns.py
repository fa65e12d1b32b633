"""Sorting, cutting and joining, as GNU's commands answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out


def test_it_answers_as_gnu_did() -> None:
    assert differences("sort") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "sort -R f",
        "sort -V <<< 1",
        "sort -z f",
        "uniq -D f",
        "join -a1 a b",
        "column f",
        "shuf f",
        "tr '[=a=]' b",
        "sort --parallel=2",
    ):
        assert flags(script), script


def test_numbers_of_any_length_are_exact() -> None:
    assert (
        out("printf '10000000000000000001\\n10000000000000000000\\n' | sort -n")
        == "10000000000000000000\n10000000000000000001\n"
    )
