"""Lines and columns: sort uniq cut paste join comm tr fold column. Flagged: shuf, sort -R and -V. Order is that of code points, as in the locale C.UTF-8."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.faults import CommandFault, TreeFault, Unsupported
from veracast.agents.shell.formats import escaped
from veracast.agents.shell.globs import CLASSES
from veracast.agents.shell.streams import lines, raw, text

_KEY = re.compile(r"(\d+)(?:\.(\d+))?([bdfghinMrRV]*)(?:,(\d+)(?:\.(\d+))?([bdfghinMrRV]*))?$")
_HUMAN = "KMGTPEZY"
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()  # noqa: SIM905


def all_lines(call: Call, paths: list[str]) -> list[str]:
    """Lines of all inputs; a CommandFault for the first that cannot be read."""
    found: list[str] = []
    for path in paths or ["-"]:
        try:
            found += lines(call.read(path))
        except TreeFault as fault:
            raise CommandFault(f"{path}: {fault}") from None
    call.shell.meter.step(len(found) // 100)
    return found


# ---- sort


def sort(call: Call) -> int:
    found = options(call, "bdfghinMruk:t:so:cCzm", {"reverse": "r", "numeric-sort": "n", "unique": "u", "key": "k:", "field-separator": "t:", "human-numeric-sort": "h", "general-numeric-sort": "g", "ignore-case": "f", "ignore-leading-blanks": "b", "output": "o:", "stable": "s", "month-sort": "M", "check": "c"})  # fmt: skip
    if found.has("z"):
        raise Unsupported("sort -z")
    try:
        rows = all_lines(call, found.rest)
    except CommandFault as fault:
        raise CommandFault(f"cannot read: {fault}", status=2) from None
    separator = found.value("t")
    if separator is not None and separator != "\\0" and len(separator) != 1:
        raise CommandFault(f"multi-character tab '{separator}'" if separator else "empty tab", status=2)
    common = "".join(dict.fromkeys(name for name, _ in found.given if name in "bdfghinM"))
    keys = [_key(spec, common, found.has("r"), separator) for spec in found.all("k")]
    if not keys:
        keys = [(_whole(common), found.has("r"))]
    if found.has("c", "C"):
        return _check(call, rows, keys, found)
    made = list(rows)
    if not found.has("s") and not found.has("u"):
        made.sort(key=raw, reverse=found.has("r"))
    for key, reverse in reversed(keys):
        made.sort(key=key, reverse=reverse)
    if found.has("u"):
        made = _first_of_each(made, [key for key, _ in keys])
    data = raw("".join(row + "\n" for row in made))
    if found.value("o"):
        call.tree.write(found.value("o") or "", data, call.cwd)
    else:
        call.out(data)
    return 0


def _check(call: Call, rows: list[str], keys: list[tuple[Callable[[str], Any], bool]], found: Options) -> int:
    if len(keys) != 1 or keys[0][1]:
        raise Unsupported("sort -c with keys")
    for n, (before, row) in enumerate(pairwise(rows)):
        first, second = ((keys[0][0](r), "" if found.has("u") else raw(r)) for r in (before, row))
        if first > second or (found.has("u") and first == second):
            if found.has("c"):
                call.error(f"{found.rest[0] if found.rest else '-'}:{n + 2}: disorder: {row}")
            return 1
    return 0


def _first_of_each(rows: list[str], keys: list[Callable[[str], Any]]) -> list[str]:
    found: list[str] = []
    before: list[Any] | None = None
    for row in rows:
        values = [key(row) for key in keys]
        if values != before:
            found.append(row)
        before = values
    return found


def _whole(kinds: str) -> Callable[[str], Any]:
    value = _value(kinds)
    return (lambda row: value(row.lstrip(" \t"))) if "b" in kinds else value


def _key(spec: str, common: str, reverse: bool, separator: str | None) -> tuple[Callable[[str], Any], bool]:
    """-k 2.3nr,4 as a function of a line, and whether it is the other way round."""
    match = _KEY.match(spec)
    if not match or int(match[1]) == 0:
        raise CommandFault(f"invalid number at field start: invalid count at start of '{spec}'", status=2)
    own = (match[3] or "") + (match[6] or "")
    kinds, turned = (own, "r" in own) if own else (common, reverse)
    begin, skip = int(match[1]) - 1, int(match[2] or 1) - 1
    end = int(match[4]) if match[4] else None
    end_at = int(match[5] or 0)
    strip_begin, strip_end = (
        "b" in match[3] if own else "b" in common,
        "b" in (match[6] or "") if own else "b" in common,
    )
    value = _value(kinds)

    def key(row: str) -> Any:
        spans = _spans(row, separator)
        low = spans[begin][0] if begin < len(spans) else len(row)
        limit = spans[begin][1] if begin < len(spans) else len(row)
        if strip_begin:
            low = _over_blanks(row, low)
        low = min(low + skip, limit if end is not None and end == begin + 1 and not end_at else len(row))
        if end is None:
            return value(row[low:])
        if not end_at:
            high = spans[end - 1][1] if end - 1 < len(spans) else len(row)
        else:
            high = spans[end - 1][0] if end - 1 < len(spans) else len(row)
            high = min(len(row), (_over_blanks(row, high) if strip_end else high) + end_at)
        return value(row[low : max(low, high)])

    return key, turned


def _over_blanks(row: str, at: int) -> int:
    while at < len(row) and row[at] in " \t":
        at += 1
    return at


def _spans(row: str, separator: str | None) -> list[tuple[int, int]]:
    """Where fields begin and end; without a separator a field has the blanks before it."""
    if separator is None:
        return [m.span() for m in re.finditer(r"[ \t]*[^ \t]+|[ \t]+$", row)]
    separator = "\0" if separator == "\\0" else separator
    found, at = [], 0
    for piece in row.split(separator):
        found.append((at, at + len(piece)))
        at += len(piece) + 1
    return found


def _value(kinds: str) -> Callable[[str], Any]:
    """What a key is compared by."""
    if "R" in kinds or "V" in kinds:
        raise Unsupported(f"sort -{'R' if 'R' in kinds else 'V'}")
    if "n" in kinds:
        return numeric
    if "h" in kinds:
        return _human
    if "g" in kinds:
        return _general
    if "M" in kinds:
        return lambda key: _MONTHS.index(m) + 1 if (m := key.lstrip(" \t")[:3].upper()) in _MONTHS else 0

    def as_text(key: str) -> bytes:
        if "d" in kinds:
            key = re.sub(r"[^\w \t]|_", "", key)
        if "i" in kinds:
            key = re.sub(r"[^\x20-\x7e]", "", key)
        return raw(key.upper() if "f" in kinds else key)

    return as_text


def numeric(key: str) -> tuple[int, Any]:
    """sort -n: an optional minus, digits, a point; else 0. Exact for any length."""
    from decimal import Decimal

    match = re.match(r"[ \t]*(-?)(\d*)(?:\.(\d*))?", key)
    digits = f"{match[2] or '0'}.{match[3] or '0'}" if match else "0"
    value = float(digits) if len(digits) < 16 else Decimal(digits)
    return (0, -value if match and match[1] else value)


def _human(key: str) -> tuple[int, Any]:
    match = re.match(r"[ \t]*(-?)([\d]*\.?\d*)([KkMGTPEZY]?)", key)
    if not match or not match[2].strip("."):
        return (0, 0.0)
    power = _HUMAN.index(match[3].upper()) + 1 if match[3] else 0
    value = float(match[2])
    sign = -1 if match[1] else 1
    return (sign * (power if value else 0), sign * value)


def _general(key: str) -> tuple[int, float]:
    match = re.match(r"[ \t]*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", key)
    return (1, float(match[0])) if match else (0, 0.0)


# ---- uniq, cut, paste, join, comm


def uniq(call: Call) -> int:
    found = options(call, "cduif:s:w:", {"count": "c", "repeated": "d", "unique": "u", "ignore-case": "i", "skip-fields": "f:", "skip-chars": "s:", "check-chars": "w:"})  # fmt: skip
    if len(found.rest) > 2:
        raise CommandFault(f"extra operand '{found.rest[2]}'")
    rows = all_lines(call, found.rest[:1])

    def key(row: str) -> str:
        skip = int(found.value("f") or 0)
        row = re.sub(rf"^(?:[ \t]*[^ \t]+){{0,{skip}}}", "", row) if skip else row
        row = row[int(found.value("s") or 0) :]
        row = row[: int(found.value("w") or 0)] if found.has("w") else row
        return row.lower() if found.has("i") else row

    groups: list[list[Any]] = []
    for row in rows:
        value = key(row)
        if groups and groups[-1][2] == value:
            groups[-1][0] += 1
        else:
            groups.append([1, row, value])
    kept = [g for g in groups if (not found.has("d") or g[0] > 1) and (not found.has("u") or g[0] == 1)]
    data = "".join(f"{count:7d} {row}\n" if found.has("c") else f"{row}\n" for count, row, _ in kept)
    if len(found.rest) == 2:
        call.tree.write(found.rest[1], raw(data), call.cwd)
    else:
        call.out(data)
    return 0


def cut(call: Call) -> int:
    found = options(call, "f:d:c:b:sn", {"fields": "f:", "delimiter": "d:", "characters": "c:", "bytes": "b:", "complement": "complement", "only-delimited": "s", "output-delimiter": "output-delimiter:"})  # fmt: skip
    kind = found.last("fcb")
    if not kind:
        raise CommandFault("you must specify a list of bytes, characters, or fields")
    delimiter = "\t" if found.value("d") is None else found.value("d") or "\0"
    if len(delimiter) != 1:
        raise CommandFault("the delimiter must be a single character")
    wanted = _ranges(found.value(kind) or "", complement=found.has("complement"))
    between = found.value("output-delimiter")
    status = 0
    for one in call.inputs(found.rest):
        if one is None:
            status = 1
            continue
        rows = lines(one.data) if kind == "f" else [row.decode("latin-1") for row in one.data.removesuffix(b"\n").split(b"\n")] if one.data else []  # fmt: skip
        for row in rows:
            if kind != "f":  # GNU cut counts bytes for -c too
                picked = "".join(c for n, c in enumerate(row, 1) if wanted(n))
                call.out(picked.encode("latin-1") + b"\n")
            elif delimiter in row:
                pieces = [piece for n, piece in enumerate(row.split(delimiter), 1) if wanted(n)]
                call.line((delimiter if between is None else between).join(pieces))
            elif not found.has("s"):
                call.line(row)
    return status


def _ranges(spec: str, *, complement: bool) -> Callable[[int], bool]:
    """`1,3-5,7-` as a test of a number."""
    spans = []
    for piece in re.split(r"[, ]", spec):
        match = re.fullmatch(r"(\d*)(-?)(\d*)", piece)
        if not match or not (match[1] or match[3]):
            raise CommandFault(f"invalid field value '{piece}'")
        low = int(match[1] or 1)
        high = (int(match[3]) if match[3] else 1 << 60) if match[2] else low
        if not low:
            raise CommandFault("fields are numbered from 1")
        if high < low:
            raise CommandFault("invalid decreasing range")
        spans.append((low, high))
    return lambda n: any(low <= n <= high for low, high in spans) != complement


def paste(call: Call) -> int:
    found = options(call, "d:s", {"delimiters": "d:", "serial": "s"})
    marks = text(escaped(found.value("d") or "\t")[0]) if found.value("d") != "" else ""
    piped = iter(lines(call.stdin.read())) if "-" in found.rest or not found.rest else iter(())
    many = found.rest.count("-") > 1 and not found.has("s")
    stdin = list(piped)
    columns, nth = [], 0
    for path in found.rest or ["-"]:
        if path == "-":
            columns.append(stdin[nth :: found.rest.count("-")] if many else stdin)
            nth += 1
        else:
            columns.append(lines(call.read(path)))
    if found.has("s"):
        rows = columns
    else:
        height = max((len(column) for column in columns), default=0)
        rows = [[column[n] if n < len(column) else "" for column in columns] for n in range(height)]
    for row in rows:
        call.line("".join((marks[(k - 1) % len(marks)] if k and marks else "") + cell for k, cell in enumerate(row)))
    return 0


def join(call: Call) -> int:
    """join [-t c] [-1 field] [-2 field] two sorted files; -a, -o, -v and -e are flagged."""
    found = options(call, "t:1:2:j:")
    if len(found.rest) != 2:
        raise CommandFault("missing operand")
    mark = found.value("t")
    fields = [int(found.value(side) or found.value("j") or 1) - 1 for side in "12"]
    tables = [[row.split(mark) if mark else row.split() for row in lines(call.read(path))] for path in found.rest]
    right: dict[str, list[list[str]]] = {}
    for row in tables[1]:
        right.setdefault(row[fields[1]] if fields[1] < len(row) else "", []).append(row)
    for row in tables[0]:
        key = row[fields[0]] if fields[0] < len(row) else ""
        for other in right.get(key, []):
            call.shell.meter.step()
            rest = [c for n, c in enumerate(row) if n != fields[0]] + [c for n, c in enumerate(other) if n != fields[1]]
            call.line((mark or " ").join([key, *rest]))
    return 0


def comm(call: Call) -> int:
    found = options(call, "123")
    if len(found.rest) != 2:
        raise CommandFault("missing operand")
    left, right = (lines(call.read(path)) for path in found.rest)
    shown = [c for c in "123" if not found.has(c)]
    i = k = 0
    while i < len(left) or k < len(right):
        if k == len(right) or (i < len(left) and raw(left[i]) < raw(right[k])):
            column, row, i = "1", left[i], i + 1
        elif i == len(left) or raw(right[k]) < raw(left[i]):
            column, row, k = "2", right[k], k + 1
        else:
            column, row, i, k = "3", left[i], i + 1, k + 1
        if column in shown:
            call.line("\t" * shown.index(column) + row)
    return 0


# ---- tr, fold, column


def tr(call: Call) -> int:
    found = options(call, "dscCt", {"delete": "d", "squeeze-repeats": "s", "complement": "c"}, in_order=True)
    sets = [_members(word) for word in found.rest]
    if len(sets) == 2 and "[:" in found.rest[1] and "[:" not in found.rest[0] and not found.has("d"):
        raise CommandFault("misaligned [:upper:] and/or [:lower:] construct")
    deletes, squeezes = found.has("d"), found.has("s")
    if not sets or len(sets) > 2 or (len(sets) == 1 and not deletes and not squeezes):
        raise CommandFault("missing operand" if len(sets) < 2 else "extra operand")
    data = call.stdin.read().decode("latin-1")
    first = sets[0]
    if found.has("c", "C"):
        first = [chr(n) for n in range(256) if chr(n) not in set(sets[0])]
    if deletes:
        data = data.translate({ord(c): None for c in first})
    elif len(sets) == 2:
        second = sets[1][: len(first)]
        if not second and not found.has("t"):
            raise CommandFault("when not truncating set1, string2 must be non-empty")
        if len(first) > len(second) and not found.has("t"):
            second = second + [second[-1]] * (len(first) - len(second))
        table: dict[int, str] = {}
        for old, new in zip(first, second, strict=False):
            table[ord(old)] = new
        data = data.translate(table)
    if squeezes:
        last = set(sets[-1] if len(sets) == 2 else first)
        data = re.sub(r"(.)\1+", lambda m: m[1] if m[1] in last else m[0], data, flags=re.DOTALL)
    call.out(data.encode("latin-1"))
    return 0


def _members(spec: str) -> list[str]:
    """The bytes of a set, in order, as characters below 256."""
    whole = raw(spec).decode("latin-1")
    found: list[str] = []
    at = 0
    while at < len(whole):
        named = re.compile(r"\[:(\w+):\]").match(whole, at)
        if named:
            if named[1] not in CLASSES:
                raise CommandFault(f"invalid character class '{named[1]}'")
            inside = {"upper": "A-Z", "lower": "a-z", "alpha": "A-Za-z", "alnum": "0-9A-Za-z"}.get(named[1], CLASSES[named[1]].partition(r"\u00a")[0])  # fmt: skip
            found += [c for c in map(chr, range(128)) if re.match(f"[{inside}]", c)]
            at = named.end()
            continue
        if whole.startswith("[=", at) or re.compile(r"\[.\*\d*\]").match(whole, at):
            raise Unsupported("tr [=..=] or [c*n]")
        low, at = _member(whole, at)
        if whole.startswith("-", at) and at + 1 < len(whole):
            high, at = _member(whole, at + 1)
            if high < low:
                raise CommandFault(f"range-endpoints of '{low}-{high}' are in reverse collating sequence order")
            found += map(chr, range(ord(low), ord(high) + 1))
        else:
            found.append(low)
    return found


def _member(spec: str, at: int) -> tuple[str, int]:
    match = re.compile(r"\\([0-7]{1,3}|.)", re.DOTALL).match(spec, at)
    if not match:
        return spec[at], at + 1
    return escaped(match[0])[0].decode("latin-1")[-1:] or "\\", match.end()


def fold(call: Call) -> int:
    found = options(call, "w:sb", {"width": "w:", "spaces": "s"})
    width = int(found.value("w") or 80)
    for one in call.inputs(found.rest):
        if one is None:
            continue
        for row in one.data.splitlines(keepends=True):
            call.out(b"\n".join(_folded(row.rstrip(b"\n"), width, found.has("s"))) + row[len(row.rstrip(b"\n")) :])
    return 0


def _folded(row: bytes, width: int, at_spaces: bool) -> list[bytes]:
    found = []
    while len(row) > width:
        cut_at = row.rfind(b" ", 0, width) + 1 if at_spaces else width
        cut_at = cut_at or width
        found.append(row[:cut_at])
        row = row[cut_at:]
    return [*found, row]


def column(call: Call) -> int:
    """column -t [-s separators] only; what fills a screen is flagged."""
    found = options(call, "ts:o:", {"table": "t", "separator": "s:"})
    if not found.has("t"):
        raise Unsupported("column without -t")
    marks = found.value("s")
    rows = [row for row in all_lines(call, found.rest) if row.strip()]
    cells = [re.split(f"[{re.escape(marks)}]", row) if marks else row.split() for row in rows]
    widths = [max(len(row[k]) for row in cells if k < len(row)) for k in range(max(map(len, cells), default=0))]
    between = "  " if found.value("o") is None else found.value("o") or ""
    for row in cells:
        call.line(between.join(c.ljust(widths[k]) if k < len(row) - 1 else c for k, c in enumerate(row)))
    return 0
