"""Whole files: cat tac rev nl head tail wc tee strings base64 md5sum sha1sum sha256sum yes seq. Flagged: split, cksum, tail -f, checks of digests."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.faults import E_ISDIR, CommandFault, LimitReached, TreeFault, Unsupported
from veracast.agents.shell.formats import SPEC, number, sized
from veracast.agents.shell.streams import FileSink, Sink, Source, lines, raw, text
from veracast.agents.shell.tree import Directory, File

_UNITS = {"": 1, "b": 512, "k": 1024, "K": 1024, "KB": 1000, "kB": 1000, "KiB": 1024, "M": 1024**2, "MB": 1000**2, "MiB": 1024**2, "G": 1024**3, "GB": 1000**3, "GiB": 1024**3}  # fmt: skip

_Opened = TypeVar("_Opened", Source, bytes)


def size(call: Call, word: str) -> int:
    """A count with a unit, as `10K`."""
    match = re.fullmatch(r"(\d+)([A-Za-z]*)", word)
    if not match or match[2] not in _UNITS:
        raise CommandFault(f"invalid number: '{word}'")
    return int(match[1]) * _UNITS[match[2]]


def cat(call: Call) -> int:
    found = options(call, "AbeEnstTuv", {"number": "n", "number-nonblank": "b", "show-all": "A", "squeeze-blank": "s", "show-ends": "E", "show-tabs": "T"})  # fmt: skip
    status = 0
    plain = not found.given or not found.has(*"AbeEnstTv")
    state = [0, False]
    for path in found.rest or ["-"]:
        try:
            source = call.source(path)
        except TreeFault as fault:
            call.error(f"{path}: {fault}")
            status = 1
            continue
        if isinstance(call.stdout, FileSink) and path != "-" and call.stdout.node is call.node(path) and isinstance(call.stdout.node, File) and call.stdout.node.size:  # fmt: skip
            call.error(f"{path}: input file is output file")
            status = 1
            continue
        data = _endless(call, source) if source.zeros or source.noise else source.read()
        call.out(data if plain else b"".join(_shown(line, found, state) for line in data.splitlines(keepends=True)))
    return status


def _endless(call: Call, source: Source) -> bytes:
    """Into a pipe until it is full; LimitReached elsewhere."""
    if not call.stdout.pipe:
        raise LimitReached("endless output")
    return source.read(call.stdout.most + 1)


def _shown(line: bytes, found: Options, state: list[int | bool]) -> bytes:
    body = line.rstrip(b"\n")
    if found.has("s") and not body and state[1]:
        return b""
    state[1] = not body
    head = b""
    if (found.has("b") and body) or (found.has("n") and not found.has("b")):
        state[0] = int(state[0]) + 1
        head = b"%6d\t" % state[0]
    if found.has("A", "v", "e", "t"):
        body = b"".join(_visible(c) for c in body)
    if found.has("A", "T", "t"):
        body = body.replace(b"\t", b"^I")
    return (
        head
        + body
        + (b"$" if found.has("A", "E", "e") and line.endswith(b"\n") else b"")
        + line[len(line.rstrip(b"\n")) :]
    )


def _visible(c: int) -> bytes:
    """A byte in cat -v's notation."""
    if c >= 128:
        return b"M-" + _visible(c - 128) if c != 128 + 9 else b"M-^I"
    return bytes([c]) if 32 <= c < 127 or c == 9 else b"^?" if c == 127 else b"^" + bytes([c + 64])


def tac(call: Call) -> int:
    found = options(call, "")
    for one in call.inputs(found.rest, lambda path, fault: f"failed to open '{path}' for reading: {fault}"):
        if one is not None:
            pieces = re.findall(rb"[^\n]*\n|[^\n]+", one.data)
            call.out(b"".join(reversed(pieces)))
    return 0


def rev(call: Call) -> int:
    found = options(call, "")
    for one in call.inputs(found.rest):
        if one is not None:
            whole = text(one.data)
            call.out("\n".join(line[::-1] for line in whole.split("\n")))
    return 0


def nl(call: Call) -> int:
    found = options(call, "b:w:s:n:v:i:", {"body-numbering": "b:", "number-width": "w:", "number-separator": "s:"})
    style, width = found.value("b") or "t", int(found.value("w") or 6)
    between = "\t" if found.value("s") is None else found.value("s") or ""
    count, step, form = int(found.value("v") or 1), int(found.value("i") or 1), found.value("n") or "rn"
    if style not in ("a", "t", "n") or width > 1_000:
        raise Unsupported(f"nl -b {style}")
    status = 0
    for one in call.inputs(found.rest):
        if one is None:
            status = 1
            continue
        for line in lines(one.data):
            if line.startswith("\\:"):
                raise Unsupported("nl: sections")
            if style == "n" or (style == "t" and not line):
                call.line(" " * (width + len(between)) + line)
                continue
            shown = str(count).ljust(width) if form == "ln" else str(count).zfill(width) if form == "rz" else str(count).rjust(width)  # fmt: skip
            call.line(shown + between + line)
            count += step
    return status


