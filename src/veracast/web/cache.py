"""Drawn pages, kept by what they are drawn from: in memory up to a size, the dear ones on disk as well.

The key of a page holds the digest of its record and of our code, so a page never goes stale and nothing has to be told that something changed. Two who
ask for the same page at once wait for one drawing.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import anyio
from anyio import to_thread

from veracast.core.files import sweep_partials

_DRAWING = 2  # pages drawn at once; the processor has no more to give
_SWEEP_EVERY = 64  # pages written, between two looks at the size of the folder


class PageCache:
    """folder: of pages on disk, None = memory alone."""

    def __init__(self, folder: Path | None, *, memory_bytes: int, disk_bytes: int = 0) -> None:
        self._folder, self._memory_bytes, self._disk_bytes = folder, memory_bytes, disk_bytes
        self._pages: OrderedDict[str, bytes] = OrderedDict()
        self._size = self._written = 0
        self._asked = time.monotonic()
        self._lock = threading.Lock()
        self._drawing: dict[str, asyncio.Future[bytes]] = {}
        self._limiter: anyio.CapacityLimiter | None = None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            sweep_partials(folder)

    async def page(self, key: str, make: Callable[[], str], *, disk: bool = False) -> bytes:
        """The page of a key, drawn by `make` in a thread where it is not at hand; what `make` raises reaches all who wait for it."""
        self._asked = time.monotonic()
        found = self._remembered(key)
        if found is not None:
            return found
        kept = self._kept(self._path(key)) if disk else None
        if kept is not None:  # a read of what is in the system's cache: it need not wait behind drawings
            self._remember(key, kept)
            return kept
        waiting = self._drawing.get(key)
        if waiting is not None:
            return await asyncio.shield(waiting)
        self._limiter = self._limiter or anyio.CapacityLimiter(_DRAWING)
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._drawing[key] = future
        try:
            body = await to_thread.run_sync(functools.partial(self._draw, key, make, disk=disk), limiter=self._limiter)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                future.cancel()
            else:
                future.set_exception(error)
                future.exception()  # nobody may wait for it
            raise
        else:
            future.set_result(body)
            return body
        finally:
            del self._drawing[key]

    def ahead(self, key: str, make: Callable[[], str]) -> None:
        """Draw a page that nobody asked for onto the disk, where it is not there yet."""
        path = self._path(key)
        if path is not None and not path.is_file():
            self._write(path, make().encode("utf-8", "replace"))

    @property
    def has_room(self) -> bool:
        """Whether less than half of what may be kept on disk is."""
        if self._folder is None:
            return False
        return sum(one.stat().st_size for one in self._folder.glob("*.html")) < self._disk_bytes / 2

    @property
    def quiet_s(self) -> float:
        """Seconds since a page was asked for."""
        return time.monotonic() - self._asked

    def _path(self, key: str) -> Path | None:
        name = hashlib.sha256(f"{code_version()} {key}".encode()).hexdigest()
        return self._folder / f"{name}.html" if self._folder else None

    def _draw(self, key: str, make: Callable[[], str], *, disk: bool) -> bytes:
        path = self._path(key) if disk else None
        body = make().encode("utf-8", "replace")
        self._remember(key, body)
        if path is not None:
            self._write(path, body)
        return body

    def _kept(self, path: Path | None) -> bytes | None:
        try:
            body = path.read_bytes() if path is not None else None
            if path is not None:
                os.utime(path)
        except OSError:
            return None
        return body

    def _write(self, path: Path, body: bytes) -> None:
        """A page that cannot be kept is drawn again next time: a full disk stops no one from reading."""
        temporary = path.with_name(f".{path.name}-{threading.get_ident()}.partial-{os.getpid()}")
        try:
            temporary.write_bytes(body)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            return
        with self._lock:
            self._written += 1
            due = self._written % _SWEEP_EVERY == 1
        if due:
            self._sweep(path.parent)

    def _sweep(self, folder: Path) -> None:
        """Remove the pages that were used longest ago, down to the size that may be kept."""
        files = []
        for path in folder.glob("*.html"):
            try:
                stat = path.stat()
            except OSError:
                continue
            files.append((stat.st_mtime, stat.st_size, path))
        size = sum(one[1] for one in files)
        for _, bytes_, path in sorted(files):
            if size <= self._disk_bytes:
                break
            path.unlink(missing_ok=True)
            size -= bytes_

    def _remembered(self, key: str) -> bytes | None:
        with self._lock:
            found = self._pages.get(key)
            if found is not None:
                self._pages.move_to_end(key)
            return found

    def _remember(self, key: str, body: bytes) -> None:
        with self._lock:
            before = self._pages.pop(key, None)
            self._size += len(body) - (len(before) if before is not None else 0)
            self._pages[key] = body
            while self._size > self._memory_bytes and self._pages:
                _, dropped = self._pages.popitem(last=False)
                self._size -= len(dropped)

    @property
    def size(self) -> int:
        """Bytes of pages in memory."""
        return self._size


@functools.cache
def code_version() -> str:
    """Digest of everything that pages are drawn by: code, templates, styles."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for folder in (root / "core", root / "report", root / "web"):
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".jinja", ".css", ".js")):
            digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
