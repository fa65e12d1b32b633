"""A language model that answers a prompt with text: any backbone of models/backbones.py, greedily, so that the same prompt has the same answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch

from veracast.models.backbones import load_backbone

MOST_TOKENS = 240


def asker(name: str, *, texts: Iterable[str] = (), most: int = MOST_TOKENS, seed: int = 0) -> Callable[[str], str]:
    """name: as load_backbone has it; texts: what the tokenizer of `tiny` is trained on. The prompt is one user's turn of the model's own chat template,
    with the control tokens of anybody's text switched off. InputError for a model that is none."""
    backbone = load_backbone(name, texts=texts, seed=seed)
    tokenizer, model = backbone.tokenizer, backbone.model.eval()
    sentinel = "@@prompt@@"
    framed: str = tokenizer.apply_chat_template([{"role": "user", "content": sentinel}], tokenize=False, add_generation_prompt=True)  # fmt: skip
    before, _, after = framed.partition(sentinel)

    def ids(text: str, *, plain: bool) -> list[int]:
        found: list[int] = tokenizer(
            text, add_special_tokens=False, **({"split_special_tokens": True} if plain else {})
        )["input_ids"]
        return found

    def ask(prompt: str) -> str:
        window = int(getattr(model.config, "max_position_embeddings", 2048))
        body = ids(prompt, plain=True)
        head, tail = ids(before, plain=False), ids(after, plain=False)
        body = body[-max(1, window - most - len(head) - len(tail)) :]
        given = torch.tensor([[*head, *body, *tail]])
        with torch.no_grad():
            out = model.generate(given, attention_mask=torch.ones_like(given), max_new_tokens=most, do_sample=False, pad_token_id=tokenizer.eos_token_id)  # fmt: skip
        return str(tokenizer.decode(out[0, given.shape[1] :], skip_special_tokens=True)).strip()

    return ask
