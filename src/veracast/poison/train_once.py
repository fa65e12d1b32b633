"""Encoders that an audit trains on the images it audits: once for the same images and settings, in a work folder, resumed when killed.

images (or those that are kept, copied) -> how long it will take, from a few steps -> poison/ssl.py -> WORK/encoder-DIGEST/
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from veracast.core.config import to_dict
from veracast.core.files import code_behind, code_digest
from veracast.core.progress import SILENT, Progress
from veracast.poison.encoder import Encoder
from veracast.poison.ssl import RUNNING, SSLConfig, train_encoder

COPIED = 4_096  # images in memory at once, where some are copied
TIMED_STEPS = 5  # of a training that is thrown away, to say how long the real one takes


def trained_once(pixels: np.ndarray, settings: SSLConfig, *, digest: str, work: Path, seed: int, kept: np.ndarray | None = None, progress: Progress = SILENT) -> Encoder:  # fmt: skip
    """On all images, or on those that are kept, which are then copied into the work folder; one that was killed goes on.

    pixels (n, height, width, 3) uint8; digest: of the images; kept: rows, None = all.
    """
    decides = {key: value for key, value in to_dict(settings).items() if key not in RUNNING}
    which = [] if kept is None else [hashlib.sha256(kept.tobytes()).hexdigest()]
    code = code_digest(*code_behind("poison/ssl.py", within=("poison", "models")))
    facts = json.dumps([digest, decides, seed, code, *which], sort_keys=True)
    name = f"encoder-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    place = work / name
    if kept is not None:
        pixels = _copied(pixels, kept, work / f"{name}.npy")
    if not place.is_dir():
        with progress.step("time a few steps of training"):
            minutes = _training_seconds(pixels, settings, seed) / 60
        why = "no encoder given" if kept is None else "once more without what was found"
        words = f"{why}: {settings.method} on {len(pixels):,} images, {settings.epochs} epochs, takes about {minutes:.1f} minutes (measured)"  # fmt: skip
        with progress.step(words):
            pass  # to be read before the wait, not after it
    return train_encoder(pixels, settings, folder=place, seed=seed, progress=progress)


def at_once(edge_px: int) -> int:
    """Images that are encoded together: as much memory as 512 of 64 px take."""
    return max(1, min(512, 512 * 64**2 // edge_px**2))


def _copied(pixels: np.ndarray, kept: np.ndarray, place: Path) -> np.ndarray:
    """Some images as a file of their own, a chunk in memory at a time; read where it was written before."""
    if not place.is_file():
        temporary = place.with_name(f".{place.name}-{os.getpid()}.npy")
        copy = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(len(kept), *pixels.shape[1:]))
        for low in range(0, len(kept), COPIED):
            copy[low : low + COPIED] = pixels[kept[low : low + COPIED]]
        copy.flush()
        os.replace(temporary, place)
    return np.asanyarray(np.load(place, mmap_mode="r", allow_pickle=False))


def _training_seconds(images: np.ndarray, config: SSLConfig, seed: int) -> float:
    """What a training will take, from a few steps of it that are thrown away; the first one, which warms up, does not count."""
    batch = min(config.batch_size, len(images))
    with TemporaryDirectory() as place:
        few = train_encoder(images[: TIMED_STEPS * batch], replace(config, epochs=1), folder=Path(place), seed=seed)
    seconds = few.curve["seconds"].to_list()
    per_step = (seconds[-1] - seconds[0]) / (len(seconds) - 1) if len(seconds) > 1 else seconds[0]
    return float(per_step * (len(images) // batch) * config.epochs)
