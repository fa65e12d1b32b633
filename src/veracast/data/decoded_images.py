"""Images that are decoded once: an audit of the same files reads them back from a work folder.

sources -> stamps (path, size, time of change of every file) -> WORK/images-DIGEST/, made by read_images where it is not there
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from veracast.core.files import code_digest
from veracast.core.progress import SILENT, Progress
from veracast.data.images import FRAMES_PER_VIDEO, ImageSet, open_images, read_images

KEPT_SETS = 4  # decoded sets of images that stay in a cache, beside the one that is asked for


def decoded_images(sources: Sequence[Path], work: Path, *, edge_px: int, frames_per_video: int = FRAMES_PER_VIDEO, sweep: bool = False, progress: Progress = SILENT) -> ImageSet:  # fmt: skip
    """As read_images; read back where an earlier call on the same files got so far. sweep: of older sets in the folder KEPT_SETS stay."""
    digest = hashlib.sha256(f"{edge_px} {frames_per_video} {code_digest('data')}".encode())
    for stamp in (stamp for source in sources for stamp in _stamps(source)):
        digest.update(repr(stamp).encode())
    place = work / f"images-{digest.hexdigest()[:16]}"
    if sweep:
        _sweep(work, place)
    if (place / "images.json").is_file():
        os.utime(place)
        return open_images(place)
    return read_images(sources, place, edge_px=edge_px, frames_per_video=frames_per_video, progress=progress)  # fmt: skip


def _sweep(work: Path, asked: Path) -> None:
    """In the cache the sets of decoded images that were used last stay; of other folders their owner is the master."""
    sets = sorted((one for one in work.glob("images-*") if one != asked), key=lambda one: one.stat().st_mtime, reverse=True)  # fmt: skip
    for old in sets[KEPT_SETS:]:
        shutil.rmtree(old, ignore_errors=True)


def _stamps(source: Path) -> Iterator[tuple[bytes, int, int]]:
    """Path, size and time of change of every file of a source, those that a list names too: cheap to ask, and no content is read."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    if source.suffix.lower() == ".txt" and source.is_file():
        lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
        files += [source.parent / line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for path in files:
        with contextlib.suppress(OSError, ValueError):  # what cannot be asked cannot be read either
            known = path.stat()
            yield os.fsencode(path.absolute()), known.st_size, known.st_mtime_ns
