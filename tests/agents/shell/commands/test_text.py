"""Whole files, as GNU's commands answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, run


def test_it_answers_as_gnu_did() -> None:
    assert differences("text") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in ("tail -f /etc/passwd", "md5sum -c x", "nl -bp x", "wc --files0-from=x", "head -z x", "seq -f %d 3"):
        assert flags(script), script
    assert run("cat /etc/hosts > /etc/hosts; cat -e /none").status == 1
