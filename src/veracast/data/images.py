"""The images of a training set, from wherever they lie, decoded once into one array on disk.

Sources: a folder (searched through), a list of files (.txt, one path a line, relative to the list), arrays (.npz, .npy: uint8, n x height x
width, channels before, after or none), Parquet with a column of image bytes (or of structs with a field `bytes`), tar shards, video files.

    FOLDER/ pixels.u8 (n x edge x edge x 3)   images.parquet (name, source, width_px, height_px)   rejects.parquet   images.json (last)

A picture is squeezed to a square, never cut: a patch in a corner must stay. Memory does not grow with the number of images; what cannot be
read is listed with its reason and skipped. Nothing outside a folder is opened through a link in it, nothing in an archive is unpacked.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from veracast.core.errors import InputError
from veracast.core.files import new_folder, write_json
from veracast.core.progress import SILENT, Progress
from veracast.data.media import (  # fmt: skip
    IMAGE_FORMATS,
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    Unusable,
    check_inside,
    check_pixels,
    decoding,
    video_pictures,
)
from veracast.data.schema import REJECTS

IMAGES: dict[str, pl.DataType | type[pl.DataType]] = {
    "name": pl.String,  # path in the folder or archive, array[row], column[row] or video@seconds
    "source": pl.String,  # name of the source, with as many folders before it as tell it from the others
    "width_px": pl.Int64,
    "height_px": pl.Int64,
}
MAX_BYTES = 64_000_000  # of one encoded image
BLOCK = 256  # images decoded side by side before they are written
WORKERS = 4
FRAMES_PER_VIDEO = 16
ARRAYS, TABLES, SHARDS = (".npz", ".npy"), (".parquet", ".pq"), (".tar", ".tar.gz", ".tgz")


class Raw(NamedTuple):
    """One image before it is decoded: bytes of a file, or pixels (height, width, 3) uint8."""

    name: str
    content: bytes | np.ndarray


class Fault(NamedTuple):
    """What is listed instead of an image."""

    name: str
    why: Unusable


@dataclass(frozen=True)
class ImageSet:
    """pixels (n, edge, edge, 3) uint8, read from disk as they are asked for; table: IMAGES, a row each; rejects: schema.REJECTS."""

    pixels: np.ndarray
    table: pl.DataFrame
    rejects: pl.DataFrame
    digest: str

    def __len__(self) -> int:
        return len(self.pixels)


def read_images(sources: Sequence[Path], to: Path, *, edge_px: int, frames_per_video: int = FRAMES_PER_VIDEO, progress: Progress = SILENT) -> ImageSet:  # fmt: skip
    """Decode every image of the sources, in order of name within each, into the folder `to`.

    Raises InputError for a source that is none of the kinds above, and where no image at all could be read.
    """
    readers = [(source, name, _reader(source, frames_per_video)) for source, name in zip(sources, _names(sources), strict=True)]  # fmt: skip
    rows: list[tuple[Any, ...]] = []
    rejects: list[tuple[str, str, str, str]] = []
    with new_folder(to) as folder, ThreadPoolExecutor(WORKERS) as pool, progress.step("read images") as advance:
        with (folder / "pixels.u8").open("wb") as out:
            for source, name, reader in readers:
                found = reader(source)
                while block := list(islice(found, BLOCK)):
                    for item in pool.map(lambda raw: _decoded(raw, edge_px), block):
                        if isinstance(item, Fault):
                            rejects.append((name, _utf8(item.name), item.why.reason, item.why.detail))
                            continue
                        out.write(item.pixels.tobytes())
                        rows.append((_utf8(item.name), name, *item.size))
                    advance(len(block))
        if not rows:
            why = pl.Series([reason for _, _, reason, _ in rejects]).value_counts(sort=True)
            reasons = ", ".join(f"{reason} ({n})" for reason, n in why.iter_rows()) or "it is empty"
            raise InputError(f"no image in it: {reasons}", file=str(sources[0]), remedy="JPEG, PNG, WebP, arrays, Parquet, tar or videos")  # fmt: skip
        pl.DataFrame(rows, schema=IMAGES, orient="row").write_parquet(folder / "images.parquet")
        pl.DataFrame(rejects, schema=REJECTS, orient="row").write_parquet(folder / "rejects.parquet")
        head = {
            "images": len(rows),
            "rejects": len(rejects),
            "edge_px": edge_px,
            "digest": _digest(folder / "pixels.u8"),
        }
        write_json(folder / "images.json", head)
    return open_images(to)


def open_images(folder: Path) -> ImageSet:
    """What `read_images` wrote; InputError for a folder that it did not finish."""
    try:
        head = json.loads((folder / "images.json").read_text(encoding="utf-8"))
        shape = (head["images"], head["edge_px"], head["edge_px"], 3)
        pixels = np.memmap(folder / "pixels.u8", dtype=np.uint8, mode="r", shape=shape)
        table, rejects = (pl.read_parquet(folder / f"{name}.parquet") for name in ("images", "rejects"))
    except (OSError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise InputError(
            f"no finished image set ({error})", file=str(folder), remedy="read the images again"
        ) from error
    return ImageSet(pixels, table, rejects, head["digest"])


def _names(sources: Sequence[Path]) -> list[str]:
    """The end of each path that no other has; InputError for a source that is given twice, since all that is in it would recur."""
    whole = [source.resolve() for source in sources]
    if twice := [source for source, n in Counter(whole).items() if n > 1]:
        raise InputError("given twice", file=str(twice[0]), remedy="name every source once")

    def end(path: Path) -> str:
        lengths = range(1, len(path.parts) + 1)
        others = [other for other in whole if other != path]
        n = next((k for k in lengths if all(other.parts[-k:] != path.parts[-k:] for other in others)), len(path.parts))
        return _utf8(str(Path(*path.parts[-n:])))

    return [_utf8(source.name or path.name) if len(whole) == 1 else end(path) for source, path in zip(sources, whole, strict=True)]  # fmt: skip


def _utf8(name: str) -> str:
    """A file name as text that can be stored: bytes that are not UTF-8 as \\xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Decoded(NamedTuple):
    name: str
    pixels: np.ndarray
    size: tuple[int, int]


