"""Shell patterns: `*`, `?`, `[...]` with classes and ranges; a backslash takes a character as it is. Also braces. No extended globs."""

from __future__ import annotations

import re
from functools import lru_cache

import regex

from veracast.agents.shell.faults import LimitReached, TreeFault, Unsupported
from veracast.agents.shell.limits import Limits
from veracast.agents.shell.syntax import Part, Text, Word
from veracast.agents.shell.tree import Directory, Tree

CLASSES = {"alpha": r"\p{L}", "digit": "0-9", "alnum": r"\p{L}\p{Nd}", "upper": r"\p{Lu}", "lower": r"\p{Ll}", "space": r" \t\n\r\f\v", "blank": r" \t", "punct": r"!-/:-@\[-`{-~", "xdigit": "0-9A-Fa-f", "cntrl": r"\x00-\x1f\x7f", "print": r"\x20-\x7e\u00a0-\U0010ffff", "graph": r"\x21-\x7e\u00a1-\U0010ffff"}  # fmt: skip
_MAGIC = re.compile(r"(?<!\\)(?:\\\\)*[*?\[]")
_MAX_PATTERN, _MAX_BRACES = 2_000, 100


def has_magic(pattern: str) -> bool:
    return bool(_MAGIC.search(pattern))


def plain(pattern: str) -> str:
    """The text that a pattern without magic stands for."""
    return re.sub(r"\\(.)", r"\1", pattern, flags=re.DOTALL)


def quoted(text: str) -> str:
    """A text as a pattern that matches only itself."""
    return re.sub(r"([*?\[\]\\!^-])", r"\\\1", text)


def translated(pattern: str) -> str:
    """As a regular expression, unanchored."""
    if len(pattern) > _MAX_PATTERN:
        raise LimitReached(f"pattern of more than {_MAX_PATTERN} characters")
    found: list[str] = []
    at = 0
    while at < len(pattern):
        c = pattern[at]
        at += 1
        if c == "*":
            if not found or found[-1] != ".*":
                found.append(".*")
        elif c == "?":
            found.append(".")
        elif c == "[":
            inside, end = _bracket(pattern, at)
            found.append(inside or r"\[")
            at = end if inside else at
        elif c == "\\" and at < len(pattern):
            found.append(regex.escape(pattern[at]))
            at += 1
        else:
            found.append(regex.escape(c))
    return "".join(found)


def _bracket(pattern: str, at: int) -> tuple[str, int]:
    """A bracket expression from behind its [ on, with the place behind it; empty where it is not closed."""
    negated = pattern[at : at + 1] in ("!", "^") and bool(pattern[at : at + 1])
    begin = at = at + negated
    items: list[str] = []
    while at < len(pattern):
        c = pattern[at]
        if c == "]" and at > begin:
            return ("[^" if negated else "[") + "".join(items) + "]", at + 1
        named = re.compile(r"\[:(\w+):\]").match(pattern, at)
        if named:
            if named[1] not in CLASSES:
                return "", at
            items.append(CLASSES[named[1]])
            at = named.end()
            continue
        if pattern[at : at + 2] in ("[=", "[."):
            raise Unsupported("pattern [[=...=]]")
        if c == "\\" and at + 1 < len(pattern):
            at += 1
            c = pattern[at]
        high = pattern[at + 2 : at + 3]
        if pattern[at + 1 : at + 2] == "-" and high and high != "]":
            if high < c:
                items.append(regex.escape(c))
            else:
                items.append(f"{_in_set(c)}-{_in_set(high)}")
            at += 3
        else:
            items.append(_in_set(c))
            at += 1
    return "", at


def _in_set(c: str) -> str:
    return "\\" + c if c in r"\]^-[&~|" else c


@lru_cache(maxsize=512)
def compiled(pattern: str, *, ignore_case: bool = False) -> regex.Pattern[str]:
    return regex.compile(translated(pattern), regex.DOTALL | (regex.IGNORECASE if ignore_case else 0))


def matches(pattern: str, text: str, *, ignore_case: bool = False) -> bool:
    try:
        return bool(compiled(pattern, ignore_case=ignore_case).fullmatch(text, timeout=0.5))
    except TimeoutError:
        raise LimitReached("pattern takes too long") from None