def _old_count(call: Call, letter: str = "n") -> None:
    """`head -5` is `head -n 5`."""
    if call.args and (match := re.fullmatch(r"-(\d+)([a-z]*)", call.args[0])) and not match[2].strip("qvc"):
        call.args[0:1] = [
            "-c" if "c" in match[2] else "-" + letter,
            match[1],
            *(f"-{c}" for c in match[2] if c in "qv"),
        ]


_COUNTS = {"lines": "n:", "bytes": "c:", "quiet": "q", "silent": "q", "verbose": "v"}


def head(call: Call) -> int:
    return _part(call, call.source, _head_of)


def tail(call: Call) -> int:
    if call.args and re.fullmatch(r"\+\d+", call.args[0]):
        call.args[0:1] = ["-n", call.args[0]]
    return _part(call, call.read, _tail_of)


def _part(call: Call, opened: Callable[[str], _Opened], part_of: Callable[[_Opened, str, str, int], bytes]) -> int:
    """What `part_of` (source, unit `n` or `c`, the count as written, its size) leaves of each file, under its headline where there are many."""
    _old_count(call)
    found = options(call, "n:c:qv", _COUNTS)
    unit = found.last("nc") or "n"
    word = found.value(unit) or "10"
    count = size(call, word.lstrip("-+"))
    status, many, first = 0, len(found.rest) > 1, True
    for path in found.rest or ["-"]:
        try:
            source = opened(path)
        except TreeFault as fault:
            call.error(f"error reading '{path}': {fault}" if str(fault) == E_ISDIR else f"cannot open '{path}' for reading: {fault}")  # fmt: skip
            status = 1
            continue
        if (many and not found.has("q")) or found.has("v"):
            call.out(f"{'' if first else chr(10)}==> {'standard input' if path == '-' else path} <==\n")
        first = False
        call.out(part_of(source, unit, word, count))
    return status


def _head_of(source: Source, unit: str, word: str, count: int) -> bytes:
    """The beginning; of a negative count all but the end. No more is read than is asked for."""
    if word.startswith("-"):
        whole = source.read()
        if unit == "c":
            return whole[: -count or None]
        pieces = whole.splitlines(keepends=True)
        return b"".join(pieces[: max(0, len(pieces) - count)])
    if unit == "c":
        return source.read(count)
    lines = []
    for _ in range(count):
        line = source.line()
        if not line:
            break
        lines.append(line)
    return b"".join(lines)


def _tail_of(data: bytes, unit: str, word: str, count: int) -> bytes:
    """The end; of a count with a plus all from there."""
    pieces: list[bytes] | bytes = re.findall(rb"[^\n]*\n|[^\n]+", data) if unit == "n" else data
    kept = pieces[max(0, count - 1) :] if word.startswith("+") else pieces[max(0, len(pieces) - count) :]
    return b"".join(kept) if isinstance(kept, list) else kept


def wc(call: Call) -> int:
    found = options(call, "clmwL", {"lines": "l", "words": "w", "chars": "m", "bytes": "c", "max-line-length": "L"})
    shown = [c for c in "lwmcL" if found.has(c)] or ["l", "w", "c"]
    rows: list[tuple[list[int], str]] = []
    status, total, piped = 0, 0, False
    for path in found.rest or ["-"]:
        try:
            data = call.read(path)
            piped |= path == "-" and not call.stdin.regular
        except TreeFault as fault:
            call.error(f"{path}: {fault}")
            status = 1
            if str(fault) != E_ISDIR:
                continue
            data, piped = b"", True
        rows.append(([_count(data, c) for c in shown], path if found.rest else ""))
        total += len(data)
    if len(found.rest) > 1:
        longest = [max((counts[k] for counts, _ in rows), default=0) if c == "L" else sum(counts[k] for counts, _ in rows) for k, c in enumerate(shown)]  # fmt: skip
        rows.append((longest, "total"))
    one = len(shown) == 1 and len(found.rest) <= 1
    width = 1 if one else max(7 if piped else 1, len(str(total)))
    for counts, name in rows:
        call.line(" ".join(str(count).rjust(width) for count in counts) + (f" {name}" if name else ""))
    return status


def _count(data: bytes, unit: str) -> int:
    if unit == "l":
        return data.count(b"\n")
    if unit == "c":
        return len(data)
    if unit == "w":
        return len(re.findall(rb"[^ \t\n\r\f\v]+", data))
    if unit == "m":
        return len(data.decode("utf-8", "ignore"))
    return max((len(line.expandtabs(8)) for line in lines(data)), default=0)


