r"""How an argument stands in one line between brackets, so that any text comes back unchanged.

    \            is written `\\`; so are the marks that the dialect closes an argument with, such as `\]`
    a control    character, a line's end, white space other than a plain space, and a space at either end: `\x<hex>;`

A backslash before anything else stands for itself: an agent that searches for `\d+` means it.
"""

from __future__ import annotations

import re

_WRITTEN = re.compile(r"\\(?:x([0-9a-f]{1,6});|([\\()\[\]]))")
_LAST = 0x10FFFF


def escape(text: str) -> str:
    """One line without bare brackets or parentheses, and without white space at its ends."""
    last = len(text) - 1
    return "".join(
        f"\\x{ord(char):x};" if _is_hidden(char) or (char == " " and place in (0, last))
        else f"\\{char}" if char in "\\()[]"
        else char
        for place, char in enumerate(text)
    )  # fmt: skip


def _is_hidden(char: str) -> bool:
    return char != " " and (char.isspace() or not char.isprintable())


def unescape(text: str) -> str:
    """What `escape` was given; what it would not have written stays as it is."""
    return _WRITTEN.sub(_meant, text)


def _meant(written: re.Match[str]) -> str:
    if written[2] is not None:
        return written[2]
    code = int(written[1], 16)
    return chr(code) if code <= _LAST else written[0]
