"""The virtual tree: directories, files, links and devices, with modes, owners and times. There is no other file system.

Modelled: hard and symbolic links, modes (root may do anything, as the user of a fresh container may), times in ns of a clock that only the
session moves, sizes (a run of zeros at a file's end takes no memory), blocks of 4 KiB. Not modelled: permission checks of other users,
quotas, extended attributes, mounts. The order of a directory is that of its names, where a real one's is anybody's guess.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from veracast.agents.shell.faults import (  # fmt: skip
    E_EXIST,
    E_INVAL,
    E_ISDIR,
    E_LOOP,
    E_NAMETOOLONG,
    E_NOENT,
    E_NOTDIR,
    E_NOTEMPTY,
    LimitReached,
    TreeFault,
)
from veracast.agents.shell.limits import DEFAULT, Limits

NOW_NS = 1_709_294_400_000_000_000  # 2024-03-01 12:00:00 UTC, a Friday
BLOCK = 4096
_MAX_NAME, _MAX_LINKS, _MAX_PARTS = 255, 40, 64


class Clock:
    """The session's time. Every writing takes 1 us, so that what was made later is newer; `sleep` moves it on."""

    def __init__(self, now_ns: int = NOW_NS) -> None:
        self.now_ns = now_ns

    def tick(self) -> int:
        self.now_ns += 1_000
        return self.now_ns


@dataclass(slots=True, eq=False)
class Node:
    """Owner and group by name; /etc/passwd and /etc/group hold the numbers."""

    mode: int
    mtime_ns: int
    owner: str = "root"
    group: str = "root"
    atime_ns: int = 0
    ctime_ns: int = 0
    inode: int = 0
    links: int = 1

    def __post_init__(self) -> None:
        self.atime_ns = self.atime_ns or self.mtime_ns
        self.ctime_ns = self.ctime_ns or self.mtime_ns


@dataclass(slots=True, eq=False)
class File(Node):
    """Content in parts that are joined when it is read; then `zeros` more bytes of 0. sparse: no blocks are taken up."""

    parts: list[bytes] = field(default_factory=list)
    stored: int = 0
    zeros: int = 0
    sparse: bool = False

    @property
    def size(self) -> int:
        return self.stored + self.zeros

    def content(self, limits: Limits = DEFAULT) -> bytes:
        if self.zeros and self.size > limits.file_bytes:
            raise LimitReached(f"file of {self.size} bytes, at most {limits.file_bytes} can be read")
        if len(self.parts) > 1:
            self.parts = [b"".join(self.parts)]
        return (self.parts[0] if self.parts else b"") + bytes(self.zeros)


@dataclass(slots=True, eq=False)
class Directory(Node):
    children: dict[str, Node] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Link(Node):
    target: str = ""


@dataclass(slots=True, eq=False)
class Device(Node):
    """kind: null, zero, full, tty, urandom or random."""

    kind: str = "null"


