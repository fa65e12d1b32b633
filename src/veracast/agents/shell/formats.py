"""printf's formats, as the shell's printf, awk and find -printf share them: %d %i %u %o %x %X %c %s %f %e %g %%, with flags, width, precision."""

from __future__ import annotations

import re

from veracast.agents.shell.faults import LimitReached

SPEC = re.compile(r"%([-+ #0']*)(\*|\d+)?(?:\.(\*|\d*))?(?:hh|ll|[hlLqjzt])?([diouxXcsbqeEfFgGaA%])")
MAX_WIDTH = 10_000


def padded(text: str, flags: str, width: int, *, zeros: bool = False) -> str:
    if width > MAX_WIDTH:
        raise LimitReached(f"width of more than {MAX_WIDTH}")
    if "-" in flags:
        return text.ljust(width)
    if zeros and "0" in flags:
        sign = text[0] if text[:1] in ("-", "+", " ") and text else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width)


def number(value: int | float, kind: str, flags: str, width: int, precision: int | None) -> str:
    """A number as C prints it; integers of any size, floats by Python, which agrees with C."""
    if precision is not None and precision > MAX_WIDTH:
        raise LimitReached(f"precision of more than {MAX_WIDTH}")
    if kind in "diouxX":
        whole = int(value)
        if kind not in "di" and whole < 0:
            whole += 1 << 64
        digits = {"o": f"{abs(whole):o}", "x": f"{abs(whole):x}", "X": f"{abs(whole):X}"}.get(kind, str(abs(whole)))
        digits = digits.rjust(precision or 0, "0")
        if precision == 0 and whole == 0:
            digits = ""
        if "#" in flags and whole:
            digits = {"o": "0", "x": "0x", "X": "0X"}.get(kind, "") + digits
        text = _sign(whole < 0, flags if kind in "di" else "") + digits
        return padded(text, flags, width, zeros=precision is None)
    places = 6 if precision is None else precision
    body = format(abs(float(value)), f"{'#' if '#' in flags else ''}.{places}{kind}")
    negative = float(value) < 0 or str(float(value)).startswith("-")
    finite = body[:1].isdigit()
    return padded(_sign(negative, flags) + body, flags, width, zeros=finite)


def _sign(negative: bool, flags: str) -> str:
    return "-" if negative else "+" if "+" in flags else " " if " " in flags else ""


def sized(match: re.Match[str], stars: list[int]) -> tuple[str, int, int | None]:
    """Flags, width and precision of a specification; stars: values for each *, taken from the front."""
    flags = match[1]
    width = stars.pop(0) if match[2] == "*" else int(match[2] or 0)
    if width < 0:
        flags, width = flags + "-", -width
    if match[3] is None:
        return flags, width, None
    precision = stars.pop(0) if match[3] == "*" else int(match[3] or 0)
    return flags, width, None if precision < 0 else precision


_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|0([0-7]{0,3})|x([0-9A-Fa-f]{1,2})|(u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8})|(.))", re.DOTALL)  # fmt: skip
_ECHO = re.compile(r"\\(?:(?!)|0([0-7]{0,3})|x([0-9A-Fa-f]{1,2})|(u[0-9A-Fa-f]{1,4}|U[0-9A-Fa-f]{1,8})|([^0-9xuU]))", re.DOTALL)  # fmt: skip
_NAMED = {"a": b"\a", "b": b"\b", "e": b"\x1b", "E": b"\x1b", "f": b"\f", "n": b"\n", "r": b"\r", "t": b"\t", "v": b"\v", "\\": b"\\"}  # fmt: skip


def escaped(text: str, *, echo: bool = False) -> tuple[bytes, bool]:
    """Backslash escapes resolved, and whether \\c asked to stop there. echo: octal needs a leading 0; else `\\"` is a quote too."""
    found, at = [], 0
    for match in (_ECHO if echo else _ESCAPE).finditer(text):
        found.append(text[at : match.start()].encode("utf-8", "surrogateescape"))
        at = match.end()
        groups = match.groups()
        octal = (groups[0] if echo else groups[0] or groups[1]) if match[0][1] in "01234567" else None
        code, unicode, name = groups[-3:]
        if octal is not None:
            found.append(bytes([int(octal or "0", 8) & 255]))
        elif code:
            found.append(bytes([int(code, 16)]))
        elif unicode:
            point = int(unicode[1:], 16)
            found.append(chr(point).encode("utf-8", "replace") if point < 0x110000 else b"")
        elif name == "c":
            return b"".join(found), True
        elif name == '"' and not echo:
            found.append(b'"')
        else:
            found.append(_NAMED.get(name, match[0].encode("utf-8", "surrogateescape")))
    found.append(text[at:].encode("utf-8", "surrogateescape"))
    return b"".join(found), False
