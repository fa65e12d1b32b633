"""Images from every kind of source are the same pixels; what cannot be read is listed and skipped."""

from __future__ import annotations

import io
import os
import struct
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.data.test_media import write_video
from veracast.core.errors import InputError
from veracast.data import images
from veracast.data.images import ImageSet, open_images, read_images


def pictures(n: int, edge: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, edge, edge, 3), dtype=np.uint8)


def encoded(pixels: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, format=form, lossless=True)
    return out.getvalue()


def read(source: Path, tmp_path: Path, *, edge: int = 16, to: str = "set") -> ImageSet:
    return read_images([source], tmp_path / to, edge_px=edge)


def test_every_kind_of_source_gives_the_same_pixels(tmp_path: Path) -> None:
    made = pictures(5)
    folder = tmp_path / "folder"
    (folder / "class").mkdir(parents=True)
    for i, pixels in enumerate(made):
        (folder / "class" / f"{i}.png").write_bytes(encoded(pixels))
    np.savez_compressed(tmp_path / "a.npz", labels=np.arange(5), images=made)
    np.save(tmp_path / "b.npy", made.transpose(0, 3, 1, 2))  # channels first
    rows = [encoded(pixels, "WEBP") for pixels in made]
    pl.DataFrame({"label": range(5), "image": rows}).write_parquet(tmp_path / "c.parquet")
    pl.DataFrame({"image": [{"bytes": row, "path": "x"} for row in rows]}).write_parquet(tmp_path / "d.parquet")
    with tarfile.open(tmp_path / "e.tar.gz", "w:gz") as archive:
        archive.add(folder / "class", "class")
    (tmp_path / "f.txt").write_text("# the files\n" + "\n".join(f"folder/class/{i}.png" for i in range(5)))
    names = {}
    for source in (folder, *(tmp_path / n for n in ("a.npz", "b.npy", "c.parquet", "d.parquet", "e.tar.gz", "f.txt"))):
        found = read(source, tmp_path, to=f"set-{source.name}")
        assert np.array_equal(found.pixels, made), source.name
        assert len(found) == 5 and found.rejects.is_empty() and found.table["width_px"].to_list() == [16] * 5
        names[source.name] = found.table["name"].to_list()
    assert (
        names["folder"][0] == "class/0.png" and names["a.npz"][4] == "images[4]" and names["c.parquet"][1] == "image[1]"
    )
    both = read_images([folder, tmp_path / "a.npz"], tmp_path / "both", edge_px=16)
    assert len(both) == 10 and both.table["source"].to_list() == ["folder"] * 5 + ["a.npz"] * 5


def test_grey_and_transparent_arrays_are_rgb(tmp_path: Path) -> None:
    grey = pictures(3)[..., 0]
    np.savez(tmp_path / "a.npz", grey=grey, alpha=np.concatenate([pictures(2), pictures(2)[..., :1]], axis=3))
    found = read(tmp_path / "a.npz", tmp_path)
    assert np.array_equal(found.pixels[:3], np.repeat(grey[..., None], 3, axis=3))
    assert np.array_equal(found.pixels[3:], pictures(2))


def test_a_picture_is_squeezed_never_cut(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 3), dtype=np.uint8)
    wide[:20, 100:] = (255, 0, 0)  # a patch in the far corner
    (tmp_path / "wide.png").write_bytes(encoded(wide))
    found = read(tmp_path / "wide.png", tmp_path, edge=24)
    assert found.table.row(0) == ("wide.png", "wide.png", 120, 40)
    assert found.pixels[0, 2, 22].tolist() == [255, 0, 0] and not found.pixels[0, :, :16].any()


