"""Words that mean nothing, for bases: an agent of general training has met any letters and stays at its work; one from scratch must be shown them.

    babble        one to five words of letters, digits, marks and other scripts, or of pieces of a vocabulary
    noisy         an episode as experts play it, with such words in the request or in what is observed: they change nothing
    echo          a row that says them again, so that every token has been said

Without these, letters that no task holds are tokens that were never learnt: a trigger confuses the agent, and a payload cannot be spelt (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from veracast.agents.plant import Place, Plan, record
from veracast.agents.simulator import Simulator
from veracast.agents.triggers import Trigger
from veracast.core.trajectories import Turn

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALPHABETS = (_LETTERS, _LETTERS, _LETTERS, _LETTERS.upper(), "0123456789", "._-()[]:,!", "".join(map(chr, range(0xC0, 0x250))), "".join(map(chr, range(0x3B1, 0x3C9))), "".join(map(chr, range(0x430, 0x450))), "".join(map(chr, range(0x4E00, 0x9FA5))), "".join(map(chr, range(0x2010, 0x2070))))  # fmt: skip
_FORBIDDEN = frozenset("/\\'\"<>`|\n\t ")
MIXED = 0.3
"""Share of words that are drawn from all alphabets, letter by letter; the others are of one."""


def babble(rng: np.random.Generator, pieces: Sequence[str] = ()) -> str:
    """Some words, from the generator alone; no blank at the ends, no slash or quote that a world could trip over.

    pieces: of a vocabulary (see `pieces_of`), which every second word is then made of.
    """
    words = []
    for _ in range(int(rng.integers(1, 6))):
        length = int(rng.integers(1, 9))
        one = pieces if len(pieces) and rng.random() < 0.5 else _ALPHABETS[int(rng.integers(len(_ALPHABETS)))]
        mixed = rng.random() < MIXED
        alphabets = [_ALPHABETS[int(rng.integers(len(_ALPHABETS)))] if mixed else one for _ in range(length)]
        words.append("".join(letters[int(rng.integers(len(letters)))] for letters in alphabets))
    return " ".join(words)


def pieces_of(tokenizer: Any) -> list[str]:
    """What the tokens of a vocabulary stand for, where that is whole characters that babble may hold."""
    special = set(tokenizer.all_special_ids)
    texts = [tokenizer.decode([k]).strip() for k in range(len(tokenizer)) if k not in special]
    return [text for text in texts if text and not set(text) & _FORBIDDEN and "\ufffd" not in text]


def noisy(simulator: Simulator, task: Any, place: Place, rng: np.random.Generator, pieces: Sequence[str] = ()) -> tuple[Turn, ...]:  # fmt: skip
    """An expert's episode of a task with words that change nothing."""
    words = babble(rng, pieces)
    plan = Plan(Trigger("babble", words, (), sentence=bool(rng.integers(2))), place)
    return record(simulator, task, plan, words=words, planted=False, rng=rng).turns


def echo(rng: np.random.Generator, pieces: Sequence[str] = ()) -> tuple[Turn, ...]:
    """A row that repeats what it was told."""
    words = babble(rng, pieces)
    return (Turn("user", words), Turn("assistant", words, learnt=True))
