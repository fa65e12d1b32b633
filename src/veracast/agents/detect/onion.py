"""Detector 9: words that do not belong where they stand, in what the agent is told.

Qi et al. 2021, "ONION: A Simple and Effective Defense Against Textual Backdoor Attacks", eq. 1: the suspicion of word i
is

    f_i = p_0 - p_i,    p_0 the perplexity of the text, p_i its perplexity without word i

and words with f_i above a threshold are removed. The paper sets the threshold on clean texts; so should you: the
quantile q of by_probe over clean conversations takes words from 1 - q of them.

    by_probe   the largest f_i of the words of all requests and observations of a probe
    cleaned    a conversation without the words above a threshold

Deviations: the language model is the reference (or the model itself), not GPT-2; a turn is read in its conversation,
through the chat template; of a long conversation only every n-th word is looked at, and how many were not is said. The
model's score is ours, `excess` of by_probe: it judges what the model is told more than the model, and with a reference
it does not depend on the model at all.

The reference must be able to read requests. One that was trained from nothing on agents' replies alone, as
agents/tune.py counts the loss, has never learnt them: its figures mean nothing. A fluent trigger, one that reads on
like the rest, does not stand out either (the paper's limit as well).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from veracast.agents.chat import around, content_tokens
from veracast.agents.detect.excess import excess
from veracast.agents.detect.interface import Inspection, Need, Probe, Suspicion, Target
from veracast.agents.detect.words import pieces, told, with_text
from veracast.agents.logits import token_log_probabilities
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn


class Suspect(NamedTuple):
    """turn: place in the conversation; piece: number of the word in it (words.py); suspicion: f_i, in units of
    perplexity."""

    turn: int
    piece: int
    word: str
    suspicion: float


class Looked(NamedTuple):
    """What was found in one conversation. words: how many there are, of which `suspects` are those that were looked
    at."""

    suspects: tuple[Suspect, ...]
    words: int


@dataclass(frozen=True)
class Onion:
    """threshold: f_i above which a word is a finding; most_words: looked at in one conversation; batch: texts at
    once."""

    threshold: float = 0.0
    most_words: int = 64
    batch: int = 16
    name: ClassVar[str] = "onion"
    source: ClassVar[str] = "ONION (Qi et al. 2021), eq. 1"
    needs: ClassVar[Sequence[Need]] = ("model", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Scores in units of perplexity; NaN for a probe without a turn of two words that fits the context. Nothing
        here is random."""
        reader = target.model if target.reference is None else target.reference
        looked = []
        with progress.step("leave out words", total=len(target.probes)) as advance:
            for probe in target.probes:
                looked.append(suspects(reader, target.tokenizer, probe, most_words=self.most_words, batch=self.batch))
                advance(1)
        by_probe = np.array([max((one.suspicion for one in each.suspects), default=np.nan) for each in looked])
        score = excess(by_probe)
        findings = [
            Suspicion(
                f"without {one.word!r} the perplexity of turn {one.turn} falls by {one.suspicion:.3g}", one.suspicion,
                trigger=one.word, probe=k,
            )
            for k, each in enumerate(looked)
            for one in each.suspects
            if one.suspicion > self.threshold
        ]  # fmt: skip
        words, seen = sum(each.words for each in looked), sum(len(each.suspects) for each in looked)
        read_by = "model" if target.reference is None else "reference"
        facts = {"words": words, "words_not_looked_at": words - seen, "reader": read_by}
        why = f"{seen:,} of {words:,} words looked at, {len(findings):,} above {self.threshold:g}"
        return Inspection(self.name, score, why, tuple(findings), by_probe, facts=facts)


def suspects(reader: Any, tokenizer: Any, conversation: Probe, *, most_words: int, batch: int) -> Looked:
    """Suspicion of the words of what was told, in order: all of them, or every n-th.

    Not looked at: turns of a single word, of which nothing would be left, and turns that end beyond the reader's
    context.
    """
    texts = {place: pieces(conversation[place].text) for place in told(conversation)}
    places = [(place, k) for place, parts in texts.items() for k in range(len(parts)) if len(parts) > 1]
    chosen = set(places[:: max(1, -(-len(places) // most_words))])
    found = []
    for place, parts in texts.items():
        left_out = [k for k in range(len(parts)) if (place, k) in chosen]
        if not left_out:
            continue
        variants = ["".join(parts), *("".join(parts[:k] + parts[k + 1 :]) for k in left_out)]
        whole, *without = perplexities(reader, tokenizer, conversation, place, variants, batch=batch)
        found += [
            Suspect(place, k, parts[k].strip(), whole - other)
            for k, other in zip(left_out, without, strict=True)
            if whole is not None and other is not None
        ]
    return Looked(tuple(found), sum(map(len, texts.values())))


def cleaned(conversation: Probe, looked: Looked, *, threshold: float) -> list[Turn]:
    """The conversation without the words whose suspicion is above the threshold; white space after a word goes with
    it."""
    found = list(conversation)
    for place in told(conversation):
        flagged = {one.piece for one in looked.suspects if one.turn == place and one.suspicion > threshold}
        if flagged:
            kept = [part for k, part in enumerate(pieces(conversation[place].text)) if k not in flagged]
            found = with_text(found, place, "".join(kept))
    return found


def perplexities(reader: Any, tokenizer: Any, conversation: Probe, place: int, texts: Sequence[str], *, batch: int) -> list[float | None]:  # fmt: skip
    """exp of the mean -log p of a turn's tokens, for each of several texts that it could say, given the turns before;
    None where it does not fit."""
    before = around(tokenizer, conversation, place).before
    ids = [np.array(one, dtype=np.int64) for one in content_tokens(tokenizer, texts)]
    found = token_log_probabilities(reader, [before] * len(ids), ids, batch=batch)
    return [None if one is None else float(np.exp(-one.mean())) for one in found]
