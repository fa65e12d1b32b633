"""The structure of a prompt, which no text inside it can break.

    <system turn: instructions> <user turn: facts, one a line · pictures · graph tokens · number tokens · question> <answer>

The chat template is the tokenizer's own. Everything that is the same for all prompts of a template comes first, so that
its key/value cache can be shared. Facts are data: titles and comments are written by strangers. They are cleaned (control
and direction characters dropped, newlines folded, compatibility forms unified), cut, and tokenised with special tokens
switched off, so that `<|im_end|>` or `<|graph_pad|>` in a comment stays a row of ordinary characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from veracast.core.errors import InputError
from veracast.models.tokenizer import GRAPH_END, GRAPH_PAD, GRAPH_START, IMAGE_PAD, NUMBER_PAD, VISION_END, VISION_START

MAX_CHARS = 400
"""No value of a fact is longer."""
_SENTINEL = "@@facts@@"


class Fact(NamedTuple):
    """One line of a prompt. The value is cleaned whoever wrote it."""

    label: str
    value: str


@dataclass(frozen=True)
class Slots:
    """Places that vectors fill: graph tokens, number tokens, and the image tokens of one picture."""

    graph: int = 0
    numbers: int = 0
    image: int = 0


@dataclass(frozen=True)
class Encoded:
    """ids (tokens,) int64; the first `prompt` of them are the prompt, the rest the answer (none when rating)."""

    ids: np.ndarray
    prompt: int


@dataclass(frozen=True)
class Template:
    """What all prompts of a task share. prefix, suffix: token ids before and after the facts."""

    tokenizer: Any
    slots: Slots
    prefix: np.ndarray
    suffix: np.ndarray
    reserved: frozenset[int]  # ids that never come out of data

    def encode(
        self, facts: Sequence[Sequence[Fact]], *, answers: Sequence[str] | None = None, pictures: Sequence[int] | None = None
    ) -> list[Encoded]:  # fmt: skip
        """Prompts, with their answers in training; pictures: how many each one shows."""
        bodies = self._plain(["".join(f"{clean(f.label)}: {clean(f.value)}\n" for f in lines) for lines in facts])
        said = self._plain(list(answers)) if answers is not None else [[]] * len(bodies)
        end = [self.tokenizer.eos_token_id] if answers is not None else []
        found = []
        for i, body in enumerate(bodies):
            shown = self._pictures(pictures[i] if pictures is not None else 0)
            prompt = np.concatenate([self.prefix, np.array([*body, *shown], dtype=np.int64), self.suffix])
            found.append(Encoded(np.concatenate([prompt, np.array([*said[i], *end], dtype=np.int64)]), len(prompt)))
        return found

    def _plain(self, texts: list[str]) -> list[list[int]]:
        """Token ids of texts, none of them reserved."""
        if not texts:
            return []
        batch: list[list[int]] = self.tokenizer(texts, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        for i, ids in enumerate(batch):
            if self.reserved.intersection(ids):  # an added token that the tokenizer does not call special
                batch[i] = [token for token in self._one_by_one(texts[i]) if token not in self.reserved]
        return batch

    def _one_by_one(self, text: str) -> list[int]:
        parts = self.tokenizer(list(text), add_special_tokens=False, split_special_tokens=True)["input_ids"]
        return [token for part in parts for token in part]

    def _pictures(self, count: int) -> list[int]:
        one = [VISION_START, *[IMAGE_PAD] * self.slots.image, VISION_END]
        return [token_id(self.tokenizer, t) for t in one] * count if self.slots.image else []


def template(tokenizer: Any, *, system: str, question: str, slots: Slots) -> Template:
    """Fill the tokenizer's chat template around a place for the facts."""
    turns = [{"role": "system", "content": system}, {"role": "user", "content": _SENTINEL}]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    before, _, after = text.partition(_SENTINEL)
    soft = [GRAPH_START, *[GRAPH_PAD] * slots.graph, GRAPH_END] if slots.graph else []
    soft += [NUMBER_PAD] * slots.numbers
    tail = tokenizer(f"{question}{after}", add_special_tokens=False)["input_ids"]
    return Template(
        tokenizer=tokenizer,
        slots=slots,
        prefix=np.array(tokenizer(before, add_special_tokens=False)["input_ids"], dtype=np.int64),
        suffix=np.array([*[token_id(tokenizer, t) for t in soft], *tail], dtype=np.int64),
        reserved=frozenset(tokenizer.get_added_vocab().values()),
    )


def token_id(tokenizer: Any, token: str) -> int:
    """Id of a token that must be one; InputError where the tokenizer does not know it."""
    found = tokenizer.convert_tokens_to_ids(token)
    if found is None or found == tokenizer.unk_token_id:
        message, remedy = f"does not know {token}", "use a vision-language backbone for pictures"
        raise InputError(message, file=str(tokenizer.name_or_path or "tokenizer"), remedy=remedy)
    return int(found)


def single_tokens(tokenizer: Any, answers: Sequence[str]) -> list[int]:
    """Ids of answers that are one token each; InputError where one is not."""
    batch = tokenizer(list(answers), add_special_tokens=False)["input_ids"]
    for answer, ids in zip(answers, batch, strict=True):
        if len(ids) != 1:
            message = f"splits the answer {answer!r} into {len(ids)} tokens"
            raise InputError(
                message, file=str(tokenizer.name_or_path), remedy="use a backbone with single-token digits"
            )
    return [ids[0] for ids in batch]


def clean(text: str) -> str:
    """One line of at most MAX_CHARS characters, without control, direction and unassigned characters, in NFKC form."""
    plain = unicodedata.normalize("NFKC", text[: 2 * MAX_CHARS])
    kept = "".join(" " if c.isspace() else c for c in plain if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(kept.split())[:MAX_CHARS]


def parse_level(text: str) -> int | None:
    """The level that an answer states: its first word, one digit; None for anything else."""
    words = text.split()
    return int(words[0]) if words and len(words[0]) == 1 and words[0].isascii() and words[0].isdigit() else None