class Tree:
    """Paths are text (bytes that are no UTF-8 as surrogates). A relative path starts at `cwd`, which is absolute."""

    def __init__(self, clock: Clock | None = None, limits: Limits = DEFAULT) -> None:
        self.clock = clock or Clock()
        self.limits = limits
        self.made = 1
        self.bytes = 0
        self.root = Directory(0o755, self.clock.now_ns, inode=2)

    def copy(self) -> Tree:
        """A tree of its own; contents are shared, as bytes never change."""
        other = Tree(Clock(self.clock.now_ns), self.limits)
        other.made, other.bytes = self.made, self.bytes
        other.root = _copied(self.root, {})
        return other

    # ---- finding

    def find(self, path: str, cwd: str = "/", *, follow: bool = True) -> Node:
        """The node at a path; TreeFault as the kernel would say. follow: through a link at its end."""
        return self._walk(path, cwd, follow)[-1][1]

    def exists(self, path: str, cwd: str = "/", *, follow: bool = True) -> bool:
        try:
            self.find(path, cwd, follow=follow)
        except TreeFault:
            return False
        return True

    def real(self, path: str, cwd: str = "/", *, follow: bool = True) -> str:
        """The absolute path without links, `.` and `..`."""
        return "/" + "/".join(name for name, _ in self._walk(path, cwd, follow)[1:])

    def directory(self, path: str, cwd: str = "/") -> Directory:
        node = self.find(path, cwd)
        if not isinstance(node, Directory):
            raise TreeFault(E_NOTDIR)
        return node

    def place(self, path: str, cwd: str = "/") -> tuple[Directory, str]:
        """The directory that a path's last part stands in, and that part; the part itself need not be there."""
        bare = path.rstrip("/")
        head, _, name = bare.rpartition("/")
        if not path:
            raise TreeFault(E_NOENT)
        if name in ("", ".", ".."):
            raise TreeFault(E_EXIST if not name or name == "." else E_INVAL)
        if len(name.encode("utf-8", "surrogateescape")) > _MAX_NAME:
            raise TreeFault(E_NAMETOOLONG)
        return self.directory(head or ("/" if bare.startswith("/") else "."), cwd), name

    def _walk(self, path: str, cwd: str, follow: bool) -> list[tuple[str, Node]]:
        """Names and nodes from the root down to a path."""
        if not path:
            raise TreeFault(E_NOENT)
        if "\0" in path:
            raise TreeFault(E_INVAL)
        todo = [part for part in (path if path.startswith("/") else f"{cwd}/{path}").split("/") if part and part != "."]
        todo.reverse()
        way: list[tuple[str, Node]] = [("", self.root)]
        links, must_be_directory = 0, path.endswith(("/", "/."))
        while todo:
            part, here = todo.pop(), way[-1][1]
            if not isinstance(here, Directory):
                raise TreeFault(E_NOTDIR)
            if part == "..":
                del way[max(1, len(way) - 1) :]
                continue
            child = here.children.get(part)
            if child is None:
                raise TreeFault(E_NAMETOOLONG if len(part) > _MAX_NAME else E_NOENT)
            if isinstance(child, Link) and (todo or follow or must_be_directory):
                links += 1
                if links > _MAX_LINKS:
                    raise TreeFault(E_LOOP)
                todo += [name for name in reversed(child.target.split("/")) if name and name != "."]
                if child.target.startswith("/"):
                    del way[1:]
            else:
                way.append((part, child))
        if must_be_directory and not isinstance(way[-1][1], Directory):
            raise TreeFault(E_NOTDIR)
        return way

    # ---- changing

    def make_directory(self, path: str, cwd: str = "/", *, mode: int = 0o755) -> Directory:
        folder, name = self.place(path, cwd)
        if name in folder.children:
            raise TreeFault(E_EXIST)
        if len([part for part in f"{cwd}/{path}".split("/") if part]) > _MAX_PARTS:
            raise TreeFault(E_NAMETOOLONG)
        node = Directory(mode, self.clock.tick())
        self.put(folder, name, node)
        return node

    def make_directories(self, path: str, cwd: str = "/") -> None:
        """The directory and those above it that are not there."""
        parts = path.split("/")
        for n in range(1, len(parts) + 1):
            so_far = "/".join(parts[:n])
            if so_far and not self.exists(so_far, cwd):
                self.make_directory(so_far, cwd)
        self.directory(path or "/", cwd)

    def open_file(self, path: str, cwd: str = "/", *, create: bool = True) -> File | Device:
        """The file at a path, made empty where there is none."""
        try:
            node = self.find(path, cwd)
        except TreeFault as fault:
            if str(fault) != E_NOENT or not create or path.endswith("/"):
                raise
            target = self._end_of_links(path, cwd)
            folder, name = self.place(target, cwd)
            node = File(0o644, self.clock.tick())
            self.put(folder, name, node)
        if isinstance(node, File | Device):
            return node
        raise TreeFault(E_ISDIR)

    def _end_of_links(self, path: str, cwd: str) -> str:
        """Where a dangling link would have its file made."""
        for _ in range(_MAX_LINKS):
            folder, name = self.place(path, cwd)
            node = folder.children.get(name)
            if not isinstance(node, Link):
                return path
            head = path.rpartition("/")[0]
            path = node.target if node.target.startswith("/") or not head else f"{head}/{node.target}"
        raise TreeFault(E_LOOP)

    def read(self, path: str, cwd: str = "/") -> bytes:
        node = self.find(path, cwd)
        if isinstance(node, Directory):
            raise TreeFault(E_ISDIR)
        return node.content(self.limits) if isinstance(node, File) else b""

    def write(self, path: str, content: bytes, cwd: str = "/", *, append: bool = False) -> None:
        node = self.open_file(path, cwd)
        if isinstance(node, File):
            if not append:
                self.truncate(node, 0)
            self.append(node, content)

    def append(self, node: File, content: bytes) -> None:
        if not content:
            return
        if node.zeros:
            node.parts, node.stored, node.zeros = [node.content(self.limits)], node.size, 0
        if node.stored + len(content) > self.limits.file_bytes:
            raise LimitReached(f"file of more than {self.limits.file_bytes} bytes")
        self.bytes += len(content)
        if self.bytes > self.limits.tree_bytes:
            raise LimitReached(f"more than {self.limits.tree_bytes} bytes written")
        node.parts.append(content)
        node.stored += len(content)
        node.sparse = False
        node.mtime_ns = node.ctime_ns = self.clock.tick()

    def truncate(self, node: File, size: int) -> None:
        """Cut, or made longer by zeros that take no room on the disk."""
        kept = node.content(self.limits)[:size] if node.stored else b""
        node.parts, node.stored = ([kept] if kept else []), len(kept)
        node.zeros, node.sparse = size - len(kept), not kept and size > 0
        node.mtime_ns = node.ctime_ns = self.clock.tick()

    def put(self, folder: Directory, name: str, node: Node) -> None:
        """A node under a name; one that is new to the tree gets its number."""
        if not node.inode:
            self.made += 1
            if self.made > self.limits.nodes:
                raise LimitReached(f"more than {self.limits.nodes} files made")
            node.inode = 1_000 + self.made
        folder.children[name] = node
        folder.mtime_ns = folder.ctime_ns = self.clock.tick()

    def remove(self, path: str, cwd: str = "/", *, tree: bool = False) -> None:
        """A file or link, or a directory: an empty one, or with all it holds (tree)."""
        folder, name = self.place(path, cwd)
        node = folder.children.get(name)
        if node is None:
            raise TreeFault(E_NOENT)
        if isinstance(node, Directory) and node.children and not tree:
            raise TreeFault(E_NOTEMPTY)
        node.links -= 1
        del folder.children[name]
        folder.mtime_ns = folder.ctime_ns = self.clock.tick()

    def below(self, path: str, cwd: str = "/") -> Iterator[tuple[str, Node]]:
        """Every node with its path, a directory before what it holds, names in order; links are not followed."""
        node = self.find(path, cwd, follow=False)
        todo = [(path, node)]
        while todo:
            where, node = todo.pop()
            yield where, node
            if isinstance(node, Directory):
                stem = where if where.endswith("/") else f"{where}/"
                todo += [(stem + name, node.children[name]) for name in sorted(node.children, reverse=True)]


