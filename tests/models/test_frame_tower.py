"""The real Qwen2-VL tower from a tiny random config: against a call of its own, kept once, and a backbone without one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.test_pictures import jpeg, seeing  # noqa: F401 - the fixture
from veracast.core.errors import ConfigError
from veracast.models import frame_tower
from veracast.models.backbones import Backbone
from veracast.models.frame_tower import TOKENS, Tower, tower_vectors
from veracast.models.pictures import PictureReader


def test_a_frame_is_the_mean_of_its_image_tokens(seeing: Backbone, tmp_path: Path) -> None:  # noqa: F811
    shown = [jpeg(0), jpeg(1, size=(90, 30))]
    found = tower_vectors([*shown, shown[0]], name=seeing.name, store=tmp_path / "store")
    reader = PictureReader(seeing.model.config.vision_config, tokens=TOKENS)
    with torch.no_grad():
        for vector, one in zip(found, shown, strict=False):
            own = reader.read([one])
            tokens = seeing.model.get_image_features(own.patches, own.grid).pooler_output[0]
            assert tokens.shape == (TOKENS * TOKENS, seeing.hidden)
            np.testing.assert_allclose(vector, tokens.mean(dim=0).numpy(), atol=1e-3)  # kept as float16
    np.testing.assert_array_equal(found[2], found[0])
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_frames_that_are_kept_need_no_backbone(
    seeing: Backbone,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = tower_vectors([jpeg(0), jpeg(1)], name=seeing.name, store=tmp_path / "store")
    asked: list[int] = []
    real = Tower.encode
    monkeypatch.setattr(Tower, "encode", lambda self, jpegs: (asked.append(len(jpegs)), real(self, jpegs))[1])
    tower_vectors([jpeg(1), jpeg(2)], name=seeing.name, store=tmp_path / "store")
    assert asked == [1]

    def never(name: str) -> Backbone:
        raise RuntimeError(f"{name} was loaded")

    monkeypatch.setattr(frame_tower, "load_backbone", never)
    again = tower_vectors([jpeg(1), jpeg(0)], name=f"{seeing.name}/", store=tmp_path / "store")
    np.testing.assert_array_equal(again, first[::-1])


def test_a_backbone_without_a_tower_is_named(tiny: Backbone) -> None:
    with pytest.raises(ConfigError, match=r"graph.frames = tower: tiny has no vision tower -> name a vision-language"):
        Tower(tiny)
