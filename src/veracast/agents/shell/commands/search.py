"""grep, egrep, fgrep and zgrep.

Modelled: -E -F -G -P -e -f -i -v -w -x -c -l -L -q -s -o -n -H -h -r -R -m -A -B -C --include --exclude --exclude-dir --color(ignored) -a.
A file that holds NUL bytes is answered as a binary file.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import regex

from veracast.agents.shell import globs
from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import Options, options
from veracast.agents.shell.faults import E_ISDIR, CommandFault, TreeFault
from veracast.agents.shell.posix_regex import Dialect, Pattern, compile_pattern
from veracast.agents.shell.streams import lines
from veracast.agents.shell.tree import Directory, File

_LONG = {"extended-regexp": "E", "fixed-strings": "F", "basic-regexp": "G", "perl-regexp": "P", "regexp": "e:", "file": "f:", "ignore-case": "i", "invert-match": "v", "word-regexp": "w", "line-regexp": "x", "count": "c", "files-with-matches": "l", "files-without-match": "L", "quiet": "q", "silent": "q", "no-messages": "s", "only-matching": "o", "line-number": "n", "with-filename": "H", "no-filename": "h", "recursive": "r", "dereference-recursive": "R", "max-count": "m:", "after-context": "A:", "before-context": "B:", "context": "C:", "include": "include:", "exclude": "exclude:", "exclude-dir": "exclude-dir:", "color": "color?", "colour": "color?", "text": "a"}  # fmt: skip


@dataclass
class _Search:
    call: Call
    found: Options
    patterns: list[Pattern]
    names: bool  # each line has its file's name before it
    matched: bool = False
    failed: bool = False


def grep(call: Call) -> int:
    if call.args and (number := re.fullmatch(r"-(\d+)", call.args[0])):
        call.args[0:1] = ["-C", number[1]]
    found = options(call, "EFGPe:f:ivwxyclLqsonHhrRm:A:B:C:aI", _LONG)
    operands = list(found.rest)
    texts = [line for value in found.all("e") for line in value.split("\n")]
    for path in found.all("f"):
        texts += lines(call.read(path))
    if not found.has("e", "f"):
        if not operands:
            raise CommandFault("usage: grep [OPTION]... PATTERNS [FILE]...", status=2)
        texts = operands.pop(0).split("\n")
    recursive = found.has("r", "R")
    paths = operands or (["."] if recursive else ["-"])
    names = found.has("H") or (not found.has("h") and (len(paths) > 1 or (recursive and _any_directory(call, paths))))
    if found.last("Hh") == "h":
        names = False
    search = _Search(call, found, [_pattern(call, text, found) for text in texts], names)
    for path in paths:
        for name, data in _files(search, path, recursive, bare=not operands and recursive):
            _one_file(search, name, data)
            if search.matched and found.has("q"):
                return 0
    return 2 if search.failed and not (search.matched and found.has("q")) else int(not search.matched)


def _any_directory(call: Call, paths: list[str]) -> bool:
    return any(call.tree.exists(path, call.cwd) and isinstance(call.node(path), Directory) for path in paths)


def _pattern(call: Call, text: str, found: Options) -> Pattern:
    kind = {"egrep": "E", "fgrep": "F"}.get(call.name, found.last("EFGP"))
    dialect: Dialect = "extended" if kind == "E" else "perl" if kind == "P" else "basic"
    if kind == "F":
        text = re.sub(r"([.*\[\]^$\\])", r"\\\1", text)
    around = "line" if found.has("x") else "word" if found.has("w") else ""
    return compile_pattern(text, dialect, ignore_case=found.has("i", "y"), around=around)


def _files(search: _Search, path: str, recursive: bool, *, bare: bool) -> Iterator[tuple[str, bytes]]:
    """Names and contents of what an operand stands for."""
    call, found = search.call, search.found
    if path == "-":
        yield "(standard input)", _unpacked(call, call.stdin.read())
        return
    try:
        node = call.node(path)
        if not isinstance(node, Directory):
            if _wanted(path, found):
                yield path, _unpacked(call, call.read(path))
            return
        if not recursive:
            if not found.has("s"):
                call.error(f"{path}: {E_ISDIR}")
            search.failed = True
            return
    except TreeFault as fault:
        if not found.has("s"):
            call.error(f"{path}: {fault}")
        search.failed = True
        return
    yield from _below(search, path, node, bare=bare)


def _below(search: _Search, path: str, node: Directory, *, bare: bool) -> Iterator[tuple[str, bytes]]:
    call, found = search.call, search.found
    for name in sorted(node.children):
        call.shell.meter.step()
        child, where = node.children[name], name if bare else f"{path.rstrip('/')}/{name}"
        if found.has("R") and not isinstance(child, Directory | File):
            try:
                child = call.node(where)
            except TreeFault:
                continue
        if isinstance(child, Directory):
            if not any(globs.matches(pattern, name) for pattern in found.all("exclude-dir")):
                yield from _below(search, where, child, bare=False)
        elif isinstance(child, File) and _wanted(name, found):
            yield where, child.content(call.shell.limits)


def _wanted(path: str, found: Options) -> bool:
    """By --include and --exclude; the last option that fits decides, and what only includes leaves out the rest."""
    name = path.rpartition("/")[2]
    verdict = None
    given = [(option, value) for option, value in found.given if option in ("include", "exclude")]
    for option, value in given:
        if globs.matches(value, name):
            verdict = option == "include"
    return verdict if verdict is not None else not any(option == "include" for option, _ in given)


def _unpacked(call: Call, data: bytes) -> bytes:
    """zgrep looks into what gzip packed."""
    if call.name != "zgrep" or not data.startswith(b"\x1f\x8b"):
        return data
    return zlib.decompressobj(31).decompress(data, call.shell.limits.file_bytes)


def _one_file(search: _Search, name: str, data: bytes) -> None:
    call, found = search.call, search.found
    rows = lines(data)
    call.shell.meter.step(1 + len(rows) // 100)
    most = int(found.value("m")) if found.value("m") is not None else None  # type: ignore[arg-type]
    hits: list[int] = []
    for n, row in enumerate(rows):
        if most is not None and len(hits) >= most:
            break
        if (_first(search.patterns, row) is not None) != found.has("v"):
            hits.append(n)
            if found.has("q", "l", "L"):
                break
    search.matched |= bool(hits)
    if found.has("q"):
        return
    if found.has("l", "L"):
        if bool(hits) == (found.last("lL") == "l"):
            call.line(name)
        return
    if found.has("c"):
        call.line(f"{name}:{len(hits)}" if search.names else str(len(hits)))
        return
    if b"\0" in data and not found.has("a"):
        if hits and not found.has("I"):
            call.line(f"grep: {name}: binary file matches")
        return
    _show(search, name, rows, hits)


def _first(patterns: list[Pattern], row: str, at: int = 0) -> regex.Match[str] | None:
    """The leftmost match of any pattern, the longest where several begin there."""
    matches = [match for pattern in patterns if (match := pattern.search(row, at)) is not None]
    return min(matches, key=lambda match: (match.start(), -match.end()), default=None)


def _show(search: _Search, name: str, rows: list[str], hits: list[int]) -> None:
    found, chosen = search.found, set(hits)
    before, after = (int(found.value(letter) or found.value("C") or 0) for letter in "BA")
    head = _heads(search, name)
    if found.has("o"):
        if not found.has("v"):
            for n in hits:
                for piece in _pieces(search.patterns, rows[n]):
                    search.call.line(head(n, ":") + piece)
        return
    shown = sorted({k for n in hits for k in range(max(0, n - before), min(len(rows), n + after + 1))}) if before or after else hits  # fmt: skip
    last = -1
    for n in shown:
        if (before or after) and last >= 0 and n > last + 1:
            search.call.line("--")
        search.call.line(head(n, ":" if n in chosen else "-") + rows[n])
        last = n


def _heads(search: _Search, name: str) -> Callable[[int, str], str]:
    numbered = search.found.has("n")
    return lambda n, mark: (f"{name}{mark}" if search.names else "") + (f"{n + 1}{mark}" if numbered else "")


def _pieces(patterns: list[Pattern], row: str) -> Iterator[str]:
    at = 0
    while at <= len(row):
        match = _first(patterns, row, at)
        if match is None:
            return
        if match.group():
            yield match.group()
            at = match.end()
        else:
            at = max(at, match.end()) + 1
