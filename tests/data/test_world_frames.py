"""Frames: their brightness carries the component, and nothing else about them does."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from veracast.data.world_frames import EDGE_PX, frame_jpeg, seen_component


@pytest.mark.parametrize("component", [-3.0, -1.0, 0.0, 1.0, 3.0])
def test_the_component_can_be_read_back(component: float) -> None:
    # bright grounds lose a little where a tinted channel is clipped at 255
    seen = [seen_component(frame_jpeg(component, np.random.default_rng(k))) for k in range(10)]
    assert np.mean(seen) == pytest.approx(component, abs=0.15)


def test_extremes_are_clipped_where_stated() -> None:
    dark = seen_component(frame_jpeg(-9.0, np.random.default_rng(0)))
    assert dark == pytest.approx((16 - 128) / 28, abs=0.1)


def test_hue_and_disc_say_nothing() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(300)
    red = []
    for value in values:
        with Image.open(io.BytesIO(frame_jpeg(float(value), rng))) as picture:
            pixels = np.asarray(picture.convert("RGB"), dtype=float).mean(axis=(0, 1))
        red.append(pixels[0] / pixels.sum())
    assert abs(np.corrcoef(values, red)[0, 1]) < 4 / np.sqrt(300)


def test_same_stream_same_bytes_and_size() -> None:
    a, b = (frame_jpeg(0.5, np.random.default_rng(7)) for _ in range(2))
    assert a == b
    assert a != frame_jpeg(0.5, np.random.default_rng(8))
    with Image.open(io.BytesIO(a)) as picture:
        assert (picture.format, picture.size) == ("JPEG", (EDGE_PX, EDGE_PX))
