"""Coloured pictures that need no data folder: ten kinds of things before a backdrop, for the demonstration and the tests of the audit.

A class is a shape *and* a way of being coloured: hues, stripes, a usual backdrop. Within a class all of it varies: place, size, turn and
stretch, hues, light, a backdrop of slopes and clouds, clutter behind and in front, noise of the camera. So pixels and colours alone tell
the classes badly, an encoder trained on the pictures tells them better, and no block of pixels is the same twice: what recurs was planted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from veracast.core.errors import ConfigError
from veracast.core.seeds import stream

EDGE_PX = 32
_CHUNK = 500  # drawn at once, and always whole: a larger set begins with the smaller one
_OCTAVES = (3, 6, 12)  # cells of a cloud across the picture
_CLUTTER_BEHIND, _CLUTTER_IN_FRONT = 3, 1
_IN_FRONT = 0.25  # share of pictures with something before the thing


class DemoImages(NamedTuple):
    """Images of classes 0-9, as many of each as of any other in every 500; labels are the judge's: no audit sees them."""

    images: UInt8[np.ndarray, "n 32 32 3"]
    labels: Int[np.ndarray, " n"]


class _Look(NamedTuple):
    """hue, backdrop: in [0, 1) of the colour circle; waves: stripes across the thing; depth: of its stripes, in [0, 1]."""

    outline: Callable[[np.ndarray, np.ndarray], np.ndarray]
    hue: float
    backdrop: float
    waves: float
    depth: float


def _disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(u, v) - 0.85)


def _ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(np.hypot(u, v) - 0.7) - 0.23)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(u), np.abs(v)) - 0.75)


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(
        np.max([u * np.cos(a) + v * np.sin(a) - 0.5 for a in (np.pi / 2, 7 * np.pi / 6, 11 * np.pi / 6)], axis=0)
    )


def _star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(u, v) - 0.65 - 0.3 * np.cos(5 * np.arctan2(v, u)))


def _cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    wide, high = np.maximum(np.abs(u) - 0.95, np.abs(v) - 0.28), np.maximum(np.abs(v) - 0.95, np.abs(u) - 0.28)
    return np.asarray(np.minimum(wide, high))


def _bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.abs(u) - 1.1, np.abs(v) - 0.35))


def _crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(np.hypot(u, v) - 0.95, 0.75 - np.hypot(u - 0.5, v)))


def _clover(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.hypot(u, v) - 0.65 - 0.27 * np.cos(3 * np.arctan2(v, u)))


def _pair(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum(np.hypot(u - 0.6, v), np.hypot(u + 0.6, v)) - 0.45)


LOOKS = (
    _Look(_disc, 0.02, 0.55, 0.0, 0.0), _Look(_ring, 0.12, 0.60, 2.0, 0.3), _Look(_square, 0.58, 0.10, 3.0, 0.6),
    _Look(_triangle, 0.35, 0.95, 1.0, 0.3), _Look(_star, 0.15, 0.70, 0.0, 0.0), _Look(_cross, 0.98, 0.30, 2.0, 0.5),
    _Look(_bar, 0.78, 0.35, 4.0, 0.6), _Look(_crescent, 0.66, 0.05, 1.0, 0.2), _Look(_clover, 0.88, 0.40, 0.0, 0.0),
    _Look(_pair, 0.45, 0.85, 3.0, 0.4),
)  # fmt: skip
"""What each class looks like on average; neighbours on the colour circle differ in shape and stripes."""


