"""What a word stands for: braces, tilde, parameters, substitutions, arithmetic, splitting by IFS, globs; in bash's order.

Not modelled, flagged: case modification by a pattern, ${!name*}, negative lengths of arrays.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from veracast.agents.shell import globs
from veracast.agents.shell.arithmetic import evaluate
from veracast.agents.shell.faults import ExpansionFault, LimitReached, TreeFault, Unsupported
from veracast.agents.shell.limits import Meter
from veracast.agents.shell.syntax import Arithmetic, Param, Part, ProcessFile, Script, Substitution, Text, Word
from veracast.agents.shell.tree import Tree
from veracast.agents.shell.variables import Variables

_OF_THE_SHELL = frozenset(
    "RANDOM SECONDS LINENO UID EUID PPID HOSTNAME BASHPID PIPESTATUS FUNCNAME BASH_SOURCE EPOCHSECONDS BASH_VERSION".split()  # noqa: SIM905
)


class Surroundings(Protocol):
    """What expansion needs of a shell."""

    tree: Tree
    meter: Meter
    variables: Variables
    cwd: str
    arguments: list[str]
    name: str
    status: int
    no_unset: bool
    no_glob: bool
    pipe_statuses: list[int]

    def substitute(self, script: Script) -> str: ...

    def process_file(self, script: Script) -> str: ...

    def flags(self) -> str: ...


class Piece(str):
    """Text that a word expands to. quoted: it is neither split nor a pattern. splits: it came from an expansion outside quotes."""

    quoted: bool
    splits: bool
    __slots__ = ("quoted", "splits")


def _piece(text: str, *, quoted: bool = False, split: bool = False) -> Piece:
    made = Piece(text)
    made.quoted, made.splits = quoted, split
    return made


class Expander:
    def __init__(self, shell: Surroundings) -> None:
        self.shell = shell

    # ---- arithmetic's view of the variables

    def is_keyed(self, name: str) -> bool:
        return name in self.shell.variables.keyed

    def load(self, name: str, index: str | None) -> str:
        values = self.shell.variables
        found = values.text(name) if index is None else values.elements(name).get(self._place(name, index))
        if found is None and self.shell.no_unset:
            raise ExpansionFault(f"{name}: unbound variable")
        return found or ""

    def store(self, name: str, index: str | None, value: str) -> None:
        if index is None:
            self.shell.variables.set(name, value)
        else:
            self.shell.variables.set_element(name, self._place(name, index), value)

    def number(self, expression: str) -> int:
        self.shell.meter.step()
        return evaluate(expression, self)

    # ---- words

    def fields(self, words: Sequence[Word]) -> list[str]:
        """The arguments that words become."""
        found: list[str] = []
        for word in words:
            bare = word.bare
            if bare is not None and not re.search(r"[{*?\[~]", bare):
                found.append(bare)
                continue
            for one in globs.braced(word, self.shell.meter.limits):
                for field in self._split(self._pieces(one)):
                    found += self._globbed(field)
                if len(found) > self.shell.meter.limits.words:
                    raise LimitReached(f"more than {self.shell.meter.limits.words} words")
        return found

    def text(self, word: Word, *, tilde: bool = True) -> str:
        """One text, neither split nor globbed: an assignment, a here-document, a case."""
        groups = self._pieces(word, tilde=tilde)
        found = " ".join("".join(group) for group in groups)
        self.shell.meter.room(len(found))
        return found

    def pattern(self, word: Word) -> str:
        """A shell pattern: what is quoted matches only itself."""
        groups = self._pieces(word)
        return " ".join("".join(globs.quoted(p) if p.quoted else str(p) for p in group) for group in groups)

    def regular(self, word: Word) -> str:
        """The right side of =~."""
        return "".join(re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", p) if p.quoted else p for g in self._pieces(word) for p in g)  # fmt: skip

    def _pieces(self, word: Word, *, tilde: bool = True) -> list[list[Piece]]:
        """Groups of pieces; more than one where "$@" stands for more than one argument, none where it stands for none."""
        groups: list[list[Piece]] = [[]]
        empty_list = False
        for n, part in enumerate(word.parts):
            if isinstance(part, Text):
                rest = part.text
                if tilde and n == 0 and not part.quoted and "~" in rest:
                    name = re.match(r"[A-Za-z_]\w*=(?=~)", rest)  # bash reads `of=~/x` as it does an assignment
                    head = name[0] if name else ""
                    home = self._tilde(rest[len(head) :], len(word.parts) > 1)
                    if home is not None:
                        groups[-1].append(_piece(head + home, quoted=True))
                        rest = rest[len(head) :]
                        rest = rest[len(rest.partition("/")[0]) :]
                groups[-1].append(_piece(rest, quoted=part.quoted))
            elif isinstance(part, Param):
                values = self.parameter(part)
                empty_list |= not values
                for k, value in enumerate(values):
                    if k:
                        groups.append([])
                    groups[-1] += value
            else:
                groups[-1].append(self._made(part))
        if empty_list and len(groups) == 1 and not any(p for p in groups[0]):
            return []
        return groups

    def _made(self, part: Part) -> Piece:
        if isinstance(part, Substitution):
            return _piece(self.shell.substitute(part.script), quoted=part.quoted, split=not part.quoted)
        if isinstance(part, Arithmetic):
            value = str(self.number(self.text(part.expression, tilde=False)))
            return _piece(value, quoted=part.quoted, split=not part.quoted)
        if isinstance(part, ProcessFile):
            return _piece(self.shell.process_file(part.script), quoted=True)
        raise TypeError(part)

    def _tilde(self, text: str, followed: bool) -> str | None:
        """What ~ or ~user at the beginning of a word stands for; behind a : in an assignment it is left alone."""
        if not text.startswith("~"):
            return None
        name, slash, _ = text[1:].partition("/")
        if followed and not slash and name:
            return None
        if not name:
            home = self.shell.variables.text("HOME") or "/root"
        elif name in "+-":
            home = self.shell.variables.text("PWD" if name == "+" else "OLDPWD") or text[:2]
        else:
            home = self._home_of(name)
            if not home:
                return None
        return home

    def _home_of(self, user: str) -> str:
        try:
            passwd = self.shell.tree.read("/etc/passwd").decode("utf-8", "replace")
        except TreeFault:
            return ""
        return next((fields[5] for line in passwd.split("\n") if len(fields := line.split(":")) > 5 and fields[0] == user), "")  # fmt: skip

    # ---- splitting and globs

    def _split(self, groups: list[list[Piece]]) -> list[list[Piece]]:
        """Fields of pieces; an empty one stays only where it was quoted."""
        ifs = self.shell.variables.text("IFS")
        separators = " \t\n" if ifs is None else ifs
        found: list[list[Piece]] = []
        for group in groups:
            fields: list[list[Piece]] = [[]]
            for piece in group:
                if not piece.splits or not separators:
                    fields[-1].append(piece)
                    continue
                for k, text in enumerate(split_by(piece, separators)):
                    if k:
                        fields.append([])
                    if text:
                        fields[-1].append(_piece(text))
                    elif k and text is not None:  # an empty field between two separators that are no blanks
                        fields[-1].append(_piece("", quoted=text == ""))
            found += [f for f in fields if any(f) or any(p.quoted for p in f)]
        return found

    def _globbed(self, field: list[Piece]) -> list[str]:
        whole = "".join(field)
        if self.shell.no_glob or not any(not p.quoted and re.search(r"[*?\[]", p) for p in field):
            return [whole]
        pattern = "".join(globs.quoted(p) if p.quoted else p.replace("\\", "\\\\") for p in field)
        self.shell.meter.step()
        return globs.paths(pattern, self.shell.tree, self.shell.cwd, self.shell.meter.limits) or [whole]

    # ---- parameters

    def parameter(self, part: Param) -> list[list[Piece]]:
        """Groups as of `_pieces`: "$@" has one for each argument."""
        several = part.name == "@" or (part.index is not None and part.index.bare == "@")
        starred = part.name == "*" or (part.index is not None and part.index.bare == "*")
        if part.op == "!keys":
            return self._listed(list(self.shell.variables.elements(part.name)), part, starred=not several)
        if several or starred:
            if part.name in _OF_THE_SHELL:
                raise Unsupported(f"${part.name}")
            values = list(self.shell.arguments) if part.name in "@*" else list(self.shell.variables.elements(part.name).values())  # fmt: skip
            return self._of_list(part, values, starred=starred)
        value = self.value(part)
        if part.op == "#len":
            return [[_piece(str(len(value or "")), quoted=part.quoted, split=not part.quoted)]]
        if part.op == "!":
            if not value:
                raise ExpansionFault(f"{part.name}: invalid indirect expansion")
            return self.parameter(Param(value, quoted=part.quoted))
        if part.op.lstrip(":") in ("-", "=", "+", "?") and part.op:
            return self._default(part, value)
        if value is None and self.shell.no_unset:
            raise ExpansionFault(f"{part.name}: unbound variable")
        return [[_piece(self._changed(part, value or ""), quoted=part.quoted, split=not part.quoted)]]

    def _of_list(self, part: Param, values: list[str], *, starred: bool) -> list[list[Piece]]:
        if part.op == "#len":
            return [[_piece(str(len(values)), quoted=part.quoted)]]
        if part.op.lstrip(":") in ("-", "=", "+", "?") and part.op:
            if bool(values) == (part.op[-1] == "+"):
                return self._operand(part)
            return self._listed([] if part.op[-1] == "+" else values, part, starred=starred)
        if part.op == ":":
            first = self.number(self.text(part.word or Word()))
            if part.name in "@*":
                values = [self.shell.name, *values]
            first = max(0, first + len(values)) if first < 0 else first
            count = None if part.other is None else self.number(self.text(part.other))
            if count is not None and count < 0:
                raise Unsupported("negative length of a list")
            values = values[first:] if count is None else values[first : first + count]
        elif part.op:
            values = [self._changed(part, value) for value in values]
        return self._listed(values, part, starred=starred)

    def _listed(self, values: list[str], part: Param, *, starred: bool) -> list[list[Piece]]:
        if starred and part.quoted:
            ifs = self.shell.variables.text("IFS")
            return [[_piece((" " if ifs is None else ifs[:1]).join(values), quoted=True)]]
        return [[_piece(value, quoted=part.quoted, split=not part.quoted)] for value in values]

    def value(self, part: Param) -> str | None:
        name, shell = part.name, self.shell
        if name.isdigit():
            place = int(name)
            return shell.name if place == 0 else shell.arguments[place - 1] if place <= len(shell.arguments) else None
        if name in "#?$!-":
            return {"#": str(len(shell.arguments)), "?": str(shell.status), "$": "4242", "!": "", "-": shell.flags()}[
                name
            ]
        if name in _OF_THE_SHELL:
            return self._special(name, part)
        if part.index is not None:
            place_of = self._place(name, self.text(part.index))
            return shell.variables.elements(name).get(place_of)
        return shell.variables.text(name)

    def _special(self, name: str, part: Param) -> str | None:
        """Variables that bash makes up as it goes."""
        if name in ("UID", "EUID", "PPID"):
            return "1" if name == "PPID" else "0"
        if name == "HOSTNAME":
            return "sandbox"
        if name == "PIPESTATUS" and part.index is not None:
            place = self.number(self.text(part.index))
            return str(self.shell.pipe_statuses[place]) if 0 <= place < len(self.shell.pipe_statuses) else None
        raise Unsupported(f"${name}")

    def _place(self, name: str, index: str) -> str:
        """The index of an element as it is kept."""
        if name in self.shell.variables.keyed:
            return index
        place = self.number(index)
        if place < 0:
            held = self.shell.variables.elements(name)
            place += int(list(held)[-1]) + 1 if held else 0
            if place < 0:
                raise ExpansionFault(f"{name}: bad array subscript")
        return str(place)

    def place(self, name: str, index: Word) -> str:
        return self._place(name, self.text(index))

    def _default(self, part: Param, value: str | None) -> list[list[Piece]]:
        there = value is not None and not (part.op[0] == ":" and value == "")
        op = part.op[-1]
        if op == "+":
            return self._operand(part) if there else [[_piece("", quoted=part.quoted)]]
        if there:
            return [[_piece(value or "", quoted=part.quoted, split=not part.quoted)]]
        if op == "?":
            raise ExpansionFault(f"{part.name}: {self.text(part.word or Word()) or 'parameter null or not set'}")
        if op == "=":
            self.shell.variables.set(part.name, self.text(part.word or Word()))
            return [[_piece(self.value(part) or "", quoted=part.quoted, split=not part.quoted)]]
        return self._operand(part)

    def _operand(self, part: Param) -> list[list[Piece]]:
        groups = self._pieces(part.word or Word())
        if part.quoted:
            return [[_piece(" ".join("".join(group) for group in groups), quoted=True)]]
        for group in groups:
            for piece in group:
                piece.splits = not piece.quoted
        return groups

    def _changed(self, part: Param, value: str) -> str:
        """The value after # ## % %% / // /# /% ^ ^^ , ,, and substrings."""
        op = part.op
        if not op:
            return value
        if op == ":":
            return self._substring(part, value)
        if op in ("^", "^^", ",", ",,"):
            if part.word and part.word.parts:
                raise Unsupported(f"syntax ${{name{op}pattern}}")
            turn = str.upper if op[0] == "^" else str.lower
            return turn(value) if len(op) == 2 else turn(value[:1]) + value[1:]
        pattern = self.pattern(part.word or Word())
        if op[0] in "#%":
            return _stripped(value, pattern, op)
        return self._replaced(value, pattern, op, self.text(part.other or Word()))

    def _replaced(self, value: str, pattern: str, op: str, new: str) -> str:
        if not pattern:
            return value
        made = globs.compiled(pattern)
        try:
            if op in ("/", "//"):
                found = made.sub(lambda _: new, value, count=1 if op == "/" else 0, timeout=0.5) if op == "/" else _all_replaced(made, value, new)  # fmt: skip
            else:
                cut = _stripped(value, pattern, "##" if op == "/#" else "%%")
                fits = len(cut) < len(value) or globs.matches(pattern, "")
                found = value if not fits else new + cut if op == "/#" else cut + new
        except TimeoutError:
            raise LimitReached("pattern takes too long") from None
        self.shell.meter.room(len(found))
        return found

    def _substring(self, part: Param, value: str) -> str:
        first = self.number(self.text(part.word or Word()))
        first = first + len(value) if first < 0 else first
        if first < 0 or first > len(value):
            return ""
        if part.other is None:
            return value[first:]
        count = self.number(self.text(part.other))
        end = len(value) + count if count < 0 else first + count
        if end < first:
            raise ExpansionFault(f"{count}: substring expression < 0")
        return value[first:end]


