"""Changing the tree: mkdir rmdir touch cp mv rm ln chmod chown chgrp truncate fallocate dd mktemp.

root may do anything. cp -p and -a keep times; mv -n -f -v, rm -r -f -v -d, ln -s -f -n. Flagged: -i, backups, sparse files of dd, rsync.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.modes import parsed_mode
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.dates import parse_date
from veracast.agents.shell.faults import (  # fmt: skip
    E_EXIST,
    E_ISDIR,
    E_NOENT,
    E_NOTDIR,
    CommandFault,
    LimitReached,
    TreeFault,
    Unsupported,
)
from veracast.agents.shell.people import group_named, user_named
from veracast.agents.shell.streams import raw
from veracast.agents.shell.tree import Device, Directory, File, Link, Node

_UNITS = {"c": 1, "w": 2, "b": 512, "K": 1024, "k": 1024, "KB": 1000, "kB": 1000, "KiB": 1024, "M": 1024**2, "MB": 1000**2, "MiB": 1024**2, "m": 1024**2, "G": 1024**3, "g": 1024**3, "GB": 1000**3, "GiB": 1024**3, "T": 1024**4, "": 1}  # fmt: skip
_MOST = 1 << 44


def mkdir(call: Call) -> int:
    found = options(call, "pvm:", {"parents": "p", "verbose": "v", "mode": "m:"})
    if not found.rest:
        raise CommandFault("missing operand")
    status = 0
    for path in found.rest:
        try:
            if found.has("p"):
                call.tree.make_directories(path, call.cwd)
            else:
                call.tree.make_directory(path.rstrip("/") or path, call.cwd)
            if found.has("m"):
                call.node(path).mode = _mode(found.value("m") or "", 0o777)
            if found.has("v"):
                call.line(f"mkdir: created directory '{path}'")
        except TreeFault as fault:
            call.error(f"cannot create directory \u2018{path}\u2019: {fault}")
            status = 1
    return status


def _mode(word: str, before: int, *, directory: bool = False) -> int:
    mode = parsed_mode(word, before, directory=directory)
    if mode is None:
        raise CommandFault(f"invalid mode: \u2018{word}\u2019")
    return mode


def rmdir(call: Call) -> int:
    found = options(call, "pv", {"parents": "p", "ignore-fail-on-non-empty": "ignore-fail-on-non-empty"})
    status = 0
    for path in found.rest:
        try:
            while path:
                if not isinstance(call.node(path, follow=False), Directory):
                    raise TreeFault(E_NOTDIR)
                call.tree.remove(path, call.cwd)
                path = path.rstrip("/").rpartition("/")[0] if found.has("p") else ""
        except TreeFault as fault:
            call.error(f"failed to remove '{path}': {fault}")
            status = int(not found.has("ignore-fail-on-non-empty"))
    return status


def touch(call: Call) -> int:
    found = options(call, "acmd:t:r:h", {"date": "d:", "no-create": "c", "reference": "r:", "time": "time:"})
    if not found.rest:
        raise CommandFault("missing file operand")
    given = _moment(call, found)
    change = found.last("am") if found.has("a") != found.has("m") else ""
    if found.has("time"):
        change = {"access": "a", "atime": "a", "use": "a"}.get(found.value("time") or "", "m")
    status = 0
    for path in found.rest:
        try:
            if not call.tree.exists(path, call.cwd, follow=not found.has("h")):
                if found.has("c"):
                    continue
                call.tree.open_file(path, call.cwd)
            node, moment = call.node(path, follow=not found.has("h")), given if given is not None else call.clock.tick()
            if change != "a":
                node.mtime_ns = moment
            if change != "m":
                node.atime_ns = moment
            node.ctime_ns = call.clock.tick()
        except TreeFault as fault:
            call.error(f"cannot touch '{path}': {fault}")
            status = 1
    return status


def _moment(call: Call, found: Options) -> int | None:
    if found.value("r") is not None:
        moment = call.node(found.value("r") or "").mtime_ns
        return parse_date(found.value("d") or "", moment) if found.value("d") else moment
    if found.value("d") is not None:
        try:
            return parse_date(found.value("d") or "", call.clock.now_ns)
        except CommandFault:
            raise CommandFault(f"invalid date format \u2018{found.value('d')}\u2019") from None
    stamp = found.value("t")
    if stamp is None:
        return None
    match = re.fullmatch(r"(\d{2}|\d{4})?(\d{2})(\d{2})(\d{2})(\d{2})(?:\.(\d{2}))?", stamp)
    if not match:
        raise CommandFault(f"invalid date format \u2018{stamp}\u2019")
    year = match[1] or "2024"
    year = year if len(year) == 4 else ("20" if int(year) < 69 else "19") + year
    try:
        return parse_date(f"{year}-{match[2]}-{match[3]} {match[4]}:{match[5]}:{match[6] or '00'}", call.clock.now_ns)
    except CommandFault:
        raise CommandFault(f"invalid date format \u2018{stamp}\u2019") from None


# ---- copying, moving, removing


def _targets(call: Call, found: Options) -> list[tuple[str, str]]:
    """Pairs of source and full target, the last operand (or -t) being a directory or the one target."""
    into = found.value("t")
    sources = list(found.rest)
    if into is None:
        if len(sources) < 2:
            raise CommandFault("missing file operand" if not sources else f"missing destination file operand after '{sources[0]}'")  # fmt: skip
        into = sources.pop()
    folder = call.tree.exists(into, call.cwd) and isinstance(call.node(into), Directory) and not found.has("T")
    if not folder and (len(sources) > 1 or found.value("t") is not None):
        raise CommandFault(f"target '{into}' is not a directory" if call.tree.exists(into, call.cwd) else f"target '{into}': {E_NOENT}")  # fmt: skip
    if not folder and into.endswith("/") and not isinstance(call.node(sources[0], follow=False), Directory):
        raise CommandFault(f"cannot create regular file '{into}': {E_NOTDIR}")
    stem = into if into.endswith("/") else into + "/"
    return [
        (source, stem + (source.rstrip("/").rpartition("/")[2] or source) if folder else into) for source in sources
    ]


def cp(call: Call) -> int:
    found = options(call, "rRapfnvt:TdLPus", {"recursive": "r", "archive": "a", "preserve": "p?", "force": "f", "no-clobber": "n", "verbose": "v", "target-directory": "t:", "parents": "parents", "update": "u"})  # fmt: skip
    if found.has("parents", "u", "s"):
        raise Unsupported("cp --parents, -u or -s")
    status = 0
    for source, target in _targets(call, found):
        try:
            node = call.node(source, follow=not found.has("a", "d", "P") and not (found.has("r", "R") and not found.has("L")))  # fmt: skip
            if isinstance(node, Directory) and not found.has("r", "R", "a"):
                call.error(f"-r not specified; omitting directory '{source}'")
                status = 1
                continue
            if found.has("n") and call.tree.exists(target, call.cwd):
                continue
            if call.tree.exists(target, call.cwd) and call.node(target) is node:
                call.error(f"'{source}' and '{target}' are the same file")
                status = 1
                continue
            inside = f"{call.tree.real(target.rstrip('/').rpartition('/')[0] or ('/' if target.startswith('/') else '.'), call.cwd)}/"  # fmt: skip
            if isinstance(node, Directory) and inside.startswith(call.tree.real(source, call.cwd) + "/"):
                call.error(f"cannot copy a directory, '{source}', into itself, '{target}'")
                status = 1
                continue
            _copy(call, node, target, keep=found.has("p", "a"))
            if found.has("v"):
                call.line(f"'{source}' -> '{target}'")
        except TreeFault as fault:
            call.error(f"cannot stat '{source}': {fault}" if not call.tree.exists(source, call.cwd, follow=False) else f"cannot create regular file '{target}': {fault}")  # fmt: skip
            status = 1
    return status


def _copy(call: Call, node: Node, target: str, *, keep: bool) -> None:
    call.shell.meter.step()
    tree = call.tree
    made: Node
    if isinstance(node, Directory):
        if not tree.exists(target, call.cwd):
            tree.make_directory(target.rstrip("/"), call.cwd, mode=node.mode)
        made = tree.directory(target, call.cwd)
        for name in list(node.children):
            _copy(call, node.children[name], f"{target.rstrip('/')}/{name}", keep=keep)
    elif isinstance(node, Link):
        folder, name = tree.place(target, call.cwd)
        made = Link(0o777, call.clock.tick(), target=node.target)
        tree.put(folder, name, made)
    else:
        existed = tree.exists(target, call.cwd)
        opened = tree.open_file(target, call.cwd)
        if isinstance(opened, Device):
            return
        tree.truncate(opened, 0)
        if isinstance(node, File):
            for part in node.parts:
                tree.append(opened, part)
            opened.zeros, opened.sparse = node.zeros, node.sparse
        if not existed or keep:
            opened.mode = node.mode & (0o7777 if keep else 0o777)
        made = opened
    if keep:
        made.mtime_ns, made.atime_ns, made.owner, made.group, made.mode = node.mtime_ns, node.atime_ns, node.owner, node.group, node.mode  # fmt: skip


def mv(call: Call) -> int:
    found = options(call, "fnvt:Tu", {"force": "f", "no-clobber": "n", "verbose": "v", "target-directory": "t:", "update": "u"})  # fmt: skip
    if found.has("u"):
        raise Unsupported("mv -u")
    status = 0
    for source, target in _targets(call, found):
        try:
            if found.has("n") and call.tree.exists(target, call.cwd, follow=False):
                continue
            _move(call, source, target)
            if found.has("v"):
                call.line(f"renamed '{source}' -> '{target}'")
        except TreeFault as fault:
            missing = not call.tree.exists(source, call.cwd, follow=False)
            call.error(
                f"cannot stat '{source}': {fault}" if missing else f"cannot move '{source}' to '{target}': {fault}"
            )
            status = 1
    return status


def _move(call: Call, source: str, target: str) -> None:
    tree = call.tree
    node = call.node(source, follow=False)
    old_folder, old_name = tree.place(source, call.cwd)
    folder, name = tree.place(target.rstrip("/") or target, call.cwd)
    there = folder.children.get(name)
    if there is node:
        raise CommandFault(f"'{source}' and '{target}' are the same file")
    if isinstance(there, Directory) and not isinstance(node, Directory):
        raise CommandFault(f"cannot overwrite directory '{target}' with non-directory")
    if isinstance(node, Directory):
        if there is not None and not isinstance(there, Directory):
            raise CommandFault(f"cannot overwrite non-directory '{target}' with directory '{source}'")
        if isinstance(there, Directory) and there.children:
            raise TreeFault("Directory not empty")
        here = tree.real(target.rstrip("/").rpartition("/")[0] or ("/" if target.startswith("/") else "."), call.cwd)
        if f"{here}/".startswith(f"{tree.real(source, call.cwd)}/"):
            raise CommandFault(f"cannot move '{source}' to a subdirectory of itself, '{target}'")
    del old_folder.children[old_name]
    old_folder.mtime_ns = call.clock.tick()
    tree.put(folder, name, node)


def rm(call: Call) -> int:
    found = options(call, "rRfvdI", {"recursive": "r", "force": "f", "verbose": "v", "dir": "d", "no-preserve-root": "no-preserve-root"})  # fmt: skip
    if not found.rest and not found.has("f"):
        raise CommandFault("missing operand")
    status = 0
    for path in found.rest:
        try:
            node = call.node(path, follow=False)
            if path.rstrip("/").rpartition("/")[2] in (".", "..") or not path.strip("/"):
                call.error(f"refusing to remove '.' or '..' directory: skipping '{path}'" if path.strip("/") else "it is dangerous to operate recursively on '/'")  # fmt: skip
                status = 1
                continue
            if isinstance(node, Directory) and not found.has("r", "R") and not (found.has("d") and not node.children):
                call.error(f"cannot remove '{path}': {E_ISDIR}")
                status = 1
                continue
            call.tree.remove(path, call.cwd, tree=True)
            if found.has("v"):
                call.line(f"removed {'directory ' if isinstance(node, Directory) else ''}'{path}'")
        except TreeFault as fault:
            if not found.has("f") or str(fault) not in (E_NOENT, E_NOTDIR):
                call.error(f"cannot remove '{path}': {fault}")
                status = 1
    return status


def ln(call: Call) -> int:
    found = options(call, "sfnvrTt:", {"symbolic": "s", "force": "f", "no-dereference": "n", "verbose": "v"})
    if found.has("r"):
        raise Unsupported("ln -r")
    rest = found.rest if len(found.rest) > 1 or found.value("t") else [*found.rest, "."]
    into = found.value("t") or rest[-1]
    folder = call.tree.exists(into, call.cwd) and isinstance(call.node(into, follow=not found.has("n")), Directory)
    status = 0
    for source in rest if found.value("t") else rest[:-1]:
        target = f"{into.rstrip('/')}/{source.rstrip('/').rpartition('/')[2]}" if folder else into
        try:
            if call.tree.exists(target, call.cwd, follow=False):
                if not found.has("f"):
                    raise TreeFault(E_EXIST)
                call.tree.remove(target, call.cwd)
            where, name = call.tree.place(target, call.cwd)
            if found.has("s"):
                call.tree.put(where, name, Link(0o777, call.clock.tick(), target=source))
            else:
                node = call.node(source, follow=False)
                if isinstance(node, Directory):
                    raise CommandFault(f"{source}: hard link not allowed for directory")
                node.links += 1
                call.tree.put(where, name, node)
        except TreeFault as fault:
            call.error(f"failed to create {'symbolic' if found.has('s') else 'hard'} link '{target}': {fault}")
            status = 1
    return status


# ---- modes and owners


def chmod(call: Call) -> int:
    mode = None
    if call.args and re.fullmatch(r"-[rwxst]+(,.*)?", call.args[0]):  # `chmod -x file` takes a bit away
        mode = call.args.pop(0)
    found = options(call, "Rvf", {"recursive": "R", "reference": "reference:"}, in_order=mode is None)
    rest = list(found.rest)
    if found.value("reference") is not None:
        mode = f"{call.node(found.value('reference') or '').mode:o}"
    elif mode is None:
        if len(rest) < 2:
            raise CommandFault("missing operand")
        mode = rest.pop(0)
    while rest and rest[0] in ("-R", "-v", "--recursive"):
        found.given.append(({"-R": "R", "-v": "v"}.get(rest[0], "R"), ""))
        rest.pop(0)
    _mode(mode, 0)
    word = mode

    def change(node: Node) -> None:
        node.mode = _mode(word, node.mode, directory=isinstance(node, Directory))

    return _for_all(call, found, rest, change)


def _for_all(call: Call, found: Options, paths: list[str], change: Callable[[Node], None]) -> int:
    """Changes nodes, and with -R all below them; links are not followed below."""
    status = 0
    for path in paths:
        try:
            nodes = [call.node(path)]
            if found.has("R"):
                nodes = [node for _, node in call.tree.below(path, call.cwd) if not isinstance(node, Link)]
        except TreeFault as fault:
            call.error(f"cannot access '{path}': {fault}")
            status = 1
            continue
        for node in nodes:
            call.shell.meter.step()
            change(node)
            node.ctime_ns = call.clock.tick()
    return status


def chown(call: Call) -> int:
    found = options(call, "Rvfh", {"recursive": "R", "reference": "reference:"})
    if found.has("reference") or len(found.rest) < 2:
        raise CommandFault("missing operand") if not found.has("reference") else Unsupported("chown --reference")
    spec, *paths = found.rest
    if call.name == "chgrp":
        spec = f":{spec}"
    owner, colon, group = spec.partition(":") if ":" in spec else spec.partition(".")
    user, members = user_named(call.tree, owner), group_named(call.tree, group)
    if (owner and user is None and not owner.isdigit()) or (group and members is None and not group.isdigit()):
        raise CommandFault(f"invalid {'group' if call.name == 'chgrp' else 'user'}: \u2018{spec.lstrip(':')}\u2019")
    if owner and colon and not group and user is not None:
        members = group_named(call.tree, str(user.group))

    def change(node: Node) -> None:
        node.owner = (user.name if user else owner) if owner else node.owner
        node.group = members.name if members else group or node.group

    return _for_all(call, found, paths, change)


# ---- sizes


def _bytes(word: str) -> int:
    match = re.fullmatch(r"(\d+)([A-Za-z]*)", word)
    if not match or match[2] not in _UNITS:
        raise CommandFault(f"Invalid number: \u2018{word}\u2019")
    found = int(match[1]) * _UNITS[match[2]]
    if found > _MOST:
        raise LimitReached(f"file of more than {_MOST} bytes")
    return found


def truncate(call: Call) -> int:
    found = options(call, "s:c", {"size": "s:", "no-create": "c"})
    word = found.value("s") or ""
    if not word or word[0] in "<>/%":
        raise Unsupported("truncate without -s or relative to blocks")
    for path in found.rest:
        if found.has("c") and not call.tree.exists(path, call.cwd):
            continue
        node = call.tree.open_file(path, call.cwd)
        if isinstance(node, File):
            change = _bytes(word.lstrip("+-"))
            size = node.size + change if word[0] == "+" else max(0, node.size - change) if word[0] == "-" else change
            call.tree.truncate(node, size)
    return 0


def fallocate(call: Call) -> int:
    found = options(call, "l:", {"length": "l:"})
    for path in found.rest:
        node = call.tree.open_file(path, call.cwd)
        size = _bytes(found.value("l") or "")
        if isinstance(node, File) and size > node.size:
            call.tree.truncate(node, size)
            node.sparse = False
    return 0


def dd(call: Call) -> int:
    """if= of= bs= count= skip= status=, and seek= into an empty file; what it tells about speed is left out."""
    given = dict(word.partition("=")[::2] for word in call.args)
    known = {"if", "of", "bs", "count", "status", "skip", "seek", "conv"}
    if unknown := set(given) - known:
        raise Unsupported(f"dd {sorted(unknown)[0]}=")
    if given.get("conv", "notrunc") not in ("fsync", "notrunc") or (given.get("conv") == "notrunc" and "of" in given):
        raise Unsupported("dd conv=")
    unit = _bytes(given.get("bs", "512"))
    count = _bytes(given["count"]) * unit if "count" in given else None
    source = call.source(given["if"]) if "if" in given else call.stdin
    if source.zeros:
        _zeros(call, given, unit, count)
        return 0
    data = source.read(count) if source.noise else source.read()[_bytes(given.get("skip", "0")) * unit :][:count]
    if "seek" in given:
        raise Unsupported("dd seek=")
    if "of" in given:
        call.tree.write(given["of"], data, call.cwd)
    else:
        call.out(data)
    if given.get("status") not in ("none", "noxfer"):
        full, rest = divmod(len(data), unit)
        call.stderr.write(raw(f"{full}+{int(rest > 0)} records in\n{full}+{int(rest > 0)} records out\n{len(data)} bytes copied\n"))  # fmt: skip
    return 0


def _zeros(call: Call, given: dict[str, str], unit: int, count: int | None) -> None:
    """Zeros into a file take no memory."""
    if count is None or count > _MOST or "of" not in given:
        if count is None or count > 1_000_000:
            raise LimitReached("endless output")
        call.out(bytes(count))
        return
    node = call.tree.open_file(given["of"], call.cwd)
    seek = _bytes(given.get("seek", "0")) * unit
    if isinstance(node, File):
        call.tree.truncate(node, 0)
        call.tree.truncate(node, seek + count)
        node.sparse = not count
    if given.get("status") != "none":
        blocks = count // unit
        call.stderr.write(raw(f"{blocks}+0 records in\n{blocks}+0 records out\n{count} bytes copied\n"))


def mktemp(call: Call) -> int:
    """Names are counted, not drawn, so that a session is the same each time."""
    found = options(call, "dp:tu", {"directory": "d", "tmpdir": "p?", "suffix": "suffix:"})
    if found.has("u", "suffix"):
        raise Unsupported("mktemp -u or --suffix")
    template = found.rest[0] if found.rest else "tmp.XXXXXXXXXX"
    match = re.fullmatch(r"(.*?)(X{3,})(\.[^/X]*)?", template)
    if not match:
        raise CommandFault(f"too few X's in template \u2018{template}\u2019")
    stem = (found.value("p") or "/tmp") + "/" if not found.rest or found.has("p", "t") else ""  # noqa: S108
    path = f"{stem}{match[1]}{call.tree.made:0{len(match[2])}d}{match[3] or ''}"
    if found.has("d"):
        call.tree.make_directory(path, call.cwd, mode=0o700)
    else:
        call.tree.open_file(path, call.cwd).mode = 0o600
    call.line(path)
    return 0
