"""The encoder: features in batches and from disk, its folder, collapse by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from veracast.core.errors import InputError
from veracast.models.checkpoints import save_weights
from veracast.poison.backbones import BackboneConfig
from veracast.poison.encoder import CURVE, Encoder, pixels, spread_of

SMALL = BackboneConfig(width=2)


def encoder(seed: int = 0) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = SMALL.build()
        network(torch.rand(16, 3, 32, 32))  # running statistics away from their start
    curve = pl.DataFrame([(1, 0.5, 2.0, 0.1, 0.01)], schema=CURVE, orient="row")
    return Encoder(network.eval(), SMALL, curve)


def images(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 32, 32, 3), dtype=np.uint8)


def test_pixels_are_channels_first_in_one() -> None:
    one = np.zeros((1, 2, 3, 3), dtype=np.uint8)
    one[0, 1, 2] = (255, 51, 0)
    found = pixels(one)
    assert found.shape == (1, 3, 2, 3)
    torch.testing.assert_close(found[0, :, 1, 2], torch.tensor([1.0, 0.2, 0.0]))
    assert float(found.sum()) == pytest.approx(1.2)


@pytest.mark.parametrize(
    "bad", [np.zeros((1, 3, 8, 8), np.uint8), np.zeros((1, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8)]
)
def test_other_arrays_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(n, height, width, 3\)"):
        pixels(bad)


def test_features_are_the_networks_in_any_batch_and_from_a_memmap(tmp_path: Path) -> None:
    one, given = encoder(), images()
    with torch.no_grad():
        expected = one.network(torch.from_numpy(given.transpose(0, 3, 1, 2).astype(np.float32) / 255)).numpy()
    raw = one.encode(given, normalised=False)
    assert (raw.dtype, raw.shape) == (np.float32, (5, 16))
    np.testing.assert_allclose(raw, expected, atol=1e-6)
    np.testing.assert_allclose(one.encode(given, batch=2, normalised=False), raw, atol=1e-6)
    np.testing.assert_allclose(one.encode(given), raw / np.linalg.norm(raw, axis=1, keepdims=True), atol=1e-6)
    given.tofile(tmp_path / "pixels.u8")
    mapped = np.memmap(tmp_path / "pixels.u8", dtype=np.uint8, mode="r", shape=given.shape)
    assert np.array_equal(one.encode(mapped), one.encode(given))
    assert one.encode(given[:0]).shape == (0, 16)


def test_encoding_never_moves_running_statistics() -> None:
    one = encoder()
    before = one.digest
    one.network.train()
    one.encode(images())
    assert one.digest == before


def test_what_is_saved_is_read_back(tmp_path: Path) -> None:
    one = encoder()
    one.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert (again.digest, again.config) == (one.digest, SMALL)
    assert again.curve.equals(one.curve)
    assert np.array_equal(again.encode(images()), one.encode(images()))
    assert sorted(p.name for p in (tmp_path / "encoder").iterdir()) == ["config.json", "curve.parquet", "weights.safetensors"]  # fmt: skip
    assert encoder(1).digest != one.digest


def test_a_folder_that_is_not_whole_or_was_changed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no encoder"):
        Encoder.load(tmp_path)
    encoder().save(tmp_path / "encoder")
    save_weights(encoder(1).network.state_dict(), tmp_path / "encoder" / "weights.safetensors")
    with pytest.raises(InputError, match="not those that were saved"):
        Encoder.load(tmp_path / "encoder")
    head = json.loads((tmp_path / "encoder" / "config.json").read_text())
    head["backbone"]["name"] = "resnet50"
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(head))
    with pytest.raises(InputError, match="resnet50"):
        Encoder.load(tmp_path / "encoder")


def test_spread_is_0_for_one_direction_and_1_for_opposite_ones() -> None:
    assert spread_of(np.array([[1.0, 2.0], [2.0, 4.0], [3.0, 6.0]])) == pytest.approx(0, abs=1e-12)
    # corners of a square, (+-1, +-1) / sqrt 2: deviation 1 / sqrt 2 in both dimensions
    assert spread_of(np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])) == pytest.approx(1)