Reader = Callable[[Path], Iterator["Raw | Fault"]]


def _reader(source: Path, frames: int) -> Reader:
    """How to read a source, by what it is."""
    name = source.name.lower()
    if source.is_dir():
        return lambda folder: _from_folder(folder, frames)
    if not source.is_file():
        raise InputError("no such file or folder", file=str(source), remedy="name a folder, an array, a Parquet file, a tar or a list of files")  # fmt: skip
    if name.endswith(ARRAYS):
        return _from_arrays
    if name.endswith(TABLES):
        return _from_parquet
    if name.endswith(SHARDS):
        return _from_tar
    if name.endswith(".txt"):
        return lambda listing: _from_list(listing, frames)
    if name.endswith((*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)):
        return lambda path: _from_file(path, path.name, frames)
    raise InputError("is none of the kinds of source that hold images", file=str(source), remedy="a folder, .txt, .npz, .npy, .parquet, .tar, an image or a video")  # fmt: skip


def _decoded(raw: Raw | Fault, edge_px: int) -> _Decoded | Fault:
    """A square of pixels; a Fault stays one."""
    if isinstance(raw, Fault):
        return raw
    from PIL import Image, ImageOps

    try:
        if isinstance(raw.content, np.ndarray):
            check_pixels(raw.content.shape[1], raw.content.shape[0])
            image = Image.fromarray(raw.content)
        else:
            with decoding(Image.DecompressionBombError), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # pillow's own bomb warning; our limit is lower
                with Image.open(io.BytesIO(raw.content), formats=IMAGE_FORMATS) as opened:
                    check_pixels(*opened.size)
                    image = ImageOps.exif_transpose(opened).convert("RGB")
        size = image.size
        if size != (edge_px, edge_px):
            image = image.resize((edge_px, edge_px), Image.Resampling.BICUBIC, reducing_gap=3.0)
    except Unusable as fault:
        return Fault(raw.name, fault)
    return _Decoded(raw.name, np.asarray(image, dtype=np.uint8), size)


def _from_folder(folder: Path, frames: int) -> Iterator[Raw | Fault]:
    """Every image and video below it, by path; hidden ones and other files are passed over, links out of it are listed."""
    for path in sorted(folder.rglob("*"), key=lambda p: p.relative_to(folder).parts):
        inside = path.relative_to(folder)
        known = path.suffix.lower() in (*IMAGE_SUFFIXES, *VIDEO_SUFFIXES)
        if any(part.startswith(".") for part in inside.parts) or path.is_dir() or not known:
            continue
        try:
            check_inside(path, folder)
        except Unusable as fault:
            yield Fault(inside.as_posix(), fault)
            continue
        yield from _from_file(path, inside.as_posix(), frames)


