"""What commands read from and write to: bytes in memory, whole stages one after the other instead of side by side."""

from __future__ import annotations

import hashlib

from veracast.agents.shell.faults import LimitReached, PipeFull
from veracast.agents.shell.tree import Device, File, Tree


class Source:
    """An input with a place in it, shared by all who read it in turn. cut: it was longer, as what was written into a full pipe."""

    def __init__(self, data: bytes = b"", *, cut: bool = False, zeros: bool = False, noise: bool = False, regular: bool = False) -> None:  # fmt: skip
        self.data, self.at, self.cut, self.zeros = data, 0, cut, zeros
        self.noise = noise  # /dev/urandom: bytes that look random and are the same each time
        self.regular = regular  # a file of the tree, whose size is known beforehand
        self.lenient = self.starved = False  # may be read to where it was cut; was read so far

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, or all that are left; LimitReached where all are asked for and more were cut off."""
        if self.zeros or self.noise:
            if size is None or size > 4_000_000:
                raise LimitReached("endless input")
            self.at += size
            return bytes(size) if self.zeros else hashlib.shake_128(str(self.at).encode()).digest(size)
        end = len(self.data) if size is None else min(len(self.data), self.at + size)
        if self.cut and (size is None or self.at + size > len(self.data)):
            self._end()
        found = self.data[self.at : end]
        self.at = end
        return found

    def _end(self) -> None:
        if not self.lenient:
            raise LimitReached("the input is longer than a pipe may hold")
        self.starved = True

    def line(self) -> bytes:
        """The next line with its newline; empty at the end."""
        if self.zeros:
            raise LimitReached("endless input")
        if self.noise:
            return b"".join(iter(lambda: self.read(1), b"\n")) + b"\n"
        end = self.data.find(b"\n", self.at) + 1
        if not end and self.cut:
            self._end()
        return self.read((end or len(self.data)) - self.at)


class Sink:
    """An output that is kept. At `most` bytes it is full: LimitReached, or PipeFull where others read it (pipe)."""

    def __init__(self, most: int, *, pipe: bool = False) -> None:
        self.parts: list[bytes] = []
        self.size, self.most, self.pipe, self.full = 0, most, pipe, False

    def write(self, data: bytes) -> None:
        self.parts.append(data)
        self.size += len(data)
        if self.size > self.most:
            self.full = True
            self.parts = [self.value()[: self.most]]
            raise PipeFull if self.pipe else LimitReached(f"more than {self.most} bytes of output")

    def value(self) -> bytes:
        if len(self.parts) > 1:
            self.parts = [b"".join(self.parts)]
        return self.parts[0] if self.parts else b""


class FileSink(Sink):
    """Writes to the end of a file of the tree, or into a device."""

    def __init__(self, tree: Tree, node: File | Device) -> None:
        super().__init__(0)
        self.tree, self.node = tree, node

    def write(self, data: bytes) -> None:
        if isinstance(self.node, File):
            self.tree.append(self.node, data)


def text(data: bytes) -> str:
    """Bytes as text; what is no UTF-8 comes back as it was."""
    return data.decode("utf-8", "surrogateescape")


def raw(words: str) -> bytes:
    return words.encode("utf-8", "surrogateescape")


def lines(data: bytes) -> list[str]:
    """Lines without their newlines; the last one need not have one."""
    found = text(data).split("\n")
    if found[-1] == "":
        found.pop()
    return found
