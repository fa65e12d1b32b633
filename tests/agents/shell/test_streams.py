"""Sources, sinks and redirections; pipes that are full."""

from __future__ import annotations

import pytest

from tests.agents.shell.replay import differences, run
from veracast.agents.shell.faults import LimitReached, PipeFull
from veracast.agents.shell.streams import Sink, Source, lines, raw, text


def test_it_answers_as_gnu_did() -> None:
    assert differences("redirection") == []


def test_a_source_is_read_in_turn() -> None:
    source = Source(b"a\nb\nc")
    assert source.line() == b"a\n" and source.read(1) == b"b" and source.read() == b"\nc" and source.line() == b""


def test_a_cut_source_cannot_be_read_to_its_end() -> None:
    source = Source(b"a\nb", cut=True)
    assert source.line() == b"a\n"
    with pytest.raises(LimitReached):
        source.line()
    with pytest.raises(LimitReached):
        source.read()
    source.lenient = True
    assert source.read() == b"b" and source.starved


def test_a_sink_has_a_limit() -> None:
    pipe, kept = Sink(4, pipe=True), Sink(4)
    with pytest.raises(PipeFull):
        pipe.write(b"12345")
    with pytest.raises(LimitReached):
        kept.write(b"12345")
    assert pipe.value() == b"1234" and pipe.full


def test_bytes_that_are_no_text_come_back() -> None:
    assert raw(text(b"\xff\xfea")) == b"\xff\xfea" and lines(b"a\n\nb") == ["a", "", "b"]


def test_noise_is_the_same_each_time() -> None:
    assert run("head -c 100 /dev/urandom | md5sum").stdout == run("head -c 100 /dev/urandom | md5sum").stdout
    assert run("head -c 50 /dev/urandom | wc -c").stdout == "50\n"
