"""What was said in an episode of an agent, and by whom: the ground on which provenance is decided."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from veracast.core.addresses import AddressFault, address_in_text, addresses_in
from veracast.core.guard_rules import plain

_DOTTED = re.compile(r"(?<![\w.@/-])(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]+(?![\w-])")


class Context:
    """What was said in one episode, by role, and how often what was called."""

    def __init__(self, turns: Iterable[tuple[str, str]] = ()) -> None:
        self.calls: Counter[bytes] = Counter()
        self._texts: dict[str, list[str]] = {}
        self._hosts: dict[str, set[str]] = {}
        for role, text in turns:
            self.hear(role, text)

    def hear(self, role: str, text: str) -> None:
        """Note a turn."""
        folded = fold(text)
        self._texts.setdefault(role, []).append(folded)
        self._hosts.setdefault(role, set()).update(_hosts_in(folded))

    def also(self, turns: Iterable[tuple[str, str]]) -> Context:
        """The same episode with turns that count for one call only; calls are counted together."""
        both = Context(turns)
        both.calls = self.calls
        for role, texts in self._texts.items():
            both._texts.setdefault(role, []).extend(texts)
            both._hosts.setdefault(role, set()).update(self._hosts[role])
        return both

    def host_stood(self, host: str, roles: Iterable[str]) -> bool:
        """Whether a host stood in a turn of one of these roles."""
        return any(host in self._hosts.get(role, ()) for role in roles)

    def stood(self, text: str, roles: Iterable[str]) -> bool:
        """Whether a text stood there as a whole: no letter, digit or part of an address beside it."""
        wanted = fold(text)
        if not wanted:
            return True
        whole = re.compile(rf"(?<![\w@/.:+-]){re.escape(wanted)}(?![\w@/+-]|[.:]\w)")
        return any(wanted in said and whole.search(said) for role in roles for said in self._texts.get(role, ()))


def fold(text: str) -> str:
    """For comparison: plain form, case folded, white space as one blank."""
    return " ".join(plain(text).casefold().split())


def _hosts_in(text: str) -> Iterator[str]:
    for found in [*addresses_in(text), *_DOTTED.findall(text)]:
        try:
            yield address_in_text(found).host
        except AddressFault:
            continue
