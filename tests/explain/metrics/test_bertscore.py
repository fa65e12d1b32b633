"""Greedy matching by hand; tiny random models beside the formula written out over a padded batch."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.bertscore import BertScore, Tokens, bert_score, greedy

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

TOLD = ["a cat on the roof", "two dogs in the rain today", "the roof of a house"]
REFERENCES = [["the cat sits on a roof"], ["dogs in the rain"], ["a house in the rain"]]


def tokens(*vectors: tuple[float, float], special: tuple[int, ...] = ()) -> Tokens:
    return Tokens(np.array(vectors), np.array([k not in special for k in range(len(vectors))]))


def test_three_tokens_meet_two_by_hand() -> None:
    """Cosines  (1, 0): 1, .6 | (0, 1): 0, .8 | (-1, 0): -1, -.6. Rows' largest 1, .8, -.6; columns' largest 1, .8."""
    found = greedy(tokens((1, 0), (0, 1), (-1, 0)), tokens((1, 0), (0.6, 0.8)))
    assert found == pytest.approx((0.4, 0.9, 2 * 0.4 * 0.9 / 1.3))


def test_special_tokens_do_not_count_but_may_be_met() -> None:
    """The first of both is special: (0, 1) told meets it in the reference with 1, and the reference's (1, 0) meets (0, 1) or the first told, (.6, .8)."""
    found = greedy(tokens((0.6, 0.8), (0, 1), special=(0,)), tokens((0, 1), (1, 0), special=(0,)))
    assert found == pytest.approx((1, 0.6, 1.2 / 1.6))


def test_what_is_opposite_or_has_no_tokens_has_an_f1_of_0() -> None:
    assert greedy(tokens((1, 0)), tokens((-1, 0))) == (-1, -1, 0)
    assert greedy(tokens((1, 0), special=(0,)), tokens((1, 0))) == (0, 0, 0)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two random layers and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for text in [*TOLD, *(each[0] for each in REFERENCES)] for word in text.split()})]  # fmt: skip
    words = tokenizers.Tokenizer(tokenizers.models.WordPiece({word: k for k, word in enumerate(vocabulary)}, unk_token="[UNK]"))  # fmt: skip
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.post_processor = tokenizers.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.BertTokenizerFast(tokenizer_object=words).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 12}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.BertModel(transformers.BertConfig(vocab_size=len(vocabulary), initializer_range=0.5, **sizes)).save_pretrained(folder)  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def llama(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with the same words and no special tokens."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    words = transformers.PreTrainedTokenizerFast(tokenizer_file=str(bert / "tokenizer.json"))
    words.backend_tokenizer.post_processor = tokenizers.processors.Sequence([])
    words.save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "intermediate_size": 24}  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.LlamaModel(transformers.LlamaConfig(vocab_size=len(words), initializer_range=0.5, **sizes)).save_pretrained(folder)  # fmt: skip
    return folder


def table(found: BertScore) -> np.ndarray:
    return np.stack([found.precision, found.recall, found.f1], axis=1)


def padded_formula(folder: Path, layer: int) -> np.ndarray:
    """Of TOLD and REFERENCES, the way of the authors' program: one padded batch a side, weights 0 for [CLS] and [SEP], -inf for padding."""
    read, model = transformers.BertTokenizerFast.from_pretrained(folder), transformers.BertModel.from_pretrained(folder).eval()  # fmt: skip
    sides = [read(texts, padding=True, return_tensors="pt") for texts in (TOLD, [each[0] for each in REFERENCES])]
    with torch.no_grad():
        states = [model(**side, output_hidden_states=True).hidden_states[layer].double() for side in sides]
    told, reference = (torch.nn.functional.normalize(one, dim=-1) for one in states)
    cosines = torch.einsum("bid,bjd->bij", told, reference)
    there = [side["attention_mask"].bool() for side in sides]
    cosines = cosines.masked_fill(~(there[0][:, :, None] & there[1][:, None, :]), -torch.inf)
    weights = [(side["input_ids"] > 3).double() for side in sides]
    best = [cosines.max(dim=2).values, cosines.max(dim=1).values]
    precision, recall = (torch.where(w > 0, b, 0).sum(dim=1) / w.sum(dim=1) for w, b in zip(weights, best, strict=True))
    return np.asarray(torch.stack([precision, recall, 2 * precision * recall / (precision + recall)], dim=1))


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_random_bert_scores_as_the_formula_over_a_padded_batch(bert: Path, layer: int) -> None:
    found = bert_score(TOLD, REFERENCES, folder=bert, layer=layer, batch=2)
    np.testing.assert_allclose(table(found), padded_formula(bert, layer), atol=1e-5)
    assert found.signature == f"BERTScore|model:bert|layer:{layer}|idf:no|rescaled:no|refs:best f1" and found.cut == 0
    assert np.ptp(found.f1) > 1e-3


