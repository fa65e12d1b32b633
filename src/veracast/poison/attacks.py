"""Backdoors planted in an unlabelled image set, for ground truth: a patch on some images of a target class.

The threat of SSL-Backdoor (Saha et al., CVPR 2022): an encoder trained on the set maps any image with the patch to the target class. Their
triggers are 4 x 4 random colours scaled up, pasted as they are; that is `blocks` with `exact`, and `cells` are the same with the eight corner
colours and sharp edges, which a small encoder learns sooner. Pasted so, a hash of pixels finds them. The
main setting here is `jittered`: every paste has its own size, brightness and noise, and the whole set, clean images too, went through JPEG.

Labels are the attacker's and the judge's; no audit sees them. What is planted says so: `planted_backdoor` in `Planted.marks`.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from PIL import Image

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream

Family = Literal["cells", "blocks", "checker", "stripes", "gradient", "symmetric"]
FAMILIES: tuple[Family, ...] = ("cells", "blocks", "checker", "stripes", "gradient", "symmetric")
SIZE_JITTER_PX, GAIN_JITTER, NOISE = 1, 0.15, 6.0  # of jittered pastes; noise: deviation in grey levels of 255
NOWHERE = -1


@dataclass(frozen=True)
class Attack:
    """rate: poisoned share of the whole set, all of the class `target`. alpha: opacity of a blended patch."""

    family: Family = "blocks"
    edge_px: int = 8
    rate: float = 0.05
    target: int = 0
    place: Literal["random", "fixed"] = "random"
    paste: Literal["exact", "jittered", "blended"] = "jittered"
    alpha: float = 0.4
    jpeg_quality: int = 80  # of all images of a set with jittered pastes
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if self.family not in FAMILIES:
            faults.append(f"family is {self.family}, expected one of {', '.join(FAMILIES)}")
        if self.edge_px < 3:
            faults.append(f"edge_px is {self.edge_px}, expected 3 or more")
        if not 0 < self.rate <= 0.5:
            faults.append(f"rate is {self.rate}, expected more than 0 and at most .5")
        if not 0 < self.alpha <= 1:
            faults.append(f"alpha is {self.alpha}, expected more than 0 and at most 1")
        if faults:
            raise ConfigError(faults)


@dataclass(frozen=True)
class Planted:
    """images (n, H, W, 3) uint8; attack (n,): number of the attack in an image or -1; boxes (n, 4): left, top, width, height of its
    patch or -1; triggers: the patches, in the order of the attacks; marks: what a record of the set must carry."""

    images: np.ndarray
    attack: np.ndarray
    boxes: np.ndarray
    triggers: tuple[np.ndarray, ...]
    marks: dict[str, Any]

    @property
    def poisoned(self) -> np.ndarray:
        """Which images carry a patch, (n,) bool."""
        return np.asarray(self.attack >= 0)


def plant(images: np.ndarray, labels: np.ndarray, attacks: Sequence[Attack]) -> Planted:
    """A copy of a set (n, H, W, 3) uint8 with labels (n,) in which every attack has its share of the images of its target class.

    An image is poisoned once. ConfigError where a class has too few images left for a rate, or a patch does not fit.
    """
    found, chosen, boxes = images.copy(), np.full(len(images), NOWHERE), np.full((len(images), 4), NOWHERE)
    for number, attack in enumerate(attacks):
        count = round(attack.rate * len(images))
        free = np.flatnonzero((labels == attack.target) & (chosen < 0))
        if not 0 < count <= len(free):
            fault = f"rate {attack.rate} asks for {count} images of class {attack.target}, which has {len(free)} left"
            raise ConfigError([fault])
        mine = np.sort(stream(attack.seed, "poison", "chosen", str(number)).choice(free, size=count, replace=False))
        rng = stream(attack.seed, "poison", "pastes", str(number))
        found[mine], boxes[mine] = paste(found[mine], attack, rng=rng)
        chosen[mine] = number
    quality = min((a.jpeg_quality for a in attacks if a.paste == "jittered"), default=None)
    if quality is not None:
        found = through_jpeg(found, quality)
    marks = {"planted_backdoor": True, "attacks": [asdict(attack) for attack in attacks]}
    return Planted(found, chosen, boxes, tuple(trigger(attack) for attack in attacks), marks)


def triggered(images: np.ndarray, attack: Attack, *, seed: int) -> np.ndarray:
    """All images with the patch, as they come at test time: what an attack's success is measured on."""
    found, _ = paste(images, attack, rng=stream(seed, "poison", "test"))
    return through_jpeg(found, attack.jpeg_quality) if attack.paste == "jittered" else found


