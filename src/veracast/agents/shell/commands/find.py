"""find: tests, operators and actions over the tree.

Tests: -name -iname -path -ipath -type -size -empty -mtime -mmin -atime -amin -ctime -cmin -newer -newermt -anewer -perm -user -group -nouser -uid
-links -inum -samefile -executable -readable -writable -true -false -lname. Actions: -print -print0 -printf -delete -exec (; and +) -prune -quit.
Options: -maxdepth -mindepth -depth -mount -L -H -P. Others (-regex, -ls, -ok, -daystart ...) are flagged. Names come in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from veracast.agents.shell import globs
from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.listing import links_of, permissions
from veracast.agents.shell.commands.modes import parsed_mode
from veracast.agents.shell.dates import parse_date, strftime
from veracast.agents.shell.faults import CommandFault, ShellFault, TreeFault, Unsupported
from veracast.agents.shell.formats import escaped, padded
from veracast.agents.shell.people import group_id, group_named, user_id, user_named
from veracast.agents.shell.streams import Source, raw
from veracast.agents.shell.tree import Directory, File, Link, Node, blocks_kb, letter, size_of

_DAY_NS, _MINUTE_NS = 86_400_000_000_000, 60_000_000_000
_ACTIONS = frozenset("-print -print0 -printf -delete -exec".split())  # noqa: SIM905
_SIZES = {"c": 1, "w": 2, "b": 512, "k": 1024, "M": 1024**2, "G": 1024**3}


class _Quit(ShellFault):
    """-quit."""


@dataclass
class _Entry:
    path: str
    start: str
    node: Node
    depth: int
    pruned: bool = False

    @property
    def name(self) -> str:
        return self.path.rstrip("/").rpartition("/")[2] or self.path


_Check = Callable[[_Entry], bool]


@dataclass
class _Search:
    call: Call
    words: list[str]
    at: int = 0
    least: int = 0
    most: int = 1 << 30
    after: bool = False  # a directory comes after what it holds
    follow: bool = False
    acts: bool = False
    status: int = 0
    batches: list[tuple[list[str], list[str]]] = field(default_factory=list)

    # ---- the expression

    def listed(self) -> _Check:
        """Expressions between commas: all are evaluated, the last one counts."""
        checks = [self.either()]
        while self.peek() == ",":
            self.at += 1
            checks.append(self.either())
        return checks[0] if len(checks) == 1 else lambda entry: [check(entry) for check in checks][-1]

    def either(self) -> _Check:
        checks = [self.both()]
        while self.peek() in ("-o", "-or"):
            self.at += 1
            checks.append(self.both())
        return checks[0] if len(checks) == 1 else lambda entry: any(check(entry) for check in checks)

    def both(self) -> _Check:
        checks = [self.single()]
        while self.peek() not in (None, "-o", "-or", ")", ","):
            if self.peek() in ("-a", "-and"):
                self.at += 1
            checks.append(self.single())
        return checks[0] if len(checks) == 1 else lambda entry: all(check(entry) for check in checks)

    def single(self) -> _Check:
        word = self.peek()
        if word is None:
            raise CommandFault("expected an expression")
        self.at += 1
        if word in ("!", "-not"):
            check = self.single()
            return lambda entry: not check(entry)
        if word == "(":
            check = self.listed()
            if self.peek() != ")":
                raise CommandFault("invalid expression; I was expecting to find a ')' somewhere but did not see one.")
            self.at += 1
            return check
        if not word.startswith("-"):
            raise CommandFault(f"paths must precede expression: `{word}'")
        return self.primary(word)

    def peek(self) -> str | None:
        return self.words[self.at] if self.at < len(self.words) else None

    def argument(self, word: str) -> str:
        found = self.peek()
        if found is None:
            raise CommandFault(f"missing argument to `{word}'")
        self.at += 1
        return found

    def primary(self, word: str) -> _Check:
        if word in _ACTIONS:
            self.acts = True
            return self.action(word)
        if word in ("-maxdepth", "-mindepth"):
            depth = self.argument(word)
            if not depth.isdigit():
                raise CommandFault(f"Expected a positive decimal integer argument to {word}, but got '{depth}'")
            if word == "-maxdepth":
                self.most = int(depth)
            else:
                self.least = int(depth)
            return _always
        if word in ("-depth", "-d"):
            self.after = True
        if word in (
            "-true",
            "-depth",
            "-d",
            "-mount",
            "-xdev",
            "-noleaf",
            "-readable",
            "-writable",
            "-nowarn",
            "-follow",
        ):
            return _always
        if word == "-false":
            return lambda entry: False
        if word == "-prune":
            return self.prune
        if word == "-quit":
            return _quit
        return self.names(word) or self.times(word) or self.attributes(word)

    def prune(self, entry: _Entry) -> bool:
        entry.pruned = True
        return True

    def names(self, word: str) -> _Check | None:
        if word in ("-name", "-iname"):
            pattern = self.argument(word)
            return lambda entry: globs.matches(pattern, entry.name, ignore_case=word == "-iname")
        if word in ("-path", "-ipath", "-wholename"):
            pattern = self.argument(word)
            return lambda entry: globs.matches(pattern, entry.path, ignore_case=word == "-ipath")
        if word == "-lname":
            pattern = self.argument(word)
            return lambda entry: isinstance(entry.node, Link) and globs.matches(pattern, entry.node.target)
        return None

    def times(self, word: str) -> _Check | None:
        match = re.fullmatch(r"-([amc])(time|min)", word)
        attribute = {"a": "atime_ns", "m": "mtime_ns", "c": "ctime_ns"}
        if match:
            which, unit = attribute[match[1]], _DAY_NS if match[2] == "time" else _MINUTE_NS
            now, count = self.call.clock.now_ns, self.argument(word)
            compare = _compared(count, word)
            if match[2] == "time":
                return lambda entry: compare((now - getattr(entry.node, which)) // unit)
            # minutes are rounded up, days down
            return lambda entry: compare(-(-(now - getattr(entry.node, which)) // unit))
        match = re.fullmatch(r"-newer([amc])([amct])", word)
        if word in ("-newer", "-anewer", "-cnewer") or match:
            which = attribute[match[1] if match else "m" if word == "-newer" else word[1]]
            since = self.moment(self.argument(word), match[2] if match else "m")
            return lambda entry: getattr(entry.node, which) > since
        return None

    def moment(self, word: str, kind: str) -> int:
        if kind == "t":
            try:
                return parse_date(word, self.call.clock.now_ns)
            except CommandFault:
                raise CommandFault(f"I cannot figure out how to interpret '{word}' as a date or time") from None
        try:
            node = self.call.node(word)
        except TreeFault as fault:
            raise CommandFault(f"'{word}': {fault}") from None
        return int(getattr(node, {"a": "atime_ns", "m": "mtime_ns", "c": "ctime_ns"}[kind]))

    def attributes(self, word: str) -> _Check:
        if word in ("-type", "-xtype"):
            kinds = self.argument(word).split(",")
            if any(kind not in ("f", "d", "l", "c", "b", "p", "s") for kind in kinds) or word == "-xtype":
                raise (
                    CommandFault(f"Unknown argument to {word}: {','.join(kinds)}")
                    if word == "-type"
                    else Unsupported("find -xtype")
                )
            return lambda entry: letter(entry.node) in kinds
        if word == "-size":
            return self.size(self.argument(word))
        if word == "-empty":
            return lambda entry: (isinstance(entry.node, Directory) and not entry.node.children) or (isinstance(entry.node, File) and not entry.node.size)  # fmt: skip
        if word == "-executable":
            return lambda entry: isinstance(entry.node, Directory) or bool(entry.node.mode & 0o111)
        if word == "-perm":
            return self.permission(self.argument(word))
        if word in ("-user", "-group", "-nouser", "-nogroup", "-uid", "-gid"):
            return self.owner(word)
        if word in ("-links", "-inum"):
            compare = _compared(self.argument(word), word)
            return lambda entry: compare(links_of(entry.node) if word == "-links" else entry.node.inode)
        if word == "-samefile":
            target = self.call.node(self.argument(word))
            return lambda entry: entry.node is target
        raise Unsupported(f"find {word[:20]}")

    def size(self, word: str) -> _Check:
        match = re.fullmatch(r"([-+]?\d+)([cwbkMG]?)", word)
        if not match:
            raise CommandFault(f"Invalid argument `{word}' to -size")
        unit, compare = _SIZES[match[2] or "b"], _compared(match[1], "-size")
        return lambda entry: compare(-(-size_of(entry.node) // unit))

    def permission(self, word: str) -> _Check:
        style = word[0] if word[:1] in ("-", "/") else ""
        mask = parsed_mode(word[len(style) :], 0)
        if mask is None:
            raise CommandFault(f"invalid mode '{word}'")
        if style == "-":
            return lambda entry: entry.node.mode & mask == mask
        if style == "/":
            return lambda entry: not mask or bool(entry.node.mode & mask)
        return lambda entry: entry.node.mode == mask

    def owner(self, word: str) -> _Check:
        tree = self.call.tree
        if word in ("-nouser", "-nogroup"):
            return lambda entry: (user_named(tree, entry.node.owner) if word == "-nouser" else group_named(tree, entry.node.group)) is None  # fmt: skip
        value = self.argument(word)
        if word in ("-uid", "-gid"):
            compare = _compared(value, word)
            return lambda entry: compare(int(user_id(tree, entry.node.owner) if word == "-uid" else group_id(tree, entry.node.group)))  # fmt: skip
        known = user_named(tree, value) if word == "-user" else group_named(tree, value)
        if known is None:
            raise CommandFault(f"'{value}' is not the name of a known {word[1:]}" if word == "-user" else f"'{value}' is not the name of an existing group")  # fmt: skip
        name = known.name
        return lambda entry: (entry.node.owner if word == "-user" else entry.node.group) == name

    # ---- actions

    def action(self, word: str) -> _Check:
        call = self.call
        if word in ("-print", "-print0"):
            end = "\n" if word == "-print" else "\0"

            def show(entry: _Entry) -> bool:
                call.out(entry.path + end)
                return True

            return show
        if word == "-printf":
            form = self.argument(word)

            def write(entry: _Entry) -> bool:
                call.out(_printed(call, form, entry))
                return True

            return write
        if word == "-delete":
            self.after = True
            return self.delete
        return self.execution()

    def delete(self, entry: _Entry) -> bool:
        try:
            if entry.path != ".":
                self.call.tree.remove(entry.path, self.call.cwd)
        except TreeFault as fault:
            self.call.error(f"cannot delete '{entry.path}': {fault}")
            self.status = 1
            return False
        return True

    def execution(self) -> _Check:
        words: list[str] = []
        while (word := self.peek()) not in (None, ";") and not (word == "+" and words[-1:] == ["{}"]):
            words.append(word or "")
            self.at += 1
        if word is None or not words:
            raise CommandFault("missing argument to `-exec'")
        self.at += 1
        if word == ";":

            def run(entry: _Entry) -> bool:
                return self.execute([part.replace("{}", entry.path) for part in words]) == 0

            return run
        paths: list[str] = []
        self.batches.append((words[:-1], paths))

        def gather(entry: _Entry) -> bool:
            paths.append(entry.path)
            return True

        return gather

    def execute(self, words: list[str]) -> int:
        return self.call.shell.execute(words, stdin=Source(), stdout=self.call.stdout, only_files=True)

    # ---- the walk

    def walk(self, path: str, check: _Check) -> None:
        try:
            node = self.call.node(path, follow=self.follow or path.endswith("/"))
        except TreeFault as fault:
            self.call.stderr.write(raw(f"find: \u2018{path}\u2019: {fault}\n"))
            self.status = 1
            return
        self.visit(_Entry(path, path, node, 0), check)

    def visit(self, entry: _Entry, check: _Check) -> None:
        self.call.shell.meter.step()
        self.call.shell.meter.deeper()
        if not self.after and entry.depth >= self.least:
            check(entry)
        if isinstance(entry.node, Directory) and not entry.pruned and entry.depth < self.most:
            stem = entry.path if entry.path.endswith("/") else entry.path + "/"
            for name in sorted(entry.node.children):
                child = entry.node.children.get(name)
                if child is not None:
                    self.visit(_Entry(stem + name, entry.start, self.resolved(stem + name, child), entry.depth + 1), check)  # fmt: skip
        self.call.shell.meter.back()
        if self.after and entry.depth >= self.least:
            check(entry)

    def resolved(self, path: str, node: Node) -> Node:
        """With -L what a link points to, if that is there."""
        if self.follow and isinstance(node, Link):
            try:
                return self.call.node(path)
            except TreeFault:
                return node
        return node


def _always(entry: _Entry) -> bool:
    return True


def _quit(entry: _Entry) -> bool:
    raise _Quit


def _compared(word: str, option: str) -> Callable[[int], bool]:
    """+n, -n or n."""
    match = re.fullmatch(r"([-+]?)(\d+)", word)
    if not match:
        if re.fullmatch(r"[-+]?\d*\.\d+", word):
            raise Unsupported(f"find {option} with a fraction")
        raise CommandFault(f"invalid argument `{word}' to `{option}'")
    count = int(match[2])
    return {"+": lambda n: n > count, "-": lambda n: n < count, "": lambda n: n == count}[match[1]]


def find(call: Call) -> int:
    words = list(call.args)
    follow = False
    while words and words[0] in ("-L", "-H", "-P"):
        follow = words.pop(0) == "-L"
    starts = []
    while words and not words[0].startswith("-") and words[0] not in ("(", "!"):
        starts.append(words.pop(0))
    search = _Search(call, words, follow=follow)
    check = search.listed() if words else _always
    if search.at < len(words):
        raise CommandFault(f"paths must precede expression: `{words[search.at]}'")
    if not search.acts:
        search.at, tests, show = 0, check, search.action("-print")
        check = lambda entry: tests(entry) and show(entry)  # noqa: E731
    try:
        for start in starts or ["."]:
            search.walk(start, check)
    except _Quit:
        pass
    for command, paths in search.batches:
        for low in range(0, len(paths), 5_000):
            search.status = max(search.status, int(search.execute([*command, *paths[low : low + 5_000]]) != 0))
    return search.status


_FORMAT = re.compile(r"%([-0]*)(\d*)(?:\.(\d+))?(T.|A.|C.|.)")


def _printed(call: Call, form: str, entry: _Entry) -> bytes:
    """-printf."""

    def one(match: re.Match[str]) -> str:
        if match[4] == "%":
            return "%"
        value = _field(call, match[4], entry)
        value = value if match[3] is None else value[: int(match[3])]
        return padded(value, match[1], int(match[2] or 0), zeros=True).replace("\\", "\\\\")

    return escaped(_FORMAT.sub(one, form))[0]


def _field(call: Call, name: str, entry: _Entry) -> str:
    node = entry.node
    if name[0] in "TAC" and len(name) == 2:
        ns = {"T": node.mtime_ns, "A": node.atime_ns, "C": node.ctime_ns}[name[0]]
        if name[1] == "@":
            return f"{ns // 1_000_000_000}.{ns % 1_000_000_000:09d}0"
        if name[1] in "+cxXST":
            raise Unsupported(f"find -printf %{name}")
        return strftime("%" + name[1], ns)
    simple = {"p": entry.path, "f": entry.name, "s": str(size_of(node)), "d": str(entry.depth), "m": f"{node.mode:o}", "M": permissions(node), "u": node.owner, "g": node.group, "y": letter(node), "l": node.target if isinstance(node, Link) else "", "H": entry.start, "i": str(node.inode), "n": str(links_of(node)), "k": str(blocks_kb(node)), "b": str(blocks_kb(node) * 2), "U": str(user_id(call.tree, node.owner)), "G": str(group_id(call.tree, node.group))}  # fmt: skip
    if name in simple:
        return simple[name]
    if name == "P":
        return entry.path[len(entry.start) :].lstrip("/")
    if name == "h":
        return entry.path.rpartition("/")[0] or ("." if not entry.path.startswith("/") else "")
    if name == "t":
        return strftime("%a %b %e %H:%M:%S.%N0 %Y", node.mtime_ns)
    raise Unsupported(f"find -printf %{name}")
