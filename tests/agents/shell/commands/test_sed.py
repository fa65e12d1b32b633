"""sed, as GNU's answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, run


def test_it_answers_as_gnu_did() -> None:
    assert differences("sed") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "sed 'w f' /etc/hosts",
        "sed 's/a/b/e' /etc/hosts",
        "sed '1e ls' /etc/hosts",
        "sed -z s/a/b/ f",
        "sed 's/a/b/w f' f",
        "sed l f",
        "sed --posix p f",
    ):
        assert flags(script), script


def test_faults_are_said() -> None:
    for script in ("k", "s/a", "s/a/b/x", "{p", "p}", "b nowhere", "y/ab/c/", "s/(/x/g;s/\\(/", "2,p"):
        outcome = run(f"sed '{script}' /etc/hosts")
        assert outcome.status == 1 and outcome.stderr.startswith("sed: "), script