def demo_images(seed: int, *, count: int = 3_000) -> DemoImages:
    """The first `count` pictures of a seed; the same seed, the same bytes. ConfigError for a count below 1."""
    if count < 1:
        raise ConfigError([f"count is {count}, expected 1 or more"])
    images = np.empty((count, EDGE_PX, EDGE_PX, 3), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for low in range(0, count, _CHUNK):
        drawn = _chunk(stream(seed, "poison", "demo images", str(low // _CHUNK)))
        part = slice(low, min(low + _CHUNK, count))
        images[part], labels[part] = (rows[: part.stop - low] for rows in drawn)
    return DemoImages(images, labels)


def _chunk(rng: np.random.Generator) -> DemoImages:
    labels = rng.permutation(np.arange(_CHUNK) % len(LOOKS))
    picture = _backdrop(labels, rng)
    for _ in range(_CLUTTER_BEHIND):
        picture = _with_clutter(picture, rng, share=0.6)
    picture = _with_thing(picture, labels, rng)
    for _ in range(_CLUTTER_IN_FRONT):
        picture = _with_clutter(picture, rng, share=_IN_FRONT)
    return DemoImages(_shot(picture, rng), labels)


def _backdrop(labels: np.ndarray, rng: np.random.Generator) -> Float32[np.ndarray, "n 32 32 3"]:
    """A slope from one colour to another, with clouds; three in four have the usual hue of their class, more or less."""
    usual = np.array([look.backdrop for look in LOOKS])[labels]
    hue = np.where(rng.random(len(labels)) < 0.75, usual + rng.normal(0, 0.07, len(labels)), rng.random(len(labels)))
    ends = [_rgb(hue + rng.normal(0, 0.04, len(labels)), rng.uniform(0.1, 0.6, len(labels)), rng.uniform(0.2, 0.95, len(labels))) for _ in range(2)]  # fmt: skip
    across, down = _grid()
    turn = rng.uniform(0, 2 * np.pi, (len(labels), 1, 1))
    slope = 0.5 + 0.5 * (np.cos(turn) * across + np.sin(turn) * down) + 0.25 * _clouds(len(labels), 1, rng)[..., 0]
    share = slope.clip(0, 1)[..., None]
    mixed = ends[0][:, None, None] * (1 - share) + ends[1][:, None, None] * share
    return np.asarray(mixed + 0.05 * _clouds(len(labels), 3, rng), dtype=np.float32)


def _with_clutter(picture: np.ndarray, rng: np.random.Generator, *, share: float) -> np.ndarray:
    """An ellipse of any colour and place on a share of the pictures."""
    n = len(picture)
    u, v = _frame(rng.uniform(-1.1, 1.1, (n, 2)), rng.uniform(0, np.pi, n), np.exp(rng.uniform(-2.0, -0.7, (n, 2))))
    cover = _inside(np.hypot(u, v) - 1, softness=0.25) * rng.uniform(0.3, 0.9, (n, 1, 1)) * (rng.random((n, 1, 1)) < share)  # fmt: skip
    colour = _rgb(rng.random(n), rng.uniform(0.0, 0.8, n), rng.uniform(0.1, 1.0, n))[:, None, None]
    return np.asarray(picture + cover[..., None] * (colour - picture))


def _with_thing(picture: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What the class is named by, striped and shaded."""
    n = len(labels)
    size = rng.uniform(0.35, 0.68, (n, 1)) * np.exp(rng.normal(0, 0.1, (n, 2)))
    u, v = _frame(rng.uniform(-0.4, 0.4, (n, 2)), rng.uniform(0, 2 * np.pi, n), size)
    outline = np.empty_like(u)
    for number, look in enumerate(LOOKS):
        mine = labels == number
        outline[mine] = look.outline(u[mine], v[mine])
    hue, waves, depth = (np.array([look[k] for look in LOOKS])[labels] for k in (1, 3, 4))
    turn, phase, pace = (rng.uniform(low, high, (n, 1, 1)) for low, high in ((-0.3, 0.3), (0.0, 6.28), (0.75, 1.25)))
    stripes = np.sin(np.pi * waves[:, None, None] * pace * (u * np.cos(turn) + v * np.sin(turn)) + phase)
    light = 1 + depth[:, None, None] * 0.6 * stripes + 0.15 * _clouds(n, 1, rng)[..., 0]
    colour = _rgb(hue + rng.normal(0, 0.045, n), rng.uniform(0.45, 0.95, n), rng.uniform(0.45, 0.95, n))
    cover = _inside(outline, softness=0.12)[..., None]
    return np.asarray(picture * (1 - cover) + cover * light[..., None] * colour[:, None, None])


def _shot(picture: np.ndarray, rng: np.random.Generator) -> UInt8[np.ndarray, "n 32 32 3"]:
    """As a camera gives it: exposure, a cast of colour, noise."""
    n = len(picture)
    exposure = rng.uniform(0.7, 1.2, (n, 1, 1, 1)) * rng.normal(1, 0.04, (n, 1, 1, 3))
    noise = rng.uniform(0.008, 0.03, (n, 1, 1, 1)) * rng.standard_normal(picture.shape, dtype=np.float32)
    return np.asarray(np.rint(255 * (picture * exposure + noise)).clip(0, 255), dtype=np.uint8)


def _grid() -> tuple[np.ndarray, np.ndarray]:
    """Across and down, (1, 32, 32) each, from -1 to 1."""
    steps = ((np.arange(EDGE_PX) + 0.5) / EDGE_PX * 2 - 1).astype(np.float32)
    down, across = np.meshgrid(steps, steps, indexing="ij")
    return across[None], down[None]


def _frame(centre: np.ndarray, turn: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n, 32, 32) in which a thing at `centre` (n, 2), turned and of half-axes `size` (n, 2), is the unit square."""
    across, down = _grid()
    x, y = across - centre[:, 0, None, None], down - centre[:, 1, None, None]
    cos, sin = np.cos(turn)[:, None, None], np.sin(turn)[:, None, None]
    return (x * cos + y * sin) / size[:, 0, None, None], (y * cos - x * sin) / size[:, 1, None, None]


def _inside(outline: np.ndarray, *, softness: float) -> np.ndarray:
    """1 inside (outline < 0), 0 outside, a ramp of width `softness` between."""
    return np.asarray((0.5 - outline / softness).clip(0, 1))


def _clouds(n: int, channels: int, rng: np.random.Generator) -> Float[np.ndarray, "n 32 32 channels"]:
    """Smooth noise of deviation about 1: each octave half as strong as the one before."""
    found = np.zeros((n, EDGE_PX, EDGE_PX, channels))
    for k, cells in enumerate(_OCTAVES):
        places = np.linspace(0, cells - 1, EDGE_PX)
        weights = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(cells)))  # (32, cells): bilinear
        grid = rng.standard_normal((n, cells, cells, channels)) / 2**k
        down = np.tensordot(weights, grid, axes=(1, 1))  # (32, n, cells, channels)
        found += np.tensordot(weights, down, axes=(1, 2)).transpose(2, 1, 0, 3)
    return found


def _rgb(hue: np.ndarray, saturation: np.ndarray, value: np.ndarray) -> Float[np.ndarray, "n 3"]:
    """HSV to RGB, all in [0, 1]; hues wrap around."""
    sector = (6 * hue[:, None] + np.array([5, 3, 1])) % 6
    ramp = np.minimum(sector, 4 - sector).clip(0, 1)
    return np.asarray(value[:, None] * (1 - saturation[:, None] * ramp))