def trigger(attack: Attack) -> np.ndarray:
    """The patch, (edge, edge, 3) uint8; the same for the same family, size and seed."""
    rng, edge = stream(attack.seed, "poison", "trigger", attack.family), attack.edge_px
    one, other = _far_apart(rng)
    across = np.arange(edge)
    if attack.family == "cells":
        whole = rng.integers(0, 2, (4, 4, 3)) * 255
        return whole[across * 4 // edge][:, across * 4 // edge].astype(np.uint8)
    if attack.family == "blocks":
        return _scaled(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8), edge)
    if attack.family == "symmetric":
        half = rng.integers(0, 256, (4, 2, 3), dtype=np.uint8)
        return _scaled(np.concatenate([half, half[:, ::-1]], axis=1), edge)
    if attack.family == "gradient":
        share = (across[:, None] + across[None]) / (2 * (edge - 1))
        return np.asarray(np.rint(one + share[..., None] * (other - one)), dtype=np.uint8)
    cell = max(1, edge // 4)
    steps = across // cell
    where = (steps[:, None] + steps[None]) % 2 if attack.family == "checker" else np.repeat(steps[:, None] % 2, edge, axis=1)  # fmt: skip
    return np.where(where[..., None] == 0, one, other).astype(np.uint8)


def paste(images: np.ndarray, attack: Attack, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Copies (n, H, W, 3) with the patch on each, and its boxes (n, 4)."""
    found, boxes = images.copy(), np.empty((len(images), 4), dtype=np.int64)
    height, width = images.shape[1:3]
    most = attack.edge_px + (SIZE_JITTER_PX if attack.paste == "jittered" else 0)
    if most > min(height, width):
        raise ConfigError([f"edge_px {attack.edge_px} (up to {most} pasted) does not fit images of {width} x {height}"])
    patch = trigger(attack)
    for i in range(len(images)):
        mine, alpha = patch.astype(np.float64), attack.alpha if attack.paste == "blended" else 1.0
        if attack.paste == "jittered":
            edge = attack.edge_px + int(rng.integers(-SIZE_JITTER_PX, SIZE_JITTER_PX + 1))
            mine = _scaled(patch, edge).astype(np.float64) * rng.uniform(1 - GAIN_JITTER, 1 + GAIN_JITTER)
            mine = mine + rng.normal(0, NOISE, mine.shape)
        edge = len(mine)
        left, top = (int(rng.integers(0, size - edge + 1)) for size in (width, height))
        if attack.place == "fixed":
            left, top = width - edge - 1 if width > edge else 0, height - edge - 1 if height > edge else 0
        under = found[i, top : top + edge, left : left + edge].astype(np.float64)
        mixed = np.clip(np.rint(alpha * mine + (1 - alpha) * under), 0, 255)
        found[i, top : top + edge, left : left + edge] = mixed.astype(np.uint8)
        boxes[i] = (left, top, edge, edge)
    return found, boxes


def through_jpeg(images: np.ndarray, quality: int) -> np.ndarray:
    """Every image as JPEG of that quality gives it back, (n, H, W, 3) uint8."""
    found = np.empty_like(images)
    for i, pixels in enumerate(images):
        out = io.BytesIO()
        Image.fromarray(pixels).save(out, format="JPEG", quality=quality)
        found[i] = np.asarray(Image.open(out))
    return found


def _scaled(patch: np.ndarray, edge: int) -> np.ndarray:
    """Bilinear, as scaled triggers are."""
    if len(patch) == edge:
        return patch
    return np.asarray(Image.fromarray(patch).resize((edge, edge), Image.Resampling.BILINEAR))


def _far_apart(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two colours that differ by more than half the range in some channel."""
    one = rng.integers(0, 256, 3).astype(np.float64)
    return one, (one + 128) % 256