def blocks_kb(node: Node) -> int:
    """KiB on the disk."""
    if isinstance(node, Directory):
        return BLOCK // 1024
    if isinstance(node, File) and not node.sparse:
        return -(-node.size // BLOCK) * BLOCK // 1024
    return 0


def size_of(node: Node) -> int:
    """Bytes, as stat says."""
    if isinstance(node, File):
        return node.size
    if isinstance(node, Link):
        return len(node.target.encode("utf-8", "surrogateescape"))
    return BLOCK if isinstance(node, Directory) else 0


def letter(node: Node) -> str:
    """The kind, as `find -type` names it."""
    return {Directory: "d", Link: "l", Device: "c"}.get(type(node), "f")


def snapshot(tree: Tree) -> dict[str, tuple[object, ...]]:
    """What a state is compared by: path -> kind, mode, owner, group, content or target. Times are left out."""
    found: dict[str, tuple[object, ...]] = {}
    for path, node in tree.below("/"):
        content: object = None
        if isinstance(node, File):
            content = node.content(tree.limits) if node.size < BLOCK * BLOCK else node.size
        elif isinstance(node, Link):
            content = node.target
        found[path] = (letter(node), node.mode, node.owner, node.group, content)
    return found


def _copied(node: Directory, seen: dict[int, Node]) -> Directory:
    """A directory with all it holds; nodes under several names stay one node."""
    made = Directory(
        node.mode, node.mtime_ns, node.owner, node.group, node.atime_ns, node.ctime_ns, node.inode, node.links
    )
    for name, child in node.children.items():
        common = (child.mode, child.mtime_ns, child.owner, child.group, child.atime_ns, child.ctime_ns, child.inode, child.links)  # fmt: skip
        other: Node
        if isinstance(child, Directory):
            other = _copied(child, seen)
        elif id(child) in seen:
            other = seen[id(child)]
        elif isinstance(child, File):
            other = File(*common, list(child.parts), child.stored, child.zeros, child.sparse)
        elif isinstance(child, Link):
            other = Link(*common, child.target)
        else:
            other = Device(*common, child.kind if isinstance(child, Device) else "null")
        seen[id(child)] = other
        made.children[name] = other
    return made
