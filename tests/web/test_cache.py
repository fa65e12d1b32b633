"""A page is drawn once for all who ask, kept within bounds, and survives on disk until the code changes."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from veracast.web import cache
from veracast.web.cache import PageCache
from veracast.web.refusals import Refusal


def test_many_who_ask_at_once_wait_for_one_drawing() -> None:
    drawn: list[int] = []
    begun, go = threading.Event(), threading.Event()

    def make() -> str:
        drawn.append(1)
        begun.set()
        go.wait(5)
        return "page"

    async def ask() -> list[bytes]:
        pages = PageCache(None, memory_bytes=100)
        asked = [asyncio.create_task(pages.page("k", make)) for _ in range(5)]
        while not begun.is_set():
            await asyncio.sleep(0.01)
        go.set()
        return [*await asyncio.gather(*asked), await pages.page("k", make)]

    assert asyncio.run(ask()) == [b"page"] * 6 and drawn == [1]


def test_a_page_on_disk_does_not_wait_behind_drawings(tmp_path: Path) -> None:
    go = threading.Event()

    def slow() -> str:
        go.wait(10)
        return "slow"

    async def ask() -> bytes:
        pages = PageCache(tmp_path, memory_bytes=0, disk_bytes=1 << 20)
        pages.ahead("kept", lambda: "kept")
        drawing = [asyncio.create_task(pages.page(f"slow {k}", slow)) for k in range(5)]
        await asyncio.sleep(0.05)
        found = await asyncio.wait_for(pages.page("kept", slow, disk=True), 5)
        assert not any(one.done() for one in drawing)
        go.set()
        await asyncio.gather(*drawing)
        return found

    assert asyncio.run(ask()) == b"kept"


def test_what_a_drawing_raises_reaches_all_and_is_not_kept() -> None:
    answers = iter([None, "page"])

    def make() -> str:
        found = next(answers)
        if found is None:
            raise Refusal(422, "x", "d", "r")
        return found

    async def ask() -> bytes:
        pages = PageCache(None, memory_bytes=100)
        found = await asyncio.gather(pages.page("k", make), pages.page("k", make), return_exceptions=True)
        assert [type(one) for one in found] == [Refusal, Refusal]
        return await pages.page("k", make)

    assert asyncio.run(ask()) == b"page"


def test_memory_stays_within_its_bound_and_keeps_what_was_used_last() -> None:
    async def ask() -> list[int]:
        pages, drawn = PageCache(None, memory_bytes=250), []
        for key in ("a", "b", "a", "c", "a", "b"):
            await pages.page(key, lambda key=key: drawn.append(key) or key * 100)  # type: ignore[misc]
            assert pages.size <= 250
        assert drawn == ["a", "b", "c", "b"]
        await pages.page("large", lambda: "x" * 1_000)
        return [pages.size]

    assert asyncio.run(ask()) == [0]


def test_pages_on_disk_serve_the_next_server_until_the_code_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    def page(text: str) -> bytes:
        return asyncio.run(PageCache(tmp_path, memory_bytes=100, disk_bytes=1_000).page("k", lambda: text, disk=True))

    assert page("first") == b"first" and page("second") == b"first"
    monkeypatch.setattr(cache, "code_version", lambda: "other")
    assert page("second") == b"second"


def test_the_folder_stays_within_its_bound(tmp_path: Path) -> None:
    async def fill() -> None:
        pages = PageCache(tmp_path, memory_bytes=10, disk_bytes=3_000)
        for number in range(65):
            await pages.page(str(number), lambda: "x" * 1_000, disk=True)

    asyncio.run(fill())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3_000


def test_a_folder_that_cannot_be_written_stops_no_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = PageCache(tmp_path, memory_bytes=10, disk_bytes=10)
    monkeypatch.setattr(Path, "write_bytes", lambda self, body: (_ for _ in ()).throw(OSError(28, "full")))
    assert asyncio.run(pages.page("k", lambda: "page", disk=True)) == b"page" and list(tmp_path.iterdir()) == []


def test_the_version_is_of_code_templates_and_styles() -> None:
    assert len(cache.code_version()) == 64
