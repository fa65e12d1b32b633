"""Frames of the videos: from a folder of video files (PyAV), images or image folders (pillow), matched by video id.

Only what a listing of the folder shows is opened, never a path from the data; links that lead outside are skipped.
Both libraries are the extra `media`; they are imported when the first file is read.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

import polars as pl

from veracast.core.errors import InputError, UserError
from veracast.data.schema import FRAMES, REJECTS

VIDEO_SUFFIXES = (".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".flv", ".ts", ".mpg", ".mpeg", ".wmv", ".3gp")
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")  # never EPS and the like, which start other programs
# containers that hold their own pictures; playlists (hls, concat, dash) would open further files and addresses
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,mpegts,mpeg,mpegvideo,asf"
MAX_PIXELS = 50_000_000  # 8K video has 33 million
MAX_FRAMES_SCANNED = 20_000  # of a video whose container does not say how long it is
JPEG_QUALITY = 90
_INSTALL = "pip install 'veracast[media]'"


class Media(NamedTuple):
    """Frames (columns of schema.FRAMES), and what could not be used (columns of schema.REJECTS)."""

    frames: pl.DataFrame
    rejects: pl.DataFrame


class Picture(NamedTuple):
    """One frame, scaled and encoded."""

    at_s: float | None  # null for pictures that are no part of a video file
    width_px: int
    height_px: int
    jpeg: bytes


class Unusable(ValueError):
    """A file that is skipped; the arguments are the fixed reason and the detail."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail[:200]
        super().__init__(reason, detail)


class Grabbed(NamedTuple):
    """What one entry of the folder gave; faults are (file name, why)."""

    pictures: list[Picture]
    faults: list[tuple[str, Unusable]]


Grabber = Callable[[Path, int, int], Grabbed]


def check_media(media: Path) -> None:
    """Raise before any work is done: the folder must be there, and so must the packages that its files need."""
    if not media.is_dir():
        message = "is not a directory" if media.exists() else "no such directory"
        raise InputError(message, file=str(media), remedy="--media takes a folder of video files or image folders")
    _require("PIL")
    if any(path.suffix.lower() in VIDEO_SUFFIXES for path in media.iterdir()):
        _require("av")


def read_frames(media: Path, video_ids: Sequence[str], *, frames_per_video: int = 4, edge_px: int = 224) -> Media:
    """Up to `frames_per_video` JPEGs per video, at the middles of as many equal stretches of it.

    A video file, image or image folder belongs to a video when its stem is the native id ("<platform>:<native id>") or
    the video id with ":" as "_". Pictures are turned upright and scaled down, never up, until the longer edge is
    `edge_px`. What cannot be used is in `rejects` with a reason; one bad file never stops the others.
    Raises InputError for a folder in which nothing matches, UserError when the extra `media` is not installed.
    """
    check_media(media)
    owners = _owners(video_ids)
    rows: list[tuple[Any, ...]] = []
    rejects: list[tuple[str, str, str, str]] = []
    taken: dict[str, str] = {}
    n_media = 0
    for path in sorted(media.iterdir(), key=lambda p: p.name):
        grab = _grabber(path)
        if grab is None:
            continue
        n_media += 1
        try:
            check_inside(path, media)
            video_id = _owner(path, owners, taken)
            taken[video_id] = path.name
            pictures, faults = grab(path, frames_per_video, edge_px)
        except Unusable as fault:
            rejects.append((media.name, path.name, fault.reason, fault.detail))
            continue
        rows += [(video_id, number, *picture) for number, picture in enumerate(pictures)]
        rejects += [(media.name, f"{path.name}/{name}", fault.reason, fault.detail) for name, fault in faults]
    if not taken:
        message = f"none of its {n_media} video files, images and folders belongs to a video of the data"
        raise InputError(
            message, file=str(media), remedy="name them by the video's id, such as 7506832682593094928.mp4"
        )
    frames = pl.DataFrame(rows, schema=FRAMES, orient="row")
    return Media(frames, pl.DataFrame(rejects, schema=REJECTS, orient="row"))


def _grabber(path: Path) -> Grabber | None:
    """How to read this entry; None for what is no medium (a read-me, a hidden file)."""
    suffix = path.suffix.lower()
    if path.name.startswith("."):
        return None
    if path.is_dir():
        return _from_folder
    if suffix in VIDEO_SUFFIXES:
        return _from_video
    return _from_image if suffix in IMAGE_SUFFIXES else None


def _owners(video_ids: Sequence[str]) -> dict[str, str | None]:
    """From stem to video id; None where two platforms share a native id."""
    owners: dict[str, str | None] = {}
    for video_id in video_ids:
        native = video_id.partition(":")[2] or video_id
        owners[native] = video_id if owners.get(native, video_id) == video_id else None
    owners.update({video_id.replace(":", "_"): video_id for video_id in video_ids})
    return owners


def _owner(path: Path, owners: dict[str, str | None], taken: dict[str, str]) -> str:
    stem = path.name if path.is_dir() else path.stem
    if stem not in owners:
        raise Unusable("no video of this id")
    video_id = owners[stem]
    if video_id is None:
        raise Unusable("id on two platforms", "name it <platform>_<id>")
    if video_id in taken:
        raise Unusable("second medium of one video", f"the first is {taken[video_id]}")
    return video_id


def check_inside(path: Path, media: Path) -> None:
    """Raise Unusable for a link that leads out of the folder, and for what is neither file nor folder."""
    if not path.resolve().is_relative_to(media.resolve()):
        raise Unusable("link leads outside the folder")
    if not (path.is_file() or path.is_dir()):
        raise Unusable("not a regular file")


