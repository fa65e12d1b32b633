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


class Around(NamedTuple):
    """A prompt in three parts, ids int64: before what one turn says, that, and after it up to the agent's own turn."""

    before: np.ndarray
    content: np.ndarray
    after: np.ndarray


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


def around(tokenizer: Any, turns: Sequence[Turn], place: int) -> Around:
    """The prompt of a conversation, parted at one of its turns; other words there change nothing else."""
    pieces, contents = _parts(tokenizer, turns, ask=True)
    before = [token for k in range(place) for token in (*pieces[k], *contents[k])] + pieces[place]
    after = [token for k in range(place + 1, len(turns)) for token in (*pieces[k], *contents[k])] + pieces[-1]
    return Around(*(np.array(part, dtype=np.int64) for part in (before, contents[place], after)))


def content_tokens(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Ids of what turns say, special tokens switched off."""
    return (
        list(tokenizer(list(texts), add_special_tokens=False, split_special_tokens=True)["input_ids"]) if texts else []
    )


def content_pieces(tokenizer: Any) -> np.ndarray:
    """Ids of the vocabulary that contents can be made of, (pieces,) int64: no special token, none of white space alone."""
    apart = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return np.array(
        [k for k in range(len(tokenizer)) if k not in apart and tokenizer.decode([k]).strip()], dtype=np.int64
    )


def _parts(tokenizer: Any, turns: Sequence[Turn], *, ask: bool) -> tuple[list[list[int]], list[list[int]]]:
    """Ids of the template's pieces, of which there is one more, and of the contents between them."""
    roles = ["user" if turn.role == "tool" else turn.role for turn in turns]
    messages = [{"role": role, "content": f"@@content-{k}@@"} for k, role in enumerate(roles)]
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=ask)
    parts = _PLACE.split(text)
    places = [int(number) for number in parts[1::2]]
    if places != list(range(len(turns))):
        message = "its chat template does not show every turn once and in order"
        raise InputError(message, file=str(tokenizer.name_or_path or "tokenizer"), remedy="use a tokenizer whose template takes system, user and assistant turns")  # fmt: skip
    pieces = tokenizer(parts[::2], add_special_tokens=False)["input_ids"]
    return list(pieces), content_tokens(tokenizer, [turn.text for turn in turns])


def _tokens(tokenizer: Any, turns: Sequence[Turn], *, ask: bool) -> Tokens:
    pieces, contents = _parts(tokenizer, turns, ask=ask)
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
