"""Encoders trained once for the same images and settings: read back, told beforehand how long, on those that are kept alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Steps
from veracast.models.checkpoints import weights_digest
from veracast.poison import train_once as module
from veracast.poison.backbones import BackboneConfig
from veracast.poison.demo_images import demo_images
from veracast.poison.ssl import SSLConfig
from veracast.poison.train_once import at_once, trained_once

SMALL = SSLConfig(epochs=1, backbone=BackboneConfig(width=4), batch_size=32, hidden=16, projected=8, threads=1)
PIXELS = demo_images(3, count=96).images


def test_the_same_images_and_settings_are_trained_on_once(tmp_path: Path) -> None:
    first, second = Steps(), Steps()
    one = trained_once(PIXELS, SMALL, digest="d", work=tmp_path, seed=0, progress=first)
    two = trained_once(PIXELS, SMALL, digest="d", work=tmp_path, seed=0, progress=second)
    assert first.names[0] == "time a few steps of training"
    assert first.names[1].startswith("no encoder given: byol on 96 images, 1 epochs, takes about ")
    assert not any("takes about" in name for name in second.names)
    assert np.array_equal(one.encode(PIXELS[:4]), two.encode(PIXELS[:4]))


@pytest.mark.parametrize("other", [{"digest": "e"}, {"seed": 1}, {"kept": np.arange(64)}])
def test_anything_that_decides_the_result_makes_another_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]) -> None:  # fmt: skip
    monkeypatch.setattr(module, "_training_seconds", lambda *_: 1.0)
    usual: dict[str, Any] = {"digest": "d", "work": tmp_path, "seed": 0}
    trained_once(PIXELS, SMALL, **usual)
    trained_once(PIXELS, SMALL, **(usual | other))
    assert len([one for one in tmp_path.glob("encoder-*") if one.is_dir()]) == 2


def test_without_some_images_is_as_if_they_had_never_been_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(module, "_training_seconds", lambda *_: 1.0)
    monkeypatch.setattr(module, "COPIED", 7)  # in chunks
    kept = np.r_[0:40, 50:96]
    some = trained_once(PIXELS, SMALL, digest="d", work=tmp_path, seed=0, kept=kept)
    alone = trained_once(PIXELS[kept], SMALL, digest="other", work=tmp_path, seed=0)
    assert weights_digest(dict(some.network.state_dict())) == weights_digest(dict(alone.network.state_dict()))
    (copy,) = tmp_path.glob("encoder-*.npy")
    assert np.array_equal(np.load(copy), PIXELS[kept])


def test_as_many_at_once_as_the_memory_of_512_small_ones() -> None:
    assert [at_once(edge) for edge in (32, 64, 128, 224, 4096)] == [512, 512, 128, 41, 1]
