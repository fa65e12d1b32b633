"""Weights go to disk and back, and what does not fit is named."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from veracast.core.errors import InputError
from veracast.models.checkpoints import load_weights, restore, save_weights, snapshot, trainable, weights_digest


def test_round_trip_keeps_every_bit(tmp_path: Path) -> None:
    net, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save_weights(trainable(net), tmp_path / "w.safetensors")
    restore(other, load_weights(tmp_path / "w.safetensors", trainable(other)))
    assert torch.equal(net.weight, other.weight)
    assert weights_digest(trainable(net)) == weights_digest(trainable(other))


def test_digest_sees_one_changed_bit_and_a_changed_name() -> None:
    weights = {"a": torch.zeros(2), "b": torch.ones(1)}
    changed = {"a": torch.tensor([0.0, 1e-45]), "b": torch.ones(1)}
    renamed = {"a": torch.zeros(2), "c": torch.ones(1)}
    assert len({weights_digest(w) for w in (weights, changed, renamed)}) == 3


def test_frozen_parameters_stay_out() -> None:
    net = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    net[0].requires_grad_(requires_grad=False)
    assert set(trainable(net)) == {"1.weight", "1.bias"}


def test_a_snapshot_does_not_move() -> None:
    net = nn.Linear(1, 1)
    kept = snapshot(trainable(net))
    with torch.no_grad():
        net.weight.add_(1)
    assert not torch.equal(kept["weight"], net.weight)


def test_other_names_shapes_and_cut_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_weights({"x": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="do not fit this model, first y"):
        load_weights(path, {"x": torch.zeros(2), "y": torch.zeros(1)})
    with pytest.raises(InputError, match="first x"):
        load_weights(path, {"x": torch.zeros(3)})
    path.write_bytes(path.read_bytes()[:10])
    with pytest.raises(InputError, match="cannot be read"):
        load_weights(path)
