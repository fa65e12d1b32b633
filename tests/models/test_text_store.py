"""Vectors of texts are encoded once and survive a kill between their two files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.models.text_store import load_encoder, text_vectors


class Counting:
    """Length and first character of a text, and how many texts it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(t), ord(t[0])] for t in texts], dtype=np.float32)


def test_rows_follow_the_texts_and_blanks_are_zero(tmp_path: Path) -> None:
    found = text_vectors(["bb", None, "a", "bb", "  "], store=tmp_path, encoder="fake", encode=Counting())
    assert found.tolist() == [[2, 98], [0, 0], [1, 97], [2, 98], [0, 0]]


def test_each_distinct_text_is_encoded_once_ever(tmp_path: Path) -> None:
    encode = Counting()
    text_vectors(["a", "b", "a"], store=tmp_path, encoder="fake", encode=encode)
    text_vectors(["b", "c"], store=tmp_path, encoder="fake", encode=encode)
    assert sorted(encode.asked) == ["a", "b", "c"]


def test_vectors_without_their_keys_do_not_count(tmp_path: Path) -> None:
    text_vectors(["a", "b"], store=tmp_path, encoder="fake", encode=Counting())
    keys = next((tmp_path / "fake").glob("*.keys.npy"))
    keys.unlink()  # killed after the vectors, before the keys
    encode = Counting()
    assert text_vectors(["b"], store=tmp_path, encoder="fake", encode=encode).tolist() == [[1, 98]]
    assert encode.asked == ["b"]


def test_an_unknown_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="some-model"):
        load_encoder("some-model")
