"""Hosts, URLs and paths: one reading or a fault."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veracast.core.addresses import (
    Address,
    AddressFault,
    address_in_text,
    addresses_in,
    host_allowed,
    path_allowed,
    read_address,
    read_path,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://Example.ORG/x?q=1#a", Address("https", "example.org", None)),
        ("HTTPS://example.org.:443", Address("https", "example.org", None)),
        ("https://example.org:8443/", Address("https", "example.org", "8443")),
        ("http://example.org:443/", Address("http", "example.org", "443")),
        ("example.org", Address(None, "example.org", None)),
        ("example.org:99/x", Address(None, "example.org", "99")),
        ("https://example.org/@user", Address("https", "example.org", None)),
        ("https://example.org?q=%2e%2e", Address("https", "example.org", None)),
        ("https://127.0.0.1/", Address("https", "127.0.0.1", None)),
        ("https://xn--e1afmkfd.org", Address("https", "xn--e1afmkfd.org", None)),
    ],
)
def test_addresses_by_hand(text: str, address: Address) -> None:
    assert read_address(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://example.org@evil.net/", "user name"),
        ("https://example.org:x@evil.net/", "user name"),
        ("https://evil.net\\@example.org", "backslash"),
        ("https:\\\\evil.net", "backslash"),
        ("https://evil.net#@example.org", "end of a user name"),
        ("https://evil.net?@example.org", "end of a user name"),
        ("https://еxample.org", "beyond ASCII"),
        ("https://example。org", "beyond ASCII"),
        ("https://ex\u200bample.org", "invisible"),
        ("https://example.org\u202e", "invisible"),
        (" https://example.org", "white space"),
        ("https://example.org/a b", "white space"),
        ("https://example.org\n", "white space"),
        ("https://ex%61mple.org", "no URL"),
        ("http://2130706433", "in disguise"),
        ("http://0x7f000001", "in disguise"),
        ("http://0177.0.0.1", "in disguise"),
        ("http://127.1", "in disguise"),
        ("http://0x7f.0.0.1", "in disguise"),
        ("http://256.0.0.1", "in disguise"),
        ("http://[::1]/", "IPv6"),
        ("http://[::ffff:127.0.0.1]/", "IPv6"),
        ("//evil.net", "no URL"),
        ("javascript:alert(1)", "no URL"),
        ("file:///etc/passwd", "no URL"),
        ("data:text/html,x", "no URL"),
        ("https:/evil.net", "no URL"),
        ("https://", "no URL"),
        ("https://-a.org", "no host name"),
        ("https://a..org", "no host name"),
        ("", "empty"),
    ],
)
def test_what_two_readers_could_read_in_two_ways_is_a_fault(text: str, why: str) -> None:
    with pytest.raises(AddressFault, match=why):
        read_address(text)


def test_hosts_are_matched_whole() -> None:
    allowed = ("example.org", "*.example.org", "box.net:8080", "10.0.0.1", "xn--p1ai.org")

    def fits(text: str) -> bool:
        return host_allowed(read_address(text), allowed) is None

    yes = ["example.org", "a.example.org", "https://EXAMPLE.org.", "box.net:8080", "10.0.0.1", "xn--p1ai.org"]
    no = ["a.b.example.org", "notexample.org", "example.org.evil.net", "example.org:8080", "box.net", "10.0.0.2", "org", "xn--a.example.org"]  # fmt: skip
    assert [fits(text) for text in yes] == [True] * len(yes)
    assert [fits(text) for text in no] == [False] * len(no)


def test_addresses_in_running_text() -> None:
    text = "See https://Example.org/a, mail bob@x.org; canary.invalid (10.0.0.1) \\\\ http:\\\\evil.net evil。com //h.io/x notes.txt 3.14 a.b"
    assert addresses_in(text) == [
        "https://Example.org/a", "bob@x.org", "canary.invalid", "10.0.0.1", "http:\\\\evil.net", "evil。com", "//h.io",
    ]  # fmt: skip
    assert address_in_text("bob@x.org").host == "x.org"
    assert address_in_text("//h.io/x").host == "h.io"


@pytest.mark.parametrize(
    ("text", "path"),
    [("/srv/data/a", "/srv/data/a"), ("/srv//data/./a/", "/srv/data/a"), ("a/b", "a/b"), ("/srv/.hidden", "/srv/.hidden"), ("/a b/c", "/a b/c"), ("/a/é", "/a/é"), ("/100%", "/100%")],
)  # fmt: skip
def test_paths_by_hand(text: str, path: str) -> None:
    assert read_path(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "", "/srv/data/../x", "..", "a/..", "/srv/.../x", "/srv/.. /x", "~/x", "~root", "-rf", "$HOME/x", "`a`", "a\\..\\b", "C:/x", "file:/x", "/srv/%2e%2e/x", "/srv/%2Fx", "/srv/%252e", "/srv/%00",
        "/srv/%c0%ae", "/srv/．．/x", "/srv/a／b", "/srv/\u200bx", "/srv/x\x00", "/srv/x\n", " /srv", "/srv ", "//host/x", "/proc/self/root/etc", "/proc/1/cwd/x", "/dev/fd/3", "/srv/.?/x", "/srv/.[.]/x", "/srv/.*",
    ],
)  # fmt: skip
def test_paths_that_may_lead_elsewhere_are_faults(text: str) -> None:
    with pytest.raises(AddressFault):
        read_path(text)


def test_folders_are_matched_by_whole_parts() -> None:
    assert path_allowed("/srv/data", ["/srv/data"])
    assert path_allowed("/srv/data/a", ["/srv/data"])
    assert not path_allowed("/srv/database", ["/srv/data"])
    assert not path_allowed("/srv", ["/srv/data"])
    assert path_allowed("/x", ["/"])
    assert path_allowed("a/b", ["."])
    assert not path_allowed("a/b", ["/"])
    assert path_allowed("a/b", ["a"])
    assert not path_allowed("ab", ["a"])


@given(st.text(max_size=30))
def test_an_allowed_path_stays_below_its_folder(tail: str) -> None:
    from posixpath import normpath

    try:
        path = read_path(f"/srv/data/{tail}")
    except AddressFault:
        return
    assert normpath(path).startswith("/srv/data")
