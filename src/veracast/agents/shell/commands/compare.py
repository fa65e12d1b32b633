"""diff in its plain form and -q, and cmp -s."""

from __future__ import annotations

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.faults import CommandFault, LimitReached, TreeFault, Unsupported
from veracast.agents.shell.streams import lines

_MOST_LINES = 1_000


def diff(call: Call) -> int:
    found = options(call, "qs", {"brief": "q"})
    if len(found.rest) != 2 or found.has("s"):
        raise Unsupported("diff of other than two files")
    first, second = (_read(call, path) for path in found.rest)
    if first == second:
        return 0
    if found.has("q"):
        call.line(f"Files {found.rest[0]} and {found.rest[1]} differ")
        return 1
    if b"\0" in first + second or not (first.endswith(b"\n") and second.endswith(b"\n")):
        raise Unsupported("diff of files without a last newline")
    for hunk in _hunks(call, lines(first), lines(second)):
        call.line(hunk)
    return 1


def _read(call: Call, path: str) -> bytes:
    try:
        return call.read(path)
    except TreeFault as fault:
        raise CommandFault(f"{path}: {fault}", status=2) from None


def _hunks(call: Call, old: list[str], new: list[str]) -> list[str]:
    """By a longest common subsequence; of several that are as long a real diff may choose another."""
    if len(old) > _MOST_LINES or len(new) > _MOST_LINES or len(old) * len(new) > 200_000:
        raise LimitReached("files too long to compare")
    call.shell.meter.step(len(old) * len(new) // 100)
    size = [[0] * (len(new) + 1) for _ in range(len(old) + 1)]
    for i in range(len(old) - 1, -1, -1):
        for k in range(len(new) - 1, -1, -1):
            size[i][k] = size[i + 1][k + 1] + 1 if old[i] == new[k] else max(size[i + 1][k], size[i][k + 1])
    found, i, k = [], 0, 0
    while i < len(old) or k < len(new):
        if i < len(old) and k < len(new) and old[i] == new[k]:
            i, k = i + 1, k + 1
            continue
        low_i, low_k = i, k
        while (i < len(old) or k < len(new)) and not (i < len(old) and k < len(new) and old[i] == new[k]):
            if k == len(new) or (i < len(old) and size[i + 1][k] >= size[i][k + 1]):
                i += 1
            else:
                k += 1
        found += _hunk(old, new, (low_i, i), (low_k, k))
    return found


def _hunk(old: list[str], new: list[str], gone: tuple[int, int], come: tuple[int, int]) -> list[str]:
    def span(low: int, high: int) -> str:
        return str(low + 1) if high - low == 1 else f"{low + 1},{high}"

    (a, b), (c, d) = gone, come
    head = f"{a}a{span(c, d)}" if a == b else f"{span(a, b)}d{c}" if c == d else f"{span(a, b)}c{span(c, d)}"
    return [
        head,
        *(f"< {row}" for row in old[a:b]),
        *(["---"] if a < b and c < d else []),
        *(f"> {row}" for row in new[c:d]),
    ]


def cmp(call: Call) -> int:
    found = options(call, "s", {"quiet": "s", "silent": "s"})
    if len(found.rest) != 2 or not found.has("s"):
        raise Unsupported("cmp without -s")
    first, second = (_read(call, path) for path in found.rest)
    return int(first != second)