def _all_replaced(made: object, value: str, new: str) -> str:
    """Every match that is not empty."""
    return made.sub(lambda m: new if m.group() else "", value, timeout=0.5)  # type: ignore[attr-defined, no-any-return]


def _stripped(value: str, pattern: str, op: str) -> str:
    """Without the shortest (# %) or longest (## %%) beginning or end that the pattern matches."""
    size = len(value)
    if size * len(pattern) > 2_000_000:
        raise LimitReached("pattern takes too long")
    cuts = range(size + 1) if len(op) == 1 else range(size, -1, -1)
    for cut in cuts:
        piece = value[:cut] if op[0] == "#" else value[size - cut :]
        if globs.matches(pattern, piece):
            return value[cut:] if op[0] == "#" else value[: size - cut]
    return value


def split_by(text: str, separators: str) -> list[str | None]:
    """Pieces between separators as bash splits. None stands for a piece that must not become a field of its own: before or behind blanks."""
    blanks = "".join(c for c in separators if c in " \t\n")
    others = "".join(c for c in separators if c not in " \t\n")
    blank = f"[{re.escape(blanks)}]" if blanks else "(?!)"
    other = f"[{re.escape(others)}]" if others else "(?!)"
    found: list[str | None] = []
    at = 0
    for match in re.finditer(f"{blank}*{other}{blank}*|{blank}+", text):
        piece = text[at : match.start()]
        hard = bool(re.search(other, match[0]))
        found.append(piece if piece or hard else None)
        at = match.end()
    found.append(text[at:] or None)
    return found