def test_the_same_text_is_1_and_turning_both_turns_precision_and_recall(bert: Path) -> None:
    flat = [each[0] for each in REFERENCES]
    np.testing.assert_allclose(table(bert_score(TOLD, [[text] for text in TOLD], folder=bert, layer=2)), 1, atol=1e-6)
    one, other = bert_score(TOLD, REFERENCES, folder=bert, layer=2), bert_score(flat, [[text] for text in TOLD], folder=bert, layer=2)  # fmt: skip
    np.testing.assert_allclose(table(one), table(other)[:, [1, 0, 2]], atol=1e-6)


def test_the_reference_with_the_best_f1_gives_all_three(bert: Path) -> None:
    several = bert_score(TOLD[:1], [[*REFERENCES[0], TOLD[2], TOLD[1]]], folder=bert, layer=1)
    each = np.concatenate([table(bert_score(TOLD[:1], [[text]], folder=bert, layer=1)) for text in (*REFERENCES[0], TOLD[2], TOLD[1])])  # fmt: skip
    np.testing.assert_allclose(table(several)[0], each[each[:, 2].argmax()], atol=1e-6)
    assert np.ptp(each[:, 2]) > 1e-3


def test_embeddings_of_a_decoder_know_no_order_and_its_layers_do(llama: Path) -> None:
    turned = [" ".join(reversed(text.split())) for text in TOLD]
    plain = bert_score(turned, [[text] for text in TOLD], folder=llama, layer=0)
    np.testing.assert_allclose(table(plain), 1, atol=1e-6)
    assert bert_score(turned, [[text] for text in TOLD], folder=llama, layer=2).f1.max() < 0.999


def test_long_texts_are_cut_and_counted_and_blank_ones_score_nothing(bert: Path, llama: Path) -> None:
    """Twelve positions: ten words beside [CLS] and [SEP]."""
    ten, longer = "cat dogs " * 5, "cat dogs " * 5 + "rain"
    found = bert_score([longer, ten], [[ten], [ten]], folder=bert, layer=2)
    assert found.cut == 1 and found.f1 == pytest.approx([1, 1])
    for folder in (bert, llama):
        assert table(bert_score(["", "cat"], [["cat"], ["cat"]], folder=folder, layer=1)).round(6).tolist() == [[0] * 3, [1] * 3]  # fmt: skip


def test_faults_are_named(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"layer 3: the model in .* has 0"):
        bert_score(["a"], [["a"]], folder=bert, layer=3)
    with pytest.raises(ConfigError, match="no such folder"):
        bert_score(["a"], [["a"]], folder=tmp_path / "none", layer=0)
    with pytest.raises(ConfigError, match=r"cannot be loaded .* -> name a folder with config"):
        bert_score(["a"], [["a"]], folder=tmp_path, layer=0)
    with pytest.raises(ConfigError, match="references of item 0: none"):
        bert_score(["a"], [[]], folder=bert, layer=0)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ConfigError, match=r"BERTScore needs transformers -> pip install 'veracast\[netgpt\]'"):
        bert_score(["a"], [["a"]], folder=bert, layer=0)