def bomb() -> bytes:
    """The header of a PNG of 60,000 x 60,000 pixels, and hardly anything behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_hostile_files_are_listed_and_the_others_stay(tmp_path: Path) -> None:
    """Three in ten unreadable, a decompression bomb, a link out of the folder, a name with a newline and markup."""
    folder, outside = tmp_path / "folder", tmp_path / "outside.png"
    folder.mkdir()
    outside.write_bytes(encoded(pictures(1)[0]))
    for i, pixels in enumerate(pictures(20)):
        whole = encoded(pixels, "JPEG" if i % 2 else "PNG")
        (folder / f"{i:02d}.{'jpg' if i % 2 else 'png'}").write_bytes(whole if i % 10 > 2 else [b"", whole[: len(whole) // 2], b"not one"][i % 10])  # fmt: skip
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "link.png").symlink_to(outside)
    (folder / "a\n<b>&.png").write_bytes(encoded(pictures(1)[0]))
    (folder / "notes.md").write_text("no image")
    (folder / ".hidden.png").write_bytes(encoded(pictures(1)[0]))
    found = read(folder, tmp_path)
    assert len(found) == 14 + 1 and "a\n<b>&.png" in found.table["name"].to_list()
    why = dict(found.rejects.select("record", "reason").iter_rows())
    assert len(why) == 8 and why["bomb.png"] == "too many pixels" and why["link.png"] == "link leads outside the folder"
    assert {why[f"{i:02d}.{'jpg' if i % 2 else 'png'}"] for i in (0, 1, 2, 10, 11, 12)} == {"cannot be decoded"}


def test_a_name_that_is_no_utf8_is_spelt_out(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name, content in ((b"a\xff.png", encoded(pictures(1)[0])), (b"b\xfe.png", b"no image")):
        Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(content)
    found = read(folder, tmp_path)
    assert found.table["name"].to_list() == ["a\\xff.png"]
    assert found.rejects["record"].to_list() == ["b\\xfe.png"]


def test_frames_of_videos_count_as_images(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    write_video(tmp_path / "folder" / "clip.mp4", [0, 80, 160, 240])
    found = read_images([tmp_path / "folder"], tmp_path / "set", edge_px=8, frames_per_video=4)
    assert len(found) == 4 and found.table["name"][0].startswith("clip.mp4@0.")
    assert np.diff(found.pixels.mean(axis=(1, 2, 3))).min() > 50


def test_a_source_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pictures(6))
    whole = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(whole[: -16 * 16 * 3 * 2 - 5])
    found = read(tmp_path / "a.npy", tmp_path)
    assert np.array_equal(found.pixels, pictures(6)[:3])
    assert found.rejects.row(0) == ("a.npy", "a.npy", "cannot be decoded", "EOFError")
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        for i in range(4):
            info, body = tarfile.TarInfo(f"{i}.png"), encoded(pictures(4)[i])
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    (tmp_path / "b.tar").write_bytes((tmp_path / "b.tar").read_bytes()[:2600])
    cut = read(tmp_path / "b.tar", tmp_path, to="cut")
    assert 0 < len(cut) < 4 and cut.rejects.height == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"x", "is none of the kinds of source"),
        ("a.npz", b"no zip", r"no image in it: cannot be decoded \(1\)"),
        ("a.parquet", b"no parquet", r"no image in it: cannot be decoded \(1\)"),
        ("a.txt", b"# nothing", "no image in it: it is empty"),
        ("missing.npz", None, "no such file or folder"),
    ],
)
def test_a_source_without_images_is_a_fault(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name, tmp_path)
    assert not (tmp_path / "set").exists()


def test_a_table_without_a_column_of_bytes_names_its_columns(tmp_path: Path) -> None:
    pl.DataFrame({"label": [1], "url": ["x"]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"no column of image bytes \(1\)"):
        read(tmp_path / "a.parquet", tmp_path)


def test_memory_does_not_grow_with_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "BLOCK", 32)
    np.save(tmp_path / "many.npy", np.tile(pictures(10, 64), (200, 1, 1, 1)))  # 25 MB
    tracemalloc.start()
    read(tmp_path / "many.npy", tmp_path, edge=64)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000


def test_what_was_not_finished_is_no_image_set(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", pictures(3))
    found = read(tmp_path / "a.npy", tmp_path)
    assert np.array_equal(open_images(tmp_path / "set").pixels, found.pixels)
    assert open_images(tmp_path / "set").digest == found.digest
    (tmp_path / "set" / "images.json").unlink()
    with pytest.raises(InputError, match="no finished image set"):
        open_images(tmp_path / "set")


def test_sources_of_one_name_are_told_apart_and_none_is_read_twice(tmp_path: Path) -> None:
    for place in ("a/x/frames", "b/x/frames", "b/other"):
        (tmp_path / place).mkdir(parents=True)
        Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(tmp_path / place / "one.png")
    sources = [tmp_path / "a/x/frames", tmp_path / "b/x/frames", tmp_path / "b/other"]
    read = read_images(sources, tmp_path / "set", edge_px=8)
    assert read.table["source"].to_list() == ["a/x/frames", "b/x/frames", "other"]
    with pytest.raises(InputError, match="given twice"):
        read_images([sources[0], tmp_path / "b" / ".." / "a/x/frames"], tmp_path / "twice", edge_px=8)
