"""Where the members of a JSON object of objects end, found without parsing it, whatever its layout.

The bytes are scanned with numpy: unescaped quotes give what lies inside strings, braces outside strings give the depth;
a member ends where the depth falls back to that of the outer object.
"""

from __future__ import annotations

import numpy as np

_QUOTE, _BACKSLASH, _OPEN, _CLOSE = 34, 92, 123, 125


def member_ends(buffer: bytes) -> np.ndarray:
    """Positions of the closing braces of complete members; `buffer` starts between two members."""
    text = np.frombuffer(buffer, dtype=np.uint8)
    quotes = _unescaped(text, np.flatnonzero(text == _QUOTE))
    braces = np.flatnonzero((text == _OPEN) | (text == _CLOSE))
    outside = braces[np.searchsorted(quotes, braces) % 2 == 0]
    depth = np.cumsum(np.where(text[outside] == _OPEN, 1, -1))
    closed = np.flatnonzero(depth < 0)  # the outer object's own closing brace ends the scan
    if len(closed):
        outside, depth = outside[: closed[0]], depth[: closed[0]]
    return np.asarray(outside[depth == 0])


def _unescaped(text: np.ndarray, quotes: np.ndarray) -> np.ndarray:
    """Quotes that an even number of backslashes precedes."""
    suspects = quotes[(quotes > 0) & (text[np.maximum(quotes - 1, 0)] == _BACKSLASH)]
    escaped = []
    for quote in suspects.tolist():
        run = quote - 1
        while run >= 0 and text[run] == _BACKSLASH:
            run -= 1
        if (quote - 1 - run) % 2 == 1:
            escaped.append(quote)
    return np.setdiff1d(quotes, np.array(escaped, dtype=quotes.dtype), assume_unique=True) if escaped else quotes
