"""Vectors of texts are encoded once and survive a kill between their two files."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer  # where releases 5 and 6 both have them
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertConfig, BertModel, BertTokenizerFast

from veracast.core.errors import ConfigError
from veracast.models import text_store
from veracast.models.text_store import load_encoder, text_vectors

TEXTS = ["a cat on the roof", "two dogs in the rain", "the roof of a house in the rain, seen by two cats", "dogs"]


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


def test_an_encoder_whose_package_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(ConfigError, match=r"some-model: needs sentence-transformers -> pip install 'veracast\[text\]'"):
        load_encoder("some-model")


def test_a_folder_that_holds_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be loaded .* -> name a sentence-transformers model"):
        load_encoder(str(tmp_path))


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    """A sentence-transformers model of two random BERT layers and mean pooling, its tokenizer trained here, as a folder."""
    words = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words.train_from_iterator(TEXTS, trainers.WordPieceTrainer(vocab_size=120, special_tokens=special, show_progress=False))  # fmt: skip
    BertTokenizerFast(tokenizer_object=words).save_pretrained(tmp_path / "bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=words.get_vocab_size(), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=48, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(tmp_path / "bert")
    inner = Transformer(str(tmp_path / "bert"))
    SentenceTransformer(modules=[inner, Pooling(32)], device="cpu").save(str(tmp_path / "model"))
    return tmp_path / "model"


def test_a_sentence_transformers_model_is_read_by_its_folder(
    saved_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.set_num_threads(1)
    store = tmp_path / "store"
    found = text_vectors([*TEXTS, None, TEXTS[0]], store=store, encoder=str(saved_model))
    own = SentenceTransformer(str(saved_model), device="cpu").encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(found[: len(TEXTS)], own, atol=1e-3)  # kept as float16
    assert np.abs(own[0] - own[1]).max() > 0.01 and not found[len(TEXTS)].any()
    np.testing.assert_array_equal(found[-1], found[0])

    loads: list[str] = []
    real = text_store.load_encoder
    monkeypatch.setattr(text_store, "load_encoder", lambda name: (loads.append(name), real(name))[1])
    again = text_vectors(TEXTS, store=store, encoder=f"{saved_model}/")
    np.testing.assert_array_equal(again, found[: len(TEXTS)])
    assert loads == [] and len(list(store.iterdir())) == 1

    weights = load_file(saved_model / "model.safetensors")
    save_file({n: w + 0.3 * torch.randn_like(w) for n, w in weights.items()}, saved_model / "model.safetensors", {"format": "pt"})  # fmt: skip
    trained_on = text_vectors(TEXTS, store=store, encoder=str(saved_model))
    assert len(loads) == 1 and np.abs(trained_on - again).max() > 0.01
