"""File modes as chmod and `find -perm` write them: octal, or u+rw,go-x."""

from __future__ import annotations

import re

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=](?:[rwxXst]*|[ugo]))+)$")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_BITS = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}


def parsed_mode(word: str, mode: int, *, directory: bool = False) -> int | None:
    """The mode that `word` makes of `mode`; None for what is no mode."""
    if re.fullmatch(r"[0-7]{1,5}", word):
        return int(word, 8) & 0o7777
    for clause in word.split(","):
        match = _CLAUSE.match(clause)
        if not match:
            return None
        who = match[1].replace("a", "ugo") or "ugo"
        mask = 0
        for c in who:
            mask |= _WHO[c]
        for op, what in re.findall(r"([-+=])([ugo]|[rwxXst]*)", match[2]):
            mode = _applied(mode, op, what, mask, implied=not match[1], directory=directory)
    return mode


def _applied(mode: int, op: str, what: str, mask: int, *, implied: bool, directory: bool) -> int:
    if what in ("u", "g", "o") and what:
        three = mode >> {"u": 6, "g": 3, "o": 0}[what] & 7
        bits = three * 0o111
    else:
        bits = 0
        for c in what:
            runs = c == "X" and (directory or mode & 0o111)
            bits |= _BITS["x"] if runs else _BITS.get(c, 0)
    bits &= mask | (0o1000 if "t" in what and implied else 0)
    if implied:
        bits &= ~0o022  # the umask
    if op == "=":
        kept = mask & (0o777 if directory else 0o7777)
        return mode & ~kept | bits
    return mode | bits if op == "+" else mode & ~bits
