"""BERTScore with a language model that the caller has as a folder: each token meets the one most like it in the other text.

    precision    mean over tokens told of the largest cosine with a token of the reference
    recall       mean over tokens of the reference of the largest cosine with a token told
    f1           2 P R / (P + R), 0 where either is not above 0                                    (Zhang et al. 2020, sec. 3)

Tokens are hidden states of one layer; no idf, no rescaling. As in the authors' program, special tokens do not count in the means but may be the
token that another meets. Of several references the one with the best f1 gives all three (theirs takes the best of each). Values depend on model and
layer, so they stand in the signature; of a model that was not trained they mean nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from veracast.core.errors import ConfigError
from veracast.explain.metrics.pairs import check_pairs

_UNSET = 10**9  # tokenizers that know no length give 1e30


class Tokens(NamedTuple):
    """vectors: of length 1 each; counts: off for special tokens."""

    vectors: Float[np.ndarray, "tokens dim"]
    counts: Bool[np.ndarray, " tokens"]


class Matched(NamedTuple):
    """Of one text and one reference."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class BertScore:
    """precision, recall, f1: (items,), -1 to 1, near 0 to 1 for language. cut: texts that were longer than the model takes, and lost their end."""

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray
    signature: str
    cut: int


def bert_score(told: Sequence[str], references: Sequence[Sequence[str]], *, folder: Path, layer: int, batch: int = 32) -> BertScore:  # fmt: skip
    """folder: of a transformers model with safetensors weights and its tokenizer; nothing is downloaded. layer: 0 = embeddings, 1 = after the first
    layer, and so on. batch: texts in one pass, of one length, so that nothing is padded.

    ConfigError as check_pairs has it, for a folder that cannot be read, a layer that the model has not, or without transformers.
    """
    check_pairs(told, references)
    tokenizer, model = _loaded(folder)
    layers = int(model.config.get_text_config().num_hidden_layers)
    if not 0 <= layer <= layers:
        raise ConfigError([f"layer {layer}: the model in {folder} has 0 (embeddings) to {layers}"])
    texts = list(dict.fromkeys([*told, *(text for each in references for text in each)]))
    known, cut = _embedded(texts, tokenizer, model, layer, batch)
    rows = [max((greedy(known[text], known[one]) for one in each), key=lambda row: row.f1) for text, each in zip(told, references, strict=True)]  # fmt: skip
    table = np.array(rows, dtype=float)
    return BertScore(table[:, 0], table[:, 1], table[:, 2], f"BERTScore|model:{folder.name}|layer:{layer}|idf:no|rescaled:no|refs:best f1", cut)  # fmt: skip


def greedy(told: Tokens, reference: Tokens) -> Matched:
    """All 0 where either text has no token that counts."""
    if not told.counts.any() or not reference.counts.any():
        return Matched(0.0, 0.0, 0.0)
    cosines = told.vectors @ reference.vectors.T
    precision, recall = float(cosines.max(axis=1)[told.counts].mean()), float(cosines.max(axis=0)[reference.counts].mean())  # fmt: skip
    both = min(precision, recall) > 0
    return Matched(precision, recall, 2 * precision * recall / (precision + recall) if both else 0.0)


def _loaded(folder: Path) -> tuple[Any, Any]:
    if not folder.is_dir():
        raise ConfigError([f"{folder}: no such folder -> name one that holds a transformers model and its tokenizer"])
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ConfigError([f"BERTScore needs {error.name} -> pip install 'veracast[netgpt]'"]) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True, dtype=torch.float32)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConfigError([f"{folder}: cannot be loaded ({first}) -> name a folder with config, safetensors weights and tokenizer"]) from error  # fmt: skip
    if model.config.is_encoder_decoder:
        raise ConfigError([f"{folder}: an encoder with a decoder -> name a model of one of them"])
    return tokenizer, model.eval()


def _embedded(texts: Sequence[str], tokenizer: Any, model: Any, layer: int, batch: int) -> tuple[dict[str, Tokens], int]:  # fmt: skip
    """Of every text; and how many were cut."""
    import torch

    config = model.config.get_text_config()
    longest = min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", _UNSET), _UNSET)
    whole = [len(tokenizer(text, verbose=False)["input_ids"]) for text in texts]
    read = [tokenizer(text, truncation=True, max_length=longest, return_special_tokens_mask=True) for text in texts]
    found = {text: Tokens(np.zeros((0, 1)), np.zeros(0, dtype=bool)) for text in texts}
    for group in _of_one_length([len(one["input_ids"]) for one in read], batch):
        with torch.inference_mode():
            ids = torch.tensor([read[k]["input_ids"] for k in group])
            states = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True).hidden_states
        for k, rows in zip(group, states[layer].numpy().astype(float), strict=True):
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            counts = np.array(read[k]["special_tokens_mask"]) == 0
            found[texts[k]] = Tokens(rows / np.where(lengths > 0, lengths, 1), counts)
    return found, sum(length > longest for length in whole)


def _of_one_length(lengths: Sequence[int], batch: int) -> Iterator[list[int]]:
    """Numbers of texts, at most `batch` at once; texts without a token in none."""
    for length in sorted(set(lengths) - {0}):
        alike = [k for k, own in enumerate(lengths) if own == length]
        yield from (alike[low : low + batch] for low in range(0, len(alike), batch))
