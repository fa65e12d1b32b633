"""What a command is given: arguments, streams, and the shell that it was called from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from veracast.agents.shell.faults import E_ISDIR, TreeFault
from veracast.agents.shell.streams import Sink, Source, raw, text
from veracast.agents.shell.tree import Clock, Device, Directory, Node, Tree

if TYPE_CHECKING:
    from veracast.agents.shell.interpreter import Shell


class Input(NamedTuple):
    """A file, or standard input (name `-`)."""

    name: str
    data: bytes


@dataclass
class Call:
    """name: as it was called. lenient: it reads on in what a full pipe cut off (see interpreter)."""

    shell: Shell
    name: str
    args: list[str]
    stdin: Source
    stdout: Sink
    stderr: Sink

    @property
    def tree(self) -> Tree:
        return self.shell.tree

    @property
    def clock(self) -> Clock:
        return self.shell.tree.clock

    @property
    def cwd(self) -> str:
        return self.shell.cwd

    def out(self, data: str | bytes) -> None:
        self.stdout.write(raw(data) if isinstance(data, str) else data)

    def line(self, words: str) -> None:
        self.stdout.write(raw(words) + b"\n")

    def error(self, message: str) -> None:
        self.stderr.write(raw(f"{self.name}: {message}\n"))

    def node(self, path: str, *, follow: bool = True) -> Node:
        return self.tree.find(path, self.cwd, follow=follow)

    def source(self, path: str) -> Source:
        """A file or `-` to read from; TreeFault where there is none."""
        if path == "-" or path == "/dev/stdin":
            return self.stdin
        node = self.node(path)
        if isinstance(node, Directory):
            raise TreeFault(E_ISDIR)
        if isinstance(node, Device):
            return Source(zeros=node.kind in ("zero", "full"), noise=node.kind in ("urandom", "random"))
        return Source(self.tree.read(path, self.cwd), regular=True)

    def read(self, path: str) -> bytes:
        return self.source(path).read()

    def inputs(
        self, paths: list[str], message: Callable[[str, TreeFault], str] | None = None
    ) -> Iterator[Input | None]:
        """Each input in turn, standard input for none; None for one that cannot be read, which was said."""
        for path in paths or ["-"]:
            try:
                data = self.read(path)
            except TreeFault as fault:
                self.error(message(path, fault) if message else f"{path}: {fault}")
                yield None
            else:
                yield Input(path, data)

    def text(self, path: str) -> str:
        return text(self.read(path))


Command = Callable[[Call], int]
