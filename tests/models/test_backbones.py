"""Backbones by name and path: sizes, seeds, soft tokens that start close by, clear errors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.models.conftest import TEXTS
from veracast.core.errors import InputError
from veracast.models.backbones import Backbone, load_backbone, load_tokenizer, with_soft_tokens
from veracast.models.checkpoints import weights_digest
from veracast.models.tokenizer import SOFT_TOKENS


def test_tiny_is_between_2_and_5_million_parameters_at_its_full_vocabulary() -> None:
    many = [f"{a}{b}{c}" for a in "abcdefghij" for b in "klmnopqrst" for c in "uvwxyzäöüß"]
    found = load_backbone("tiny", texts=[" ".join(many[i:] + many[:i]) for i in range(0, 1000, 10)])
    assert 2_000_000 < found.parameters < 5_000_000
    assert found.hidden == 192 and found.kind == "text" and found.from_scratch


def test_the_seed_decides_the_weights_and_leaves_the_global_stream_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (load_backbone("tiny", texts=TEXTS, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(1), expected)
    digests = [weights_digest(one.model.state_dict()) for one in (a, b, c)]
    assert digests[0] == digests[1] != digests[2]


def test_a_folder_of_any_causal_model_gets_the_soft_tokens(tiny: Backbone, tmp_path: Path) -> None:
    """A model whose tokenizer knows neither chat turns nor soft tokens: both are added, and the known rows stay as they were."""
    tiny.model.save_pretrained(tmp_path)
    words = load_tokenizer(_saved_without_soft_tokens(tiny, tmp_path))
    before = tiny.model.get_input_embeddings().weight.detach().clone()
    found = load_backbone(str(tmp_path), seed=3)
    after = found.model.get_input_embeddings().weight.detach()
    rows = len(before)
    assert all(token in found.tokenizer.get_vocab() for token in SOFT_TOKENS)
    assert len(found.tokenizer) > len(words)
    torch.testing.assert_close(after[: min(rows, len(words))], before[: min(rows, len(words))])
    assert found.tokenizer.chat_template is not None and not found.from_scratch
    assert {name for name, _ in found.model.named_parameters()} == {name for name, _ in tiny.model.named_parameters()}


def _saved_without_soft_tokens(tiny: Backbone, folder: Path) -> Path:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer, bpe.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    size = tiny.model.config.vocab_size
    bpe.train_from_iterator(
        TEXTS,
        trainers.BpeTrainer(vocab_size=size, special_tokens=["</s>"], initial_alphabet=alphabet, show_progress=False),
    )
    PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="</s>").save_pretrained(folder)
    return folder


def test_new_rows_are_drawn_around_the_mean_and_from_the_seed(tiny: Backbone) -> None:
    weights = []
    for _ in range(2):
        fresh = load_backbone("tiny", texts=TEXTS, seed=1)
        known = fresh.model.get_input_embeddings().weight.shape[0]
        fresh.tokenizer.add_tokens(["<|one|>", "<|two|>"], special_tokens=True)
        with_soft_tokens(fresh.model, fresh.tokenizer, seed=4)
        weights.append(fresh.model.get_input_embeddings().weight.detach()[known:])
    assert weights[0].shape == (2, 192) and torch.equal(weights[0], weights[1])
    old = tiny.model.get_input_embeddings().weight.detach()
    distance = (weights[0] - old.mean(dim=0)).norm(dim=1)
    assert (distance < 0.2 * old.std(dim=0).norm()).all() and (distance > 0).all()


def test_what_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(InputError, match=r"nowhere: cannot be loaded .* -> name tiny, smollm2-135m, or a folder"):
        load_backbone(str(tmp_path / "nowhere"))
    monkeypatch.setenv("VERACAST_MODELS", str(tmp_path))
    with pytest.raises(InputError, match="not in the model cache -> veracast models pull smollm2-135m"):
        load_backbone("smollm2-135m")