def paths(pattern: str, tree: Tree, cwd: str, limits: Limits) -> list[str]:
    """What a pattern names in the tree, in order; empty for nothing. A leading dot must be written."""
    absolute = pattern.startswith("/")
    parts = [part for part in pattern.split("/") if part]
    found = ["/"] if absolute else [""]
    for n, part in enumerate(parts):
        last = n == len(parts) - 1
        following: list[str] = []
        for stem in found:
            following += _step(stem, part, tree, cwd, last=last)
            if len(following) > limits.words:
                raise LimitReached(f"more than {limits.words} words")
        found = [path + "/" for path in following] if not last else following
    if pattern.endswith("/"):
        found = [path + "/" for path in found if _directory(tree, path, cwd) is not None]
    return sorted(found)


def _step(stem: str, part: str, tree: Tree, cwd: str, *, last: bool) -> list[str]:
    """Paths with one more part."""
    if not has_magic(part):
        path = stem + plain(part)
        return [path] if tree.exists(path, cwd, follow=False) else []
    here = _directory(tree, stem or ".", cwd)
    if here is None:
        return []
    dots = part.startswith((".", "\\."))
    names = [name for name in here.children if (dots or not name.startswith(".")) and matches(part, name)]
    return [stem + name for name in names if last or _directory(tree, stem + name, cwd) is not None]


def _directory(tree: Tree, path: str, cwd: str) -> Directory | None:
    try:
        node = tree.find(path, cwd)
    except TreeFault:
        return None
    return node if isinstance(node, Directory) else None


# ---- braces

_SEQUENCE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?$|([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d+))?$")
Atom = str | Part


def braced(word: Word, limits: Limits) -> list[Word]:
    """{a,b} and {1..9..2} outside quotes, expanded."""
    if not any(isinstance(part, Text) and not part.quoted and "{" in part.text for part in word.parts):
        return [word]
    atoms: list[Atom] = []
    for part in word.parts:
        atoms += list(part.text) if isinstance(part, Text) and not part.quoted else [part]
    if atoms.count("{") > _MAX_BRACES:
        raise LimitReached(f"more than {_MAX_BRACES} braces in a word")
    return [_joined(found) for found in _alternatives(atoms, limits, 0)]


def _joined(atoms: list[Atom]) -> Word:
    parts: list[Part] = []
    for atom in atoms:
        if not isinstance(atom, str):
            parts.append(atom)
        elif parts and isinstance(parts[-1], Text) and not parts[-1].quoted:
            parts[-1] = Text(parts[-1].text + atom)
        else:
            parts.append(Text(atom))
    return Word(tuple(parts))


def _alternatives(atoms: list[Atom], limits: Limits, depth: int) -> list[list[Atom]]:
    if depth > limits.depth:
        raise LimitReached("braces nested too deep")
    for begin, atom in enumerate(atoms):
        if atom != "{":
            continue
        end, pieces = _pieces(atoms, begin)
        if end is None:
            continue
        choices = [c for piece in pieces for c in _alternatives(piece, limits, depth + 1)] if len(pieces) > 1 else _sequence(pieces[0], limits)  # fmt: skip
        if choices is None:
            continue
        rest = _alternatives(atoms[end + 1 :], limits, depth + 1)
        if len(choices) * len(rest) > limits.words:
            raise LimitReached(f"more than {limits.words} words")
        return [atoms[:begin] + choice + tail for choice in choices for tail in rest]
    return [atoms]


def _pieces(atoms: list[Atom], begin: int) -> tuple[int | None, list[list[Atom]]]:
    """Where the brace at `begin` is closed, and what its commas part."""
    level = 0
    pieces: list[list[Atom]] = [[]]
    for at in range(begin + 1, len(atoms)):
        atom = atoms[at]
        if atom == "}" and not level:
            return at, pieces
        if atom == "," and not level:
            pieces.append([])
            continue
        level += {"{": 1, "}": -1}.get(atom, 0) if isinstance(atom, str) else 0
        pieces[-1].append(atom)
    return None, pieces


def _sequence(piece: list[Atom], limits: Limits) -> list[list[Atom]] | None:
    text = "".join(atom if isinstance(atom, str) else "\0" for atom in piece)
    match = _SEQUENCE.match(text)
    if not match:
        return None
    low, high = (int(match[1]), int(match[2])) if match[1] else (ord(match[4]), ord(match[5]))
    step = abs(int(match[3] or match[6] or 1)) or 1
    if abs(high - low) // step > limits.words:
        raise LimitReached(f"more than {limits.words} words")
    numbers = range(low, high + 1, step) if low <= high else range(low, high - 1, -step)
    if not match[1]:
        return [[chr(n)] for n in numbers]
    padded = any(re.match(r"-?0\d", end) for end in (match[1], match[2]))
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [list(f"{n:0{width}d}" if width else str(n)) for n in numbers]
