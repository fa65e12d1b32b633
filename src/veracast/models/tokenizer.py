"""The tokenizer of the `tiny` backbone: byte-level BPE trained on the texts at hand, digits one token each, ChatML turns.

Bytes as the alphabet: no script is unknown. The same texts give the same tokenizer.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TURN_START, TURN_END = "<|im_start|>", "<|im_end|>"
GRAPH_START, GRAPH_PAD, GRAPH_END = "<|graph_start|>", "<|graph_pad|>", "<|graph_end|>"
NUMBER_PAD = "<|number_pad|>"
SOFT_TOKENS = (GRAPH_START, GRAPH_PAD, GRAPH_END, NUMBER_PAD)
VISION_START, IMAGE_PAD, VISION_END = "<|vision_start|>", "<|image_pad|>", "<|vision_end|>"
VISION_TOKENS = (VISION_START, IMAGE_PAD, VISION_END)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(texts: Iterable[str], *, size: int = 4096, more: tuple[str, ...] = ()) -> PreTrainedTokenizerFast:
    """A tokenizer of at most `size` tokens; more: further special tokens (such as VISION_TOKENS)."""
    special = [TURN_START, TURN_END, *SOFT_TOKENS, *more]
    bpe = Tokenizer(models.BPE())
    digits = pre_tokenizers.Digits(individual_digits=True)
    bpe.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        min_frequency=2,
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    found = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe, eos_token=TURN_END, pad_token=TURN_END, additional_special_tokens=special
    )
    found.chat_template = CHATML
    return found
