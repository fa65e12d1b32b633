"""Looking at the tree: ls stat du file basename dirname realpath readlink. Flagged: tree, stat without a format.

ls: -l -a -A -1 -d -t -S -r -R -h -n -F -p -i -g -o, --time-style=long-iso|full-iso|+form. Output is one name a line (no terminal).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.dates import strftime
from veracast.agents.shell.faults import CommandFault, TreeFault, Unsupported
from veracast.agents.shell.people import group_id, user_id
from veracast.agents.shell.tree import Device, Directory, File, Link, Node, blocks_kb, letter, size_of

_HALF_YEAR_NS = 15_778_476 * 1_000_000_000


def permissions(node: Node) -> str:
    """`-rwxr-xr-x`, with s and t."""
    kind = {"f": "-"}.get(letter(node), letter(node))
    bits = "".join(c if node.mode >> (8 - n) & 1 else "-" for n, c in enumerate("rwxrwxrwx"))
    found = list(kind + bits)
    for mask, place, mark in ((0o4000, 3, "s"), (0o2000, 6, "s"), (0o1000, 9, "t")):
        if node.mode & mask:
            found[place] = mark if found[place] == "x" else mark.upper()
    return "".join(found)


def human(count: int, *, unit: int = 1024) -> str:
    """A size as ls -h and du -h round it: up, one place below 10."""
    if count < unit:
        return str(count)
    power = 0
    divisor = 1
    while count >= divisor * unit and power < 6:
        divisor *= unit
        power += 1
    tenths = -(-count * 10 // divisor)
    if tenths < 100:
        return f"{tenths // 10}.{tenths % 10}{'BKMGTPE'[power]}"
    whole = -(-count // divisor)
    return f"{whole}{'BKMGTPE'[power]}" if whole < unit else f"1.0{'BKMGTPE'[power + 1]}"


def links_of(node: Node) -> int:
    """A directory counts itself, its name above and `..` of each below."""
    if isinstance(node, Directory):
        return 2 + sum(isinstance(child, Directory) for child in node.children.values())
    return node.links


# ---- ls


def ls(call: Call) -> int:
    found = options(call, "laA1dtSrRhnFpigoUcuNX", {"all": "a", "almost-all": "A", "directory": "d", "reverse": "r", "recursive": "R", "human-readable": "h", "numeric-uid-gid": "n", "classify": "F", "inode": "i", "time-style": "time-style:", "full-time": "full-time", "color": "color?", "sort": "sort:", "group-directories-first": "group-directories-first"})  # fmt: skip
    if found.has("u", "c", "X", "group-directories-first") or found.value("sort") not in (None, "time", "size", "none"):
        raise Unsupported("ls ordered by other times or names")
    status = 0
    files: list[tuple[str, Node]] = []
    folders: list[tuple[str, Node]] = []
    for path in found.rest or ["."]:
        try:
            node = call.node(path, follow=not (found.has("l", "d", "F") and not path.endswith("/")))
            if isinstance(node, Link) and not found.has("d", "l"):
                node = call.node(path)
            aims_at = call.node(path) if isinstance(node, Link) and call.tree.exists(path, call.cwd) else node
        except TreeFault as fault:
            call.error(f"cannot access '{path}': {fault}")
            status = 2
            continue
        is_folder = isinstance(aims_at if not found.has("l") else node, Directory) and not found.has("d")
        (folders if is_folder else files).append((path, node))
    _rows(call, found, _ordered(files, found))
    for n, (path, node) in enumerate(_ordered(folders, found)):
        titled = len(found.rest) > 1 or found.has("R")
        _folder(call, found, path, node, titled=titled, first=not n and not files)
    return status


def _ordered(entries: list[tuple[str, Node]], found: Options) -> list[tuple[str, Node]]:
    made = sorted(entries, key=lambda entry: entry[0].encode("utf-8", "surrogateescape"))
    by = found.last("tSU") or {"time": "t", "size": "S", "none": "U"}.get(found.value("sort") or "", "")
    if by == "t":
        made.sort(key=lambda entry: -entry[1].mtime_ns)
    elif by == "S":
        made.sort(key=lambda entry: -size_of(entry[1]))
    return made[::-1] if found.has("r") else made


def _folder(call: Call, found: Options, path: str, node: Node, *, titled: bool, first: bool) -> None:
    call.shell.meter.step()
    folder = call.node(path) if isinstance(node, Link) else node
    if not isinstance(folder, Directory):
        return
    entries = [
        (name, child) for name, child in folder.children.items() if found.has("a", "A") or not name.startswith(".")
    ]
    if found.has("a") and found.last("aA") == "a":
        above = call.node(path.rstrip("/") + "/..") if path.strip("/") else folder
        entries += [(".", folder), ("..", above)]
    if titled:
        call.line(f"{'' if first else chr(10)}{path}:")
    if found.has("l", "n", "g", "o", "full-time"):
        call.line(f"total {_human_kb(found, sum(blocks_kb(child) for _, child in entries))}")
    ordered = _ordered(entries, found)
    _rows(call, found, ordered, path)
    if found.has("R"):
        for name, child in ordered:
            if isinstance(child, Directory) and name not in (".", ".."):
                _folder(call, found, f"{path.rstrip('/')}/{name}" if path != "/" else f"/{name}", child, titled=True, first=False)  # fmt: skip


def _human_kb(found: Options, count_kb: int) -> str:
    return human(count_kb * 1024) if found.has("h") else str(count_kb)


def _rows(call: Call, found: Options, entries: list[tuple[str, Node]], folder: str = "") -> None:
    names = [_marked(name, node, found, call, folder) for name, node in entries]
    if found.has("i"):
        names = [f"{node.inode} {name}" for name, (_, node) in zip(names, entries, strict=True)]
    if found.has("l", "n", "g", "o", "full-time"):
        cells = [_cells(call, node, found) for _, node in entries]
        widths = [max((len(row[k]) for row in cells), default=0) for k in range(6)]
        for name, row in zip(names, cells, strict=True):
            mode, links, owner, group, size, when = row
            people = [c.ljust(w) for c, w, hidden in ((owner, widths[2], "g"), (group, widths[3], "o")) if not found.has(hidden)]  # fmt: skip
            call.line(" ".join([mode, links.rjust(widths[1]), *people, size.rjust(widths[4]), when, name]))
    else:
        for name in names:
            call.line(name)


def _marked(name: str, node: Node, found: Options, call: Call, folder: str) -> str:
    if found.has("F", "p") and isinstance(node, Directory):
        return name + "/"
    if found.has("l", "full-time") and isinstance(node, Link):
        return f"{name} -> {node.target}"
    if found.has("F"):
        return name + ("@" if isinstance(node, Link) else "*" if isinstance(node, File) and node.mode & 0o111 else "")
    return name


def _cells(call: Call, node: Node, found: Options) -> tuple[str, str, str, str, str, str]:
    size = human(size_of(node)) if found.has("h") else "1, 3" if isinstance(node, Device) else str(size_of(node))
    owner, group = node.owner, node.group
    if found.has("n"):
        owner, group = str(user_id(call.tree, owner)), str(group_id(call.tree, group))
    style = "full-iso" if found.has("full-time") else found.value("time-style")
    return permissions(node), str(links_of(node)), owner, group, size, _when(call, node, style)


def _when(call: Call, node: Node, style: str | None) -> str:
    ns = node.mtime_ns
    if style is None or style == "locale":
        recent = call.clock.now_ns - _HALF_YEAR_NS < ns <= call.clock.now_ns
        return strftime("%b %e %H:%M" if recent else "%b %e  %Y", ns)
    if style.startswith("+"):
        return strftime(style[1:], ns)
    known = {"long-iso": "%Y-%m-%d %H:%M", "full-iso": "%Y-%m-%d %H:%M:%S.%N +0000"}
    if style not in known:
        raise Unsupported(f"ls --time-style={style}")
    return strftime(known[style], ns)


# ---- stat, file


def stat(call: Call) -> int:
    found = options(call, "c:Lf", {"format": "c:", "printf": "printf:", "dereference": "L"})
    form = found.value("c") if found.value("c") is not None else found.value("printf")
    if form is None or found.has("f"):
        raise Unsupported("stat without -c")
    status = 0
    for path in found.rest:
        try:
            node = call.node(path, follow=found.has("L"))
        except TreeFault as fault:
            call.error(f"cannot statx '{path}': {fault}")
            status = 1
            continue
        made = _formatted(call, form, path, node)
        if found.has("printf"):
            from veracast.agents.shell.formats import escaped

            call.out(escaped(made)[0])
        else:
            call.line(made)
    return status


def _formatted(call: Call, form: str, path: str, node: Node) -> str:
    def time(ns: int, seconds: bool) -> str:
        return str(ns // 1_000_000_000) if seconds else strftime("%Y-%m-%d %H:%M:%S.%N +0000", ns)

    kind = {"d": "directory", "l": "symbolic link", "c": "character special file"}.get(letter(node), "regular file" if size_of(node) else "regular empty file")  # fmt: skip
    makers: dict[str, Callable[[], str]] = {
        "n": lambda: path, "N": lambda: f"'{path}'" + (f" -> '{node.target}'" if isinstance(node, Link) else ""), "s": lambda: str(size_of(node)),
        "a": lambda: f"{node.mode:o}", "A": lambda: permissions(node), "U": lambda: node.owner, "G": lambda: node.group, "F": lambda: kind,
        "u": lambda: str(user_id(call.tree, node.owner)), "g": lambda: str(group_id(call.tree, node.group)), "h": lambda: str(links_of(node)),
        "i": lambda: str(node.inode), "b": lambda: str(blocks_kb(node) * 2), "B": lambda: "512", "y": lambda: time(node.mtime_ns, False),
        "Y": lambda: time(node.mtime_ns, True), "x": lambda: time(node.atime_ns, False), "X": lambda: time(node.atime_ns, True),
        "z": lambda: time(node.ctime_ns, False), "Z": lambda: time(node.ctime_ns, True), "%": lambda: "%",
    }  # fmt: skip

    def one(match: re.Match[str]) -> str:
        if match[1] not in makers:
            raise Unsupported(f"stat %{match[1]}")
        return makers[match[1]]()

    return re.sub(r"%(.)", one, form)


def file(call: Call) -> int:
    found = options(call, "b", {"brief": "b"})
    status = 0
    for path in found.rest:
        try:
            node = call.node(path, follow=False)
        except TreeFault:
            call.line(f"{path}: cannot open `{path}' (No such file or directory)")
            continue
        if isinstance(node, Directory):
            kind = "directory"
        elif isinstance(node, File) and not node.size:
            kind = "empty"
        elif isinstance(node, File) and re.fullmatch(rb"[\t\n\x20-\x7e]+", node.content()) and not node.content().startswith((b"#!", b"<", b"{", b"[")):  # fmt: skip
            kind = "ASCII text" if node.content().endswith(b"\n") else "ASCII text, with no line terminators"
        else:
            raise Unsupported("file of other than plain text")
        call.line(kind if found.has("b") else f"{path}: {kind}")
    return status


# ---- du


def du(call: Call) -> int:
    found = options(call, "abchksmSd:x", {"all": "a", "bytes": "b", "total": "c", "human-readable": "h", "summarize": "s", "max-depth": "d:", "apparent-size": "apparent-size"})  # fmt: skip
    deepest = 0 if found.has("s") else int(found.value("d") or 0) if found.has("d") else None
    if found.has("S", "m"):
        raise Unsupported(f"du -{found.last('Sm')}")
    status, total, seen = 0, 0, set[int]()
    for path in found.rest or ["."]:
        try:
            node = call.node(path, follow=path.endswith("/"))
        except TreeFault as fault:
            call.error(f"cannot access '{path}': {fault}")
            status = 1
            continue
        total += _usage(call, found, path, node, 0, deepest, seen)
    if found.has("c"):
        call.line(f"{_shown_usage(found, total)}\ttotal")
    return status


def _usage(call: Call, found: Options, path: str, node: Node, depth: int, deepest: int | None, seen: set[int]) -> int:
    """Bytes of a node and all below it, printed on the way as asked."""
    call.shell.meter.step()
    if node.links > 1 and not isinstance(node, Directory):
        if node.inode in seen:
            return 0
        seen.add(node.inode)
    apparent = found.has("b", "apparent-size")
    total = size_of(node) if apparent else blocks_kb(node) * 1024
    if isinstance(node, Directory):
        for name in sorted(node.children):
            total += _usage(call, found, f"{path.rstrip('/')}/{name}", node.children[name], depth + 1, deepest, seen)
    listed = isinstance(node, Directory) or found.has("a") or depth == 0
    if listed and (deepest is None or depth <= deepest):
        call.line(f"{_shown_usage(found, total)}\t{path}")
    return total


def _shown_usage(found: Options, count: int) -> str:
    if found.has("h"):
        return human(count)
    return str(count if found.has("b") else -(-count // 1024))


# ---- paths as text


def basename(call: Call) -> int:
    found = options(call, "as:", {"suffix": "s:", "multiple": "a"})
    if not found.rest:
        raise CommandFault("missing operand")
    several = found.has("a", "s")
    suffix = found.value("s") or (found.rest[1] if len(found.rest) == 2 and not several else "")
    for path in found.rest if several else found.rest[:1]:
        name = path.rstrip("/").rpartition("/")[2] or ("/" if path.startswith("/") else "")
        call.line(name[: -len(suffix)] if suffix and name.endswith(suffix) and name != suffix else name)
    return 0


def dirname(call: Call) -> int:
    found = options(call, "")
    if not found.rest:
        raise CommandFault("missing operand")
    for path in found.rest:
        head, slash, _ = path.rstrip("/").rpartition("/")
        call.line(head.rstrip("/") or ("/" if slash or path.startswith("/") else "."))
    return 0


def realpath(call: Call) -> int:
    found = options(call, "em", {"canonicalize-existing": "e"})
    status = 0
    for path in found.rest:
        try:
            call.line(_canonical(call, path, strict=found.has("e")))
        except TreeFault as fault:
            call.error(f"{path}: {fault}")
            status = 1
    return status


def _canonical(call: Call, path: str, *, strict: bool = False) -> str:
    """The real path; its last part need not be there."""
    try:
        return call.tree.real(path, call.cwd)
    except TreeFault:
        if strict:
            raise
        head, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            raise
        return call.tree.real(head or ("/" if path.startswith("/") else "."), call.cwd).rstrip("/") + f"/{name}"


def readlink(call: Call) -> int:
    found = options(call, "fenm", {"canonicalize": "f"})
    if found.has("m"):
        raise Unsupported("readlink -m")
    status = 0
    for path in found.rest:
        try:
            node = call.node(path, follow=False)
            if found.has("f", "e"):
                call.line(_canonical(call, path, strict=found.has("e")))
            elif isinstance(node, Link):
                call.line(node.target)
            else:
                status = 1
        except TreeFault:
            if found.has("f"):
                call.line(_canonical(call, path))
            else:
                status = 1
    return status
