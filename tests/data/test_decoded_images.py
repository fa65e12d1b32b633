"""Images decoded once: read back for the same files, read again for others, and how many sets a cache keeps."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from veracast.data import decoded_images as module
from veracast.data.decoded_images import decoded_images
from veracast.data.images import ImageSet


def stored(folder: Path, *, first: int = 0) -> Path:
    pixels = np.zeros((6, 8, 8, 3), dtype=np.uint8)
    pixels[:, 0, 0, 0] = np.arange(6) + first
    path = folder / "set.npy"
    np.save(path, pixels)
    return path


def decoded(path: Path, work: Path, *, edge_px: int = 8, sweep: bool = False) -> ImageSet:
    return decoded_images([path], work, edge_px=edge_px, sweep=sweep)


def test_the_same_files_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path)
    first = decoded(path, tmp_path / "work")
    monkeypatch.setattr(module, "read_images", lambda *_, **__: pytest.fail("read again"))
    again = decoded(path, tmp_path / "work")
    assert again.digest == first.digest
    assert np.array_equal(again.pixels, first.pixels)


def test_another_edge_and_changed_content_of_the_same_size_are_read_again(tmp_path: Path) -> None:
    path = stored(tmp_path)
    first = decoded(path, tmp_path / "work")
    assert decoded(path, tmp_path / "work", edge_px=4).pixels.shape == (6, 4, 4, 3)
    os.utime(stored(tmp_path, first=7), (1e9, 1e9))
    other = decoded(path, tmp_path / "work")
    assert other.digest != first.digest
    assert other.pixels[0, 0, 0, 0] == 7


def test_a_file_that_a_list_names_counts_as_well(tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("a.png", 10), ("b.png", 20)):
        Image.fromarray(np.full((8, 8, 3), grey, dtype=np.uint8)).save(tmp_path / name)
    names = tmp_path / "list.txt"
    names.write_text("# two images\na.png\nb.png\nmissing.png\n", encoding="utf-8")
    first = decoded(names, tmp_path / "work")
    Image.fromarray(np.full((8, 8, 3), 30, dtype=np.uint8)).save(tmp_path / "b.png")
    other = decoded(names, tmp_path / "work")
    assert (int(first.pixels[1, 0, 0, 0]), int(other.pixels[1, 0, 0, 0])) == (20, 30)
    assert other.rejects.height == 1


def test_of_decoded_sets_in_a_cache_the_last_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_SETS", 2)
    work = tmp_path / "work"
    for age in range(1, 5):
        (work / f"images-{age}").mkdir(parents=True)
        os.utime(work / f"images-{age}", (1e9 - age, 1e9 - age))
    path = stored(tmp_path)
    decoded(path, work)
    assert len(list(work.glob("images-*"))) == 5  # nothing is swept where it was not asked for
    decoded(path, work, sweep=True)
    (mine,) = (one for one in work.glob("images-*") if (one / "images.json").is_file())
    assert {one.name for one in work.glob("images-*")} == {"images-1", "images-2", mine.name}
