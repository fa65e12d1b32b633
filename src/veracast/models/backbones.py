"""Language models by name or path.

tiny            a Llama of 2-5 M parameters from scratch, its tokenizer trained on the texts at hand
smollm2-135m    from the model cache (`veracast models pull`)
anything else   a folder or hub name of a causal language model, or of a vision-language model of the Qwen2-VL kind
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging

from veracast.core.errors import InputError
from veracast.models.pull import SMOLLM2, pulled
from veracast.models.tokenizer import CHATML, SOFT_TOKENS, TURN_END, TURN_START, train_tokenizer

TINY = "tiny"
TINY_SIZES: dict[str, Any] = {
    "hidden_size": 192, "intermediate_size": 704, "num_hidden_layers": 4, "num_attention_heads": 6, "num_key_value_heads": 3,
    "max_position_embeddings": 1024, "tie_word_embeddings": True, "rope_theta": 10_000.0,
}  # fmt: skip


@dataclass(frozen=True)
class Backbone:
    """model: a causal language model of transformers, on the CPU, in eval mode. from_scratch: its weights are nowhere else."""

    name: str
    model: Any
    tokenizer: Any
    kind: Literal["text", "vision"] = "text"
    from_scratch: bool = False

    @property
    def hidden(self) -> int:
        """Width of the last hidden state."""
        return int(self.model.config.get_text_config().hidden_size)

    @property
    def parameters(self) -> int:
        """How many numbers the model has, tied ones once."""
        return sum(p.numel() for p in self.model.parameters())


def load_backbone(
    name: str, *, texts: Iterable[str] = (), seed: int = 0, tokenizer: Path | None = None, dtype: torch.dtype = torch.float32
) -> Backbone:  # fmt: skip
    """The backbone of that name, with the soft tokens in its vocabulary.

    texts: what the tokenizer of `tiny` is trained on. tokenizer: a saved one, in place of texts. dtype: of weights that are
    read from disk; a large model is never there in fp32 when it will be held in bf16.
    """
    words: Any
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # ours is the one that people see
    if name == TINY:
        words = load_tokenizer(tokenizer) if tokenizer is not None else train_tokenizer(texts)
        return Backbone(TINY, tiny_llama(words, seed=seed), words, from_scratch=True)
    place = str(pulled(SMOLLM2)) if name == SMOLLM2 else name
    try:
        config = AutoConfig.from_pretrained(place)
        words = load_tokenizer(tokenizer) if tokenizer is not None else AutoTokenizer.from_pretrained(place)
        vision = hasattr(config, "vision_config")
        loader = AutoModelForImageTextToText if vision else AutoModelForCausalLM
        model = loader.from_pretrained(place, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError) as error:
        first = str(error).splitlines()[0]
        message, remedy = f"cannot be loaded ({first})", f"name tiny, {SMOLLM2}, or a folder that holds config.json, safetensors and a tokenizer"  # fmt: skip
        raise InputError(message, file=name, remedy=remedy) from error
    with_soft_tokens(model, words, seed=seed)
    model.train(False)
    return Backbone(name, model, words, "vision" if vision else "text")


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """A tokenizer that `save_pretrained` wrote."""
    found: PreTrainedTokenizerFast = PreTrainedTokenizerFast.from_pretrained(folder)
    return found


def tiny_llama(tokenizer: PreTrainedTokenizerFast, *, seed: int) -> LlamaForCausalLM:
    """Random weights that depend on the seed alone."""
    config = LlamaConfig(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None, **TINY_SIZES,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.train(False)
    return model


def with_soft_tokens(model: Any, tokenizer: Any, *, seed: int = 0) -> None:
    """Add what the vocabulary lacks: soft tokens, ChatML turns where there is no chat template, a padding token.

    The rows of new tokens are drawn around the mean embedding, so that nothing starts far out; from the seed alone.
    """
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHATML
        tokenizer.add_special_tokens({"eos_token": TURN_END, "additional_special_tokens": [TURN_START, TURN_END]})
    known = tokenizer.get_vocab()
    tokenizer.add_tokens([token for token in SOFT_TOKENS if token not in known], special_tokens=True)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
            _draw_new_rows(model.get_input_embeddings(), rows)
            head = model.get_output_embeddings()
            if head is not None and head.weight is not model.get_input_embeddings().weight:
                _draw_new_rows(head, rows)


def _draw_new_rows(layer: nn.Module, known: int) -> None:
    weight: torch.Tensor = layer.weight  # type: ignore[assignment]
    with torch.no_grad():
        mean, spread = weight[:known].mean(dim=0), weight[:known].std(dim=0)
        weight[known:] = mean + 0.1 * spread * torch.randn_like(weight[known:])