def video_pictures(path: Path, n: int, *, edge_px: int = 1024) -> list[Picture]:
    """Up to n frames of a video file at the middles of as many stretches; raises Unusable, and UserError without PyAV."""
    return _from_video(path, n, edge_px).pictures


def _from_video(path: Path, n: int, edge_px: int) -> Grabbed:
    """Frames of a video file at (i + 1/2) / n of its length."""
    av = _require("av")
    with path.open("rb") as handle, decoding(av.error.FFmpegError), _open_video(av, handle) as container:
        if not container.streams.video:
            raise Unusable("no picture track")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise Unusable("cannot be decoded", "unknown codec")
        check_pixels(stream.codec_context.width, stream.codec_context.height)
        start_s, length_s = _extent(av, container, stream)
        pictures: dict[float, Picture] = {}
        for i in range(n):
            frame = _frame_at(container, stream, start_s + length_s * (i + 0.5) / n)
            at_s = max(0.0, float(frame.time or 0.0) - start_s) if frame is not None else None
            if at_s is not None and at_s not in pictures:
                pictures[at_s] = _picture_of_frame(frame, at_s, edge_px)
    if not pictures:
        raise Unusable("no frame could be decoded")
    return Grabbed(list(pictures.values()), [])


def _open_video(av: ModuleType, handle: BinaryIO) -> Any:
    # a file object and a list of containers: ffmpeg gets no way to open anything else
    return av.open(handle, mode="r", options={"format_whitelist": CONTAINERS}, metadata_errors="replace")


def _extent(av: ModuleType, container: Any, stream: Any) -> tuple[float, float]:
    """Start and length in seconds; a container that does not tell them is scanned."""
    start_s = float((stream.start_time or 0) * stream.time_base)
    if stream.duration:
        return start_s, float(stream.duration * stream.time_base)
    if container.duration:
        return start_s, container.duration / av.time_base
    last_s = start_s
    for number, frame in enumerate(container.decode(stream)):
        last_s = float(frame.time or 0.0)
        if number >= MAX_FRAMES_SCANNED:
            break
    return start_s, last_s - start_s


def _frame_at(container: Any, stream: Any, at_s: float) -> Any:
    """The frame shown at this moment: the last one that starts at or before it."""
    container.seek(int(at_s / stream.time_base), stream=stream, backward=True)
    shown = None
    for frame in container.decode(stream):
        if shown is not None and frame.time is not None and frame.time > at_s:
            break
        shown = frame
    return shown


def _picture_of_frame(frame: Any, at_s: float, edge_px: int) -> Picture:
    check_pixels(frame.width, frame.height)
    width, height = _fit(frame.width, frame.height, edge_px)
    image = frame.reformat(width=width, height=height, format="rgb24").to_image()
    if frame.rotation:  # degrees counter-clockwise, as pillow counts
        image = image.rotate(frame.rotation, expand=True)
    return _encode(image, at_s)


def _from_folder(folder: Path, n: int, edge_px: int) -> Grabbed:
    """Pictures at (i + 1/2) / n of the sorted names; a bad one is named and the others stay."""
    images = sorted((p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES), key=lambda p: p.name)
    if not images:
        raise Unusable("no image in the folder")
    pictures: list[Picture] = []
    faults: list[tuple[str, Unusable]] = []
    for place in sorted({int((i + 0.5) * len(images) / n) for i in range(n)}):
        try:
            check_inside(images[place], folder)
            pictures.append(_picture_of_image(images[place], edge_px))
        except Unusable as fault:
            faults.append((images[place].name, fault))
    return Grabbed(pictures, faults)


def _from_image(path: Path, n: int, edge_px: int) -> Grabbed:
    return Grabbed([_picture_of_image(path, edge_px)], [])


def _picture_of_image(path: Path, edge_px: int) -> Picture:
    _require("PIL")
    from PIL import Image, ImageOps

    with path.open("rb") as handle, decoding(Image.DecompressionBombError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pillow's own bomb warning; our limit is lower
        with Image.open(handle, formats=IMAGE_FORMATS) as image:
            check_pixels(*image.size)
            image.draft("RGB", (edge_px, edge_px))
            upright = ImageOps.exif_transpose(image).convert("RGB")
        return _encode(upright.resize(_fit(*upright.size, edge_px), Image.Resampling.BICUBIC), None)


def _encode(image: Any, at_s: float | None) -> Picture:
    out = io.BytesIO()
    image.save(out, format="JPEG", quality=JPEG_QUALITY)
    return Picture(at_s, image.width, image.height, out.getvalue())


def _fit(width: int, height: int, edge_px: int) -> tuple[int, int]:
    """Scaled down until the longer edge is `edge_px`."""
    scale = min(1.0, edge_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def check_pixels(width: int, height: int) -> None:
    """Raise Unusable before a picture of such a size is decoded, where it is none or too large."""
    if width * height > MAX_PIXELS:
        raise Unusable("too many pixels", f"{width} x {height}, at most {MAX_PIXELS} pixels")
    if width * height <= 0:
        raise Unusable("no picture size")


@contextmanager
def decoding(library_error: type[Exception]) -> Iterator[None]:
    """What decoders raise on damaged bytes, as one kind of fault."""
    damage = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, MemoryError, library_error)
    try:
        yield
    except Unusable:
        raise
    except damage as error:
        reason = "too many pixels" if "DecompressionBomb" in type(error).__name__ else "cannot be decoded"
        raise Unusable(reason, type(error).__name__) from error


def _require(name: str) -> Any:
    """The module, or one line that says what to install."""
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(f"reading frames needs the package {name}, which is not installed -> {_INSTALL}") from error
