"""grep, as GNU's answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out


def test_it_answers_as_gnu_did() -> None:
    assert differences("grep") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "grep -z a f",
        "grep -b a f",
        "grep --line-buffered a f",
        "grep -P '(?R)' f",
        "grep '[[=a=]]' /etc/passwd",
    ):
        assert flags(script), script


def test_packed_files_are_searched() -> None:
    assert out("printf 'a\\nb\\n' | gzip > f.gz; zgrep b f.gz") == "b\n"