def _from_list(listing: Path, frames: int) -> Iterator[Raw | Fault]:
    """A path a line; empty lines and lines that begin with # say nothing."""
    for line in listing.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            path = listing.parent / line.strip()
            if path.is_file():
                yield from _from_file(path, line.strip(), frames)
            else:
                yield Fault(line.strip(), Unusable("no such file"))


def _from_file(path: Path, name: str, frames: int) -> Iterator[Raw | Fault]:
    """An image, or the frames of a video."""
    try:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            for picture in video_pictures(path, frames):
                yield Raw(f"{name}@{picture.at_s or 0:.2f}", picture.jpeg)
        elif path.stat().st_size > MAX_BYTES:
            yield Fault(name, Unusable("file too large", f"{path.stat().st_size} bytes, at most {MAX_BYTES}"))
        else:
            yield Raw(name, path.read_bytes())
    except Unusable as fault:
        yield Fault(name, fault)
    except OSError as error:
        yield Fault(name, Unusable("cannot be read", type(error).__name__))


def _from_arrays(path: Path) -> Iterator[Raw | Fault]:
    """Rows of every uint8 array of pictures, block by block from the file; other arrays are passed over."""
    try:
        if path.suffix.lower() == ".npy":
            with path.open("rb") as handle:
                yield from _rows(handle, path.stem)
            return
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".npy"):
                    with archive.open(member) as handle:
                        yield from _rows(handle, member.removesuffix(".npy"))
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        yield Fault(path.name, Unusable("cannot be decoded", type(error).__name__))


def _rows(handle: Any, name: str) -> Iterator[Raw]:
    version = np.lib.format.read_magic(handle)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, columns_first, dtype = read(handle)
    if dtype != np.uint8 or len(shape) not in (3, 4) or columns_first:
        return
    size = int(np.prod(shape[1:]))
    for row in range(shape[0]):
        content = handle.read(size)
        if len(content) < size:
            raise EOFError(name)
        yield Raw(f"{name}[{row}]", _upright(np.frombuffer(content, dtype=np.uint8).reshape(shape[1:])))


def _upright(pixels: np.ndarray) -> np.ndarray:
    """(height, width, 3) of grey, or of one, three or four channels before or after."""
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    grey = pixels if pixels.ndim == 2 else pixels[:, :, 0] if pixels.shape[2] == 1 else None
    return np.ascontiguousarray(pixels[:, :, :3] if grey is None else np.repeat(grey[:, :, None], 3, axis=2))


def _from_parquet(path: Path) -> Iterator[Raw | Fault]:
    """Rows of the first column of bytes, or of structs that hold some."""
    try:
        table = pl.scan_parquet(path)
        schema = table.collect_schema()
        columns = {n: pl.col(n) for n, t in schema.items() if t == pl.Binary}
        columns |= {n: pl.col(n).struct.field("bytes") for n, t in schema.items() if isinstance(t, pl.Struct) and any(f.name == "bytes" for f in t.fields)}  # fmt: skip
        if not columns:
            yield Fault(path.name, Unusable("no column of image bytes", ", ".join(schema)))
            return
        name = next(n for n in schema if n in columns)
        total = int(table.select(pl.len()).collect().item())
        for low in range(0, total, BLOCK):
            part = table.slice(low, BLOCK).select(columns[name].alias("bytes")).collect()["bytes"]
            for row, content in enumerate(part):
                place = f"{name}[{low + row}]"
                yield Fault(place, Unusable("no bytes")) if content is None else Raw(place, content)
    except (OSError, pl.exceptions.PolarsError) as error:
        yield Fault(path.name, Unusable("cannot be decoded", type(error).__name__))


def _from_tar(path: Path) -> Iterator[Raw | Fault]:
    """Images among the members, read where they are; nothing is unpacked, links are passed over."""
    try:
        with tarfile.open(path, mode="r|*") as archive:
            for member in archive:
                if not member.isfile() or Path(member.name).suffix.lower() not in IMAGE_SUFFIXES:
                    continue
                if member.size > MAX_BYTES:
                    yield Fault(member.name, Unusable("file too large", f"{member.size} bytes, at most {MAX_BYTES}"))
                    continue
                handle = archive.extractfile(member)
                assert handle is not None  # noqa: S101 - it is a file
                yield Raw(member.name, handle.read())
    except (OSError, tarfile.TarError, EOFError) as error:
        yield Fault(path.name, Unusable("cannot be decoded", type(error).__name__))


def _digest(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