def tee(call: Call) -> int:
    found = options(call, "ai", {"append": "a"})
    data = call.stdin.read()
    status = 0
    for path in found.rest:
        try:
            call.tree.write(path, data, call.cwd, append=found.has("a"))
        except TreeFault as fault:
            call.error(f"{path}: {fault}")
            status = 1
    call.out(data)
    return status


def strings(call: Call) -> int:
    found = options(call, "an:", {"bytes": "n:"})
    least = int(found.value("n") or 4)
    for one in call.inputs(found.rest):
        if one is not None:
            call.out(b"".join(m[0] + b"\n" for m in re.finditer(rb"[\x20-\x7e\t]{%d,}" % least, one.data)))
    return 0


def base64_(call: Call) -> int:
    found = options(call, "diw:", {"decode": "d", "wrap": "w:", "ignore-garbage": "i"})
    data = call.read(found.rest[0] if found.rest else "-")
    if found.has("d"):
        try:
            call.out(base64.b64decode(data, validate=False))
        except binascii.Error:
            raise CommandFault("invalid input") from None
        return 0
    coded, width = base64.b64encode(data), int(found.value("w") or 76)
    if found.value("w") == "0":
        call.out(coded)
    else:
        call.out(b"".join(coded[k : k + width] + b"\n" for k in range(0, len(coded), width)))
    return 0


def digest(call: Call) -> int:
    """md5sum and its like; -c checks a list."""
    found = options(call, "bct", {"check": "c", "binary": "b"})
    make = {"md5sum": hashlib.md5, "sha1sum": hashlib.sha1, "sha256sum": hashlib.sha256, "sha512sum": hashlib.sha512}[call.name]  # fmt: skip
    if found.has("c"):
        raise Unsupported(f"{call.name} -c")
    status = 0
    for one in call.inputs(found.rest):
        if one is None:
            status = 1
        else:
            call.line(f"{make(one.data).hexdigest()} {'*' if found.has('b') else ' '}{one.name}")
    return status


def yes(call: Call) -> int:
    word = raw(" ".join(call.args) or "y") + b"\n"
    if not isinstance(call.stdout, Sink) or not call.stdout.pipe:
        raise LimitReached("endless output")
    call.out(word * (call.stdout.most // len(word) + 2))
    return 0


def seq(call: Call) -> int:
    """seq [-w] [-s between] [-f %g] [first [step]] last."""
    words = list(call.args)
    numbers: list[str] = []
    while (words and re.fullmatch(r"-\d.*|-\.\d.*", words[-1])) or (words and not words[-1].startswith("-")):
        numbers.insert(0, words.pop())
        if len(numbers) == 3 and not words:
            break
    if len(numbers) > 3 or (words and words[-1] in ("-s", "-f")):
        words.append(numbers.pop(0))
    call.args = words
    found = options(call, "ws:f:", {"separator": "s:", "equal-width": "w", "format": "f:"})
    if not 1 <= len(numbers) <= 3 or found.rest:
        raise CommandFault("missing operand" if not numbers else f"extra operand '{numbers[-1]}'")
    for word in numbers:
        if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)", word):
            raise CommandFault(f"invalid floating point argument: '{word}'")
    shown = _sequence(call, numbers, found.value("f"))
    if found.has("w"):
        width = max((len(word) for word in shown), default=0)
        shown = [word.zfill(width) for word in shown]
    between = "\n" if found.value("s") is None else found.value("s") or ""
    if shown:
        call.line(between.join(shown))
    return 0


def _sequence(call: Call, numbers: list[str], form: str | None) -> list[str]:
    from decimal import Decimal

    first = Decimal(numbers[0]) if len(numbers) > 1 else Decimal(1)
    step = Decimal(numbers[1]) if len(numbers) == 3 else Decimal(1)
    last = Decimal(numbers[-1])
    if step == 0:
        raise CommandFault(f"invalid Zero increment value: '{numbers[1]}'")
    count = int((last - first) / step) + 1 if (last >= first) == (step > 0) or last == first else 0
    if count > 200_000 and not call.stdout.pipe:
        raise LimitReached("more than 200000 numbers")
    places = max((len(word.partition(".")[2]) for word in numbers[:-1] or ["1"]), default=0)
    values = (first + k * step for k in range(max(0, min(count, 200_001))))
    if form is None:
        shown = [f"{value:.{places}f}" for value in values]
    else:
        match = SPEC.search(form)
        if not match or match[4] not in "feg":
            raise Unsupported(f"seq -f {form}")
        shown = [
            form[: match.start()] + number(float(v), match[4], *sized(match, [])) + form[match.end() :] for v in values
        ]
    if count > 200_001:  # the reader of the pipe gets no further
        shown.append("9" * (call.stdout.most + 1))
    return shown


def is_directory(call: Call, path: str) -> bool:
    try:
        return isinstance(call.node(path), Directory)
    except TreeFault:
        return False
