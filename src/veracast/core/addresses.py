"""Hosts, URLs and paths as a policy reads them: strictly, so that no other reader of the same text can come to another place.

A text that two readers could take for two addresses (userinfo, backslashes, escapes in the host, numbers that are IP addresses, dots that fold) is no
address here but a fault with its reason. Sources: RFC 3986 (grammar), WHATWG URL (hosts that end in a number, backslashes), RFC 2606 (`.invalid`).
"""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

DEFAULT_PORTS = {"https": "443", "http": "80", "ftp": "21", "ssh": "22", "ws": "80", "wss": "443", "git": "9418"}
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?([^/?#:@\[\]\\%]+)(?::(\d{1,5}))?((?:[/?#].*)?)", re.DOTALL)
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(?:\d+|0x[0-9a-f]*)")
_QUAD = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)")
_UNSEEN = re.compile(r"[\x00-\x20\x7f-\xa0\xad\u0600-\u0605\u061c\u115f\u1160\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e01ef]")  # fmt: skip
_ESCAPED = re.compile(r"%(?:2[eEfF]|5[cC]|00|25|[cCeE][0-9a-fA-F])")
_PROC = re.compile(r"/proc/(?:[^/]+/)*(?:root|cwd|fd|exe|map_files|task)(?:/|$)|/dev/(?:fd|tcp|udp|std\w+)(?:/|$)")
_ENDINGS = (
    "com|org|net|edu|gov|mil|info|biz|onion|invalid|io|ai|dev|app|cloud|xyz|online|site|top|club|ru|cn|uk|de|fr|eu"
)
IN_TEXT = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]*:[/\\]{1,2}[^\s\"'<>()|;`]+"  # a URL, however its slashes lean
    r"|(?<![\w:/\\])//[^\s/\"'<>()|;`]+"  # //host
    r"|[\w.+%-]+@[\w.-]+\w(?::[^\s\"'<>()|;`]*)?"  # mail or scp
    rf"|(?<![\w.-])(?:[\w-]+[.。．｡])+(?:{_ENDINGS}|xn--[\w-]+)\.?(?![\w-])(?:[:/][^\s\"'<>()|;`]*)?"
    r"|(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.])(?:[:/][^\s\"'<>()|;`]*)?|(?<![\w.])0[xX][0-9a-fA-F]{8}(?!\w)|\[[0-9a-fA-F:]*:[0-9a-fA-F:.]*\]",
    re.IGNORECASE,
)


class AddressFault(ValueError):
    """The text is no address that can be read in one way only; the message says why."""


class Address(NamedTuple):
    """A URL or host: scheme in lower case (None where none stands), host in lower case without its last dot, port where it is not the scheme's own."""

    scheme: str | None
    host: str
    port: str | None


def read_address(text: str) -> Address:
    """One URL, or host with or without port and path. Raises AddressFault."""
    if not text:
        raise AddressFault("empty")
    if found := _UNSEEN.search(text):
        raise AddressFault(f"white space or an invisible character (U+{ord(found[0]):04X})")
    if "\\" in text:
        raise AddressFault("a backslash")
    found = _URL.fullmatch(text)
    authority = re.split(r"[/?#]", text.partition("://")[2] if "://" in text else text, maxsplit=1)[0]
    if "@" in authority:
        raise AddressFault("a user name before the host")
    if found is None:
        raise AddressFault("an IPv6 address" if "[" in authority else "no URL or host")
    scheme, host, port, rest = found.groups()
    if rest[:1] in ("?", "#") and "@" in rest:
        raise AddressFault("an @ that some readers take for the end of a user name")
    scheme = scheme.lower() if scheme else None
    port = None if port is None or (scheme and DEFAULT_PORTS.get(scheme) == port) else port
    return Address(scheme, _host(host), port)


def _host(text: str) -> str:
    if not text.isascii():
        raise AddressFault("a host with letters beyond ASCII")
    host = text.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressFault("no host name")
    if _NUMBER.fullmatch(labels[-1]) and not _QUAD.fullmatch(host):
        raise AddressFault("a number that is an IP address in disguise")
    return host


def host_allowed(address: Address, allowed: Sequence[str]) -> str | None:
    """Why a host is not among `allowed` (`example.org`, `*.example.org` = one label more, `example.org:8443`); None where it is."""
    host = address.host if address.port is None else f"{address.host}:{address.port}"
    if host in allowed:
        return None
    parent = host.partition(".")[2]
    wildcard = bool(parent) and f"*.{parent}" in allowed and not _QUAD.fullmatch(address.host)
    if any(label.startswith("xn--") for label in address.host.split(".")):
        return f"host {host} is written in punycode and not listed itself"
    if wildcard:
        return None
    return f"host {host} is not listed"


def addresses_in(text: str) -> list[str]:
    """All that reads like a host, URL or mail address in running text, punctuation at its end taken off."""
    return [
        found[0].rstrip(".,;:!?)]}'\"") if not found[0].startswith("[") else found[0]
        for found in IN_TEXT.finditer(text)
    ]


def address_in_text(found: str) -> Address:
    """Of one of `addresses_in`: its host; of a mail address that of the mailbox. Raises AddressFault."""
    if "://" not in found and found.count("@") == 1:
        found = found.partition("@")[2].partition(":")[0]
    return read_address(found.removeprefix("//"))


def read_path(text: str) -> str:
    """A POSIX path without `.` and doubled slashes. Raises AddressFault for one that may lead elsewhere than it says."""
    if not text:
        raise AddressFault("empty")
    if found := re.search(r"[\x00-\x1f\x7f-\x9f]", text) or _UNSEEN.search(text.replace(" ", "")):
        raise AddressFault(f"an invisible or control character (U+{ord(found[0]):04X})")
    if unicodedata.normalize("NFKC", text) != unicodedata.normalize("NFC", text):
        raise AddressFault("characters that fold into others")
    if text[0] in "~-" or text != text.strip():
        raise AddressFault("begins with ~ or -, or with white space at an end")
    if re.search(r"[\\$`]", text) or re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", text):
        raise AddressFault("a backslash, a variable, a drive or a scheme")
    if _ESCAPED.search(text):
        raise AddressFault("percent escapes that may become dots or slashes")
    parts = text.split("/")
    if any(
        (part.strip(". ") == "" and part not in ("", ".")) or (part[:1] in ".[{?" and re.search(r"[*?\[{]", part))
        for part in parts
    ):
        raise AddressFault("a part that is, or may become, `..`")
    if text.startswith("//"):
        raise AddressFault("begins with two slashes")
    plain = posixpath.normpath(text)
    if _PROC.match(plain):
        raise AddressFault("a link of the kernel to anywhere")
    return plain


def path_allowed(path: str, roots: Sequence[str]) -> bool:
    """Whether a path from `read_path` is one of `roots` or below one; root `.` is any relative path."""
    if not path.startswith("/"):
        return "." in roots or any(path == root or path.startswith(f"{root}/") for root in roots)
    return any(path == root or path.startswith(f"{root.rstrip('/')}/") for root in roots if root.startswith("/"))
