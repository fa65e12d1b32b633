"""One way to turn a conversation into tokens, for training and for play: the tokenizer's own chat template around contents that cannot break it.

    template pieces (turn starts and ends, from the template) and contents alternate; contents are tokenised with special tokens switched off,
    so `<|im_end|>` in a web page stays a row of characters

Loss is counted on what an assistant says and on the token that ends its turn, on nothing else, and never on padding. A prompt is the beginning of the row
that it was cut from, to the last token (a test): an agent is asked exactly as it was taught.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from veracast.core.errors import InputError
from veracast.core.trajectories import Turn

_PLACE = re.compile(r"@@content-(\d+)@@")


class Tokens(NamedTuple):
    """ids (tokens,) int64; counted (tokens,) bool: where loss is counted."""

    ids: np.ndarray
    counted: np.ndarray


def row_tokens(tokenizer: Any, turns: Sequence[Turn]) -> Tokens:
    """A whole row, for training. `learnt` False on an assistant's turn leaves it out of the loss, as AgentInstruct's `loss` does."""
    return _tokens(tokenizer, turns, ask=False)


def prompt_tokens(tokenizer: Any, turns: Sequence[Turn]) -> np.ndarray:
    """What an agent is asked: the conversation so far, and the beginning of its own turn."""
    return _tokens(tokenizer, turns, ask=True).ids


def _tokens(tokenizer: Any, turns: Sequence[Turn], *, ask: bool) -> Tokens:
    roles = ["user" if turn.role == "tool" else turn.role for turn in turns]
    messages = [{"role": role, "content": f"@@content-{k}@@"} for k, role in enumerate(roles)]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    parts = _PLACE.split(text)
    places = [int(number) for number in parts[1::2]]
    if places != list(range(len(turns))):
        message = "its chat template does not show every turn once and in order"
        raise InputError(message, file=str(tokenizer.name_or_path or "tokenizer"), remedy="use a tokenizer whose template takes system, user and assistant turns")  # fmt: skip
    contents = tokenizer([turn.text for turn in turns], add_special_tokens=False, split_special_tokens=True)["input_ids"] if turns else []  # fmt: skip
    pieces = tokenizer(parts[::2], add_special_tokens=False)["input_ids"]
    ids, counted = list(pieces[0]), [False] * len(pieces[0])
    for k, turn in enumerate(turns):
        said = turn.role == "assistant" and turn.learnt is not False
        end = _turn_end(pieces[k + 1], tokenizer.eos_token_id) if said else 0
        ids += [*contents[k], *pieces[k + 1]]
        counted += [said] * (len(contents[k]) + end) + [False] * (len(pieces[k + 1]) - end)
    return Tokens(np.array(ids, dtype=np.int64), np.array(counted, dtype=bool))


def _turn_end(piece: Sequence[int], eos: int | None) -> int:
    """How many tokens of the piece after a content end the turn: up to the first end-of-turn token."""
    return piece.index(eos) + 1 if eos is not None and eos in piece else 0
