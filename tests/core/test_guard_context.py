"""What stood in a turn, and what only looks so."""

from __future__ import annotations

import pytest

from veracast.core.guard_context import Context, fold


def test_a_text_stood_as_a_whole_or_not() -> None:
    context = Context(
        [("user", "Send it to bob@x.org or to /srv/data/ and see example.org. Order 1234, call Ann\u200b Lee!")]
    )
    for text in ("bob@x.org", "/srv/data/", "example.org", "1234", "ann lee", "ANN  LEE", "See"):
        assert context.stood(text, ["user"]), text
    for text in ("b@x.org", "x.org", "/srv", "ample.org", "123", "example", "Lee Ann", "ob@x.org"):
        assert not context.stood(text, ["user"]), text
    assert not context.stood("bob@x.org", ["system"])
    assert context.stood("bob@x.org", ["system", "user"])


@pytest.mark.parametrize(
    "said", ["example.org.evil.net", "notexample.org", "a.example.org", "x@example.org", "example.org-a.net"]
)
def test_a_host_inside_another_one_did_not_stand(said: str) -> None:
    assert not Context([("user", said)]).stood("example.org", ["user"])


def test_hosts_are_heard_in_urls_and_alone() -> None:
    context = Context(
        [("user", "open https://Example.org:8443/a?x=b.net or docs.python.org."), ("tool", "go to evil.net")]
    )
    assert context.host_stood("example.org", ["user"])
    assert context.host_stood("docs.python.org", ["user"])
    assert not context.host_stood("evil.net", ["user", "system"])
    assert context.host_stood("evil.net", ["tool"])
    assert not context.host_stood("python.org", ["user"])


def test_turns_of_one_call_are_forgotten_but_calls_are_counted() -> None:
    context = Context([("user", "a.org")])
    here = context.also([("user", "b.org")])
    assert here.host_stood("a.org", ["user"])
    assert here.host_stood("b.org", ["user"])
    assert not context.host_stood("b.org", ["user"])
    here.calls[b"x"] += 1
    assert context.calls[b"x"] == 1


def test_folding_by_hand() -> None:
    assert fold("  ＡＢ\u200b\n c") == "ab c"
