"""`test`, `[` and `[[`: files, texts, numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from veracast.agents.shell.faults import CommandFault, TreeFault, Unsupported
from veracast.agents.shell.tree import Device, Directory, File, Link, Node, Tree, size_of
from veracast.agents.shell.variables import Variables

FILE_TESTS = frozenset("-a -b -c -d -e -f -g -h -k -L -p -r -s -S -u -w -x -N -O -G".split())  # noqa: SIM905
NUMBERS: dict[str, Callable[[int, int], bool]] = {"-eq": int.__eq__, "-ne": int.__ne__, "-lt": int.__lt__, "-le": int.__le__, "-gt": int.__gt__, "-ge": int.__ge__}  # fmt: skip
_UNARY = FILE_TESTS | {"-n", "-z", "-v", "-t", "-o"}
_BINARY = frozenset(("=", "==", "!=", "<", ">", "-nt", "-ot", "-ef", *NUMBERS))


class Place(Protocol):
    tree: Tree
    cwd: str
    variables: Variables


def unary(op: str, value: str, place: Place) -> bool:
    if op in ("-n", "-z"):
        return bool(value) == (op == "-n")
    if op == "-v":
        return place.variables.get(value) is not None
    if op not in FILE_TESTS:
        raise Unsupported(f"test {op}")
    try:
        node = place.tree.find(value, place.cwd, follow=op not in ("-h", "-L"))
    except TreeFault:
        return False
    return _of_node(op, node)


def _of_node(op: str, node: Node) -> bool:
    if op in ("-e", "-a", "-r", "-w"):
        return True
    if op == "-x":
        return isinstance(node, Directory) or bool(node.mode & 0o111)
    if op in ("-O", "-G"):
        return (node.owner if op == "-O" else node.group) == "root"
    if op == "-N":
        return node.mtime_ns > node.atime_ns
    bits = {"-u": 0o4000, "-g": 0o2000, "-k": 0o1000}
    if op in bits:
        return bool(node.mode & bits[op])
    kinds: dict[str, type[Node]] = {"-d": Directory, "-f": File, "-h": Link, "-L": Link, "-c": Device}
    return isinstance(node, kinds[op]) if op in kinds else op == "-s" and size_of(node) > 0


def binary(op: str, left: str, right: str, place: Place) -> bool:
    """Comparisons but for those with patterns."""
    if op in ("-nt", "-ot", "-ef"):
        return _of_nodes(op, left, right, place)
    if op in NUMBERS:
        return NUMBERS[op](_integer(left), _integer(right))
    return {"=": left == right, "==": left == right, "!=": left != right, "<": left < right, ">": left > right}[op]


def _of_nodes(op: str, left: str, right: str, place: Place) -> bool:
    nodes: list[Node | None] = []
    for path in (left, right):
        try:
            nodes.append(place.tree.find(path, place.cwd))
        except TreeFault:
            nodes.append(None)
    first, second = nodes
    if op == "-ef":
        return first is not None and first is second
    if op == "-ot":
        first, second = second, first
    return first is not None and (second is None or first.mtime_ns > second.mtime_ns)


def _integer(text: str) -> int:
    try:
        if "_" in text:
            raise ValueError
        return int(text)
    except ValueError:
        raise CommandFault(f"{text}: integer expression expected", status=2) from None


def test(arguments: list[str], place: Place) -> bool:
    """What `test` makes of its arguments; CommandFault with status 2 for what is no test."""
    if len(arguments) > 200:
        raise CommandFault("too many arguments", status=2)
    reader = _Arguments(arguments, place)
    if not arguments:
        return False
    value = reader.either()
    if reader.at < len(arguments):
        raise CommandFault("too many arguments", status=2)
    return value


class _Arguments:
    def __init__(self, arguments: list[str], place: Place) -> None:
        self.words, self.place, self.at = arguments, place, 0

    def left(self) -> int:
        return len(self.words) - self.at

    def either(self) -> bool:
        value = self.both()
        while self.left() and self.words[self.at] == "-o":
            self.at += 1
            value = self.both() or value
        return value

    def both(self) -> bool:
        value = self.single()
        while self.left() and self.words[self.at] == "-a":
            self.at += 1
            value = self.single() and value
        return value

    def single(self) -> bool:
        if not self.left():
            raise CommandFault("argument expected", status=2)
        word = self.words[self.at]
        if self.left() >= 3 and self.words[self.at + 1] in _BINARY:
            op, right = self.words[self.at + 1 : self.at + 3]
            self.at += 3
            return binary(op, word, right, self.place)
        if word == "!" and self.left() > 1:
            self.at += 1
            return not self.single()
        if word == "(" and self.left() > 2:
            self.at += 1
            value = self.either()
            if not self.left() or self.words[self.at] != ")":
                raise CommandFault("`)' expected", status=2)
            self.at += 1
            return value
        if (
            word in _UNARY
            and self.left() > 1
            and not (self.left() > 2 and self.words[self.at + 1] in ("-a", "-o") and self.at == 0)
        ):
            self.at += 2
            return unary(word, self.words[self.at - 1], self.place)
        if len(word) == 2 and word[0] == "-" and self.left() == 2:
            raise CommandFault(f"{word}: unary operator expected", status=2)
        self.at += 1
        return bool(word)
