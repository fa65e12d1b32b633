"""echo and printf."""

from __future__ import annotations

import re

from veracast.agents.shell.call import Call
from veracast.agents.shell.faults import CommandFault, Unsupported
from veracast.agents.shell.formats import SPEC, escaped, number, padded, sized
from veracast.agents.shell.streams import raw, text


def echo(call: Call) -> int:
    words, newline, escapes = list(call.args), True, False
    while words and re.fullmatch(r"-[neE]+", words[0]):
        for c in words.pop(0)[1:]:
            newline = newline and c != "n"
            escapes = {"e": True, "E": False}.get(c, escapes)
    whole = " ".join(words)
    data, stop = escaped(whole, echo=True) if escapes else (raw(whole), False)
    call.out(data if stop or not newline else data + b"\n")
    return 0


def printf(call: Call) -> int:
    words = list(call.args)
    target = None
    if words[:1] == ["-v"] and len(words) > 1:
        target = words[1]
        words = words[2:]
    if words[:1] == ["--"]:
        words = words[1:]
    if not words:
        raise CommandFault("usage: printf [-v var] format [arguments]", status=2)
    writer = _Printf(call, words[1:])
    data = writer.whole(words[0])
    if target is not None:
        call.shell.variables.set(target, text(data))
    else:
        call.out(data)
    return writer.status


class _Printf:
    """The shell's printf: the format is used again while arguments are left."""

    def __init__(self, call: Call, words: list[str]) -> None:
        self.call, self.words, self.status, self.stop = call, words, 0, False

    def whole(self, form: str) -> bytes:
        found, size = [], 0
        while True:
            before = len(self.words)
            found.append(self.once(form))
            size += len(found[-1])
            self.call.shell.meter.step()
            self.call.shell.meter.room(size)
            if self.stop or not self.words or len(self.words) == before:
                return b"".join(found)

    def once(self, form: str) -> bytes:
        found, at = [], 0
        while at < len(form) and not self.stop:
            sign = form.find("%", at)
            data, self.stop = escaped(form[at : sign if sign >= 0 else len(form)])
            found.append(data)
            if sign < 0 or self.stop:
                break
            match = SPEC.match(form, sign)
            if not match:
                raise CommandFault(f"`{form[sign + 1 : sign + 2]}': invalid format character")
            found.append(self.value(match))
            at = match.end()
        return b"".join(found)

    def take(self) -> str:
        return self.words.pop(0) if self.words else ""

    def value(self, match: re.Match[str]) -> bytes:
        kind = match[4]
        if kind == "%":
            return b"%"
        stars = [int(self.numeric(self.take())) for part in (match[2], match[3]) if part == "*"]
        flags, width, precision = sized(match, stars)
        if kind in "sbcq":
            word = self.take()
            if kind == "q":
                raise Unsupported("printf %q")
            if kind == "b":
                data, self.stop = escaped(word, echo=True)
                word = text(data)
            wide = raw(word).decode("latin-1")  # width and precision are counted in bytes
            wide = wide[:1] if kind == "c" else wide if precision is None else wide[:precision]
            return padded(wide, flags, width).encode("latin-1")
        value = self.numeric(self.take(), whole=kind in "diouxX")
        return raw(number(value, kind, flags.replace("'", ""), width, precision))

    def numeric(self, word: str, *, whole: bool = True) -> int | float:
        if word[:1] in ("'", '"') and word:
            return ord(word[1]) if len(word) > 1 else 0
        pattern = r"\s*([-+]?(?:0[xX][0-9a-fA-F]+|\d+))" if whole else r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
        match = re.match(pattern, word)
        if (not match or match.end() != len(word)) and word:
            self.call.error(f"{word}: invalid number")
            self.status = 1
        if not match:
            return 0
        if not whole:
            return float(match[1])
        digits = match[1].lstrip("+-")
        value = int(digits, 16) if digits[:2] in ("0x", "0X") else int(digits, 8) if re.fullmatch("0[0-7]+", digits) else int(digits)  # fmt: skip
        return -value if match[1][0] == "-" else value
