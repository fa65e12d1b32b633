"""The self-supervised frame encoder: views by hand, what it learns, resume after a kill, and its file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from veracast.core.errors import InputError
from veracast.data.world_frames import frame_jpeg
from veracast.models import frame_encoder
from veracast.models.frame_encoder import (
    GREY,
    JITTER,
    FrameEncoder,
    TrainedEncoder,
    augment,
    partners,
    small_frames,
    train_encoder,
)


def shown(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def frames() -> pl.DataFrame:
    """Two frames each of 48 videos."""
    draw = np.random.default_rng(0)
    looks = np.repeat(draw.standard_normal(48), 2)
    ids = [f"v{i // 2:02d}" for i in range(96)]
    return pl.DataFrame({"video_id": ids, "jpeg": [frame_jpeg(float(look), draw) for look in looks]})


def test_frames_become_32_pixels_with_colours_in_their_places() -> None:
    pixels = np.zeros((64, 96, 3))
    pixels[:32, :, 0], pixels[:, 48:, 2] = 200, 100
    found = small_frames([shown(pixels)])[0]
    assert found.shape == (3, 32, 32) and found.dtype == torch.uint8
    assert found[0, :16].unique().tolist() == [200] and found[0, 16:].unique().tolist() == [0]
    assert found[2, :, 16:].unique().tolist() == [100] and found[1].unique().tolist() == [0]


def test_what_is_no_picture_or_too_large_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="frames, 2: no picture"):
        small_frames([shown(np.zeros((4, 4, 3))), b"not a picture"])
    monkeypatch.setattr(frame_encoder, "MAX_PIXELS", 15)
    with pytest.raises(InputError, match="frames, 1: 4 x 4 pixels -> at most 15"):
        small_frames([shown(np.zeros((4, 4, 3)))])


def test_the_partner_is_the_next_frame_of_the_video() -> None:
    assert partners(["a", "b", "a", "c", "a", "b"]).tolist() == [2, 5, 4, 3, 0, 1]


def test_views_crop_flip_and_change_colours_within_their_limits() -> None:
    draw = torch.Generator().manual_seed(0)
    n = 4000
    ramp = torch.linspace(0.2, 0.8, 32).expand(n, 3, 32, 32) * torch.tensor([0.6, 0.7, 0.8])[:, None, None]
    found = augment(ramp, draw)
    assert found.shape == ramp.shape and found.min() >= 0 and found.max() <= 1
    assert (augment(ramp, torch.Generator().manual_seed(0)) == found).all() and (found[0] != found[1]).any()
    slope = (found[:, :, 16, -1] - found[:, :, 16, 0]).mean(dim=1)
    assert (slope < 0).float().mean() == pytest.approx(0.5, abs=0.03)  # half are mirrored
    whole = (0.8 - 0.2) * 0.7 * 31 / 32
    assert (
        slope.abs().max() <= whole * (1 + JITTER) ** 2 + 0.02
    )  # never more than the frame, at most contrast x brightness
    grey = (found.amax(dim=1) - found.amin(dim=1)).amax(dim=(1, 2)) < 1e-6
    assert grey.float().mean() == pytest.approx(GREY, abs=0.02)
    tint = ((found[:, 2] - found[:, 0]) / found.mean(dim=1)).mean(dim=(1, 2))[~grey]
    assert tint.min() > (1 - JITTER) * 0.2 / 0.7 / 1.3 and tint.max() < (1 + JITTER) * 0.2 / 0.7 * 1.3


def test_a_view_without_changes_is_the_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    """Area 1, no jitter: only stretched or mirrored; with the middle of every chance not even that."""
    for name, value in (("LEAST_AREA", 1.0), ("JITTER", 0.0), ("GREY", 0.0)):
        monkeypatch.setattr(frame_encoder, name, value)
    monkeypatch.setattr(torch, "rand", lambda *size, generator=None: torch.full(size, 0.5))
    given = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32) / 6144
    torch.testing.assert_close(augment(given), given, atol=1e-5, rtol=0)


def test_it_learns_what_the_frames_of_a_video_share(frames: pl.DataFrame, tmp_path: Path) -> None:
    """The other frame of a video is nearer than the frames of others more often than before the training."""
    torch.set_num_threads(1)
    untrained, _ = frame_encoder._new(0)
    made = train_encoder(frames, epochs=12, folder=tmp_path, seed=0, batch=48)
    losses = made.curve.filter(pl.col("split") == "train")["loss"].to_list()
    assert len(losses) == 24 and np.mean(losses[-4:]) < 0.95 * np.mean(losses[:4])
    assert found_again(made.network, frames) > found_again(untrained, frames)


def found_again(network: FrameEncoder, frames: pl.DataFrame) -> float:
    """Mean share of other videos' frames that are farther than the partner, cosine on centred vectors."""
    vectors = network.encode(frames["jpeg"].to_list()).astype(float)
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    close = vectors @ vectors.T
    partner = partners(frames["video_id"].to_list())
    return float(np.mean([(close[i] < close[i, partner[i]]).mean() for i in range(len(close))]))


def test_stopped_and_started_again_it_ends_with_the_same_weights(
    frames: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    undisturbed = train_encoder(frames, epochs=2, folder=tmp_path / "a", seed=3, batch=32, checkpoint_every_s=0)
    steps: list[int] = []
    real = frame_encoder.vicreg_loss

    def stopped(*views: torch.Tensor) -> torch.Tensor:
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
        return real(*views)

    monkeypatch.setattr(frame_encoder, "vicreg_loss", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_encoder(frames, epochs=2, folder=tmp_path / "b", seed=3, batch=32, checkpoint_every_s=0)
    again = train_encoder(frames, epochs=2, folder=tmp_path / "b", seed=3, batch=32, checkpoint_every_s=0)
    assert again.digest == undisturbed.digest and len(steps) == 4 + 1 + 2
    assert again.digest != train_encoder(frames, epochs=2, folder=tmp_path / "c", seed=4, batch=32).digest


def test_a_saved_encoder_gives_the_same_vectors(frames: pl.DataFrame, tmp_path: Path) -> None:
    made = train_encoder(frames, epochs=1, folder=tmp_path, seed=0, batch=48)
    made.save(tmp_path / "frames.safetensors")
    loaded = TrainedEncoder.load(tmp_path / "frames.safetensors")
    jpegs = frames["jpeg"].to_list()
    np.testing.assert_array_equal(loaded.network.encode(jpegs), made.network.encode(jpegs))
    assert loaded.digest == made.digest
    alone = np.concatenate([loaded.network.encode([jpeg]) for jpeg in jpegs[:3]])
    np.testing.assert_allclose(alone, loaded.network.encode(jpegs)[:3], atol=1e-5)
    with pytest.raises(InputError, match="cannot be read"):
        TrainedEncoder.load(tmp_path / "none.safetensors")


def test_one_frame_or_none_leaves_the_first_weights(frames: pl.DataFrame, tmp_path: Path) -> None:
    first = TrainedEncoder(frame_encoder._new(0)[0]).digest
    for few in (frames.head(0), frames.head(1)):
        found = train_encoder(few, epochs=1, folder=tmp_path, seed=0)
        assert found.digest == first and found.curve.is_empty()
    assert found.network.encode([]).shape == (0, 128)
