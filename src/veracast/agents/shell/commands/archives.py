"""gzip, gunzip and zcat of single files. Flagged: tar, zip, bzip2, xz, levels other than -1 to -9."""

from __future__ import annotations

import zlib

from veracast.agents.shell.call import Call
from veracast.agents.shell.commands.options import options
from veracast.agents.shell.faults import CommandFault, LimitReached, TreeFault
from veracast.agents.shell.tree import Directory

_LONG = {"stdout": "c", "decompress": "d", "keep": "k", "force": "f", "to-stdout": "c"}


def packed(data: bytes) -> bytes:
    """A gzip member without name and time, so that it is the same each time."""
    maker = zlib.compressobj(6, zlib.DEFLATED, 31)
    return maker.compress(data) + maker.flush()


def unpacked(data: bytes, most: int) -> bytes:
    """All members one after the other."""
    found = b""
    while data:
        reader = zlib.decompressobj(31)
        try:
            found += reader.decompress(data, most)
        except zlib.error:
            raise CommandFault("not in gzip format") from None
        if reader.unconsumed_tail or len(found) > most:
            raise LimitReached(f"unpacked to more than {most} bytes")
        if not reader.eof:
            raise CommandFault("unexpected end of file")
        data = reader.unused_data
    return found


def gzip(call: Call) -> int:
    found = options(call, "cdkf123456789nqv", _LONG)
    back = found.has("d") or call.name in ("gunzip", "zcat")
    most = call.shell.limits.file_bytes
    if not found.rest or found.rest == ["-"]:
        data = call.stdin.read()
        call.out(unpacked(data, most) if back else packed(data))
        return 0
    status = 0
    for path in found.rest:
        try:
            _one(call, path, back=back, shows=found.has("c") or call.name == "zcat", keeps=found.has("k"), most=most)
        except (CommandFault, TreeFault) as fault:
            call.stderr.write(f"gzip: {path}: {fault}\n".encode("utf-8", "surrogateescape"))
            status = 1
    return status


def _one(call: Call, path: str, *, back: bool, shows: bool, keeps: bool, most: int) -> None:
    if back and not call.tree.exists(path, call.cwd) and call.tree.exists(path + ".gz", call.cwd):
        path += ".gz"
    node = call.node(path)
    if isinstance(node, Directory):
        raise CommandFault("is a directory -- ignored")
    data = call.read(path)
    if shows:
        call.out(unpacked(data, most) if back else packed(data))
        return
    if back != path.endswith(".gz"):
        raise CommandFault("unknown suffix -- ignored" if back else "already has .gz suffix -- unchanged")
    target = path.removesuffix(".gz") if back else path + ".gz"
    if call.tree.exists(target, call.cwd):
        raise CommandFault(f"{target} already exists")
    call.tree.write(target, unpacked(data, most) if back else packed(data), call.cwd)
    made = call.node(target)
    made.mode, made.mtime_ns, made.owner, made.group = node.mode, node.mtime_ns, node.owner, node.group
    if not keeps:
        call.tree.remove(path, call.cwd)
