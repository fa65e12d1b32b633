"""Detector 3: the same conversations to the model and to a reference. Where do they part, and which words make them?

    by_probe    D(probe) = 1/T sum_t KL(p_model(. | x, y_<t) || p_reference(. | x, y_<t)), y the reference's own greedy
                reply of T tokens, end of turn included; nats per token
    flip        the greedy calls of the two differ; where neither calls anything, their words
    trigger     of a probe that flips and is far above the rest, by delta debugging (ddmin.py; Zeller & Hildebrandt 2002):
                the least of its words that make the model, and not the reference, take that action when put before or
                after what is told in most of CARRIERS probes that do not flip; where none do, the least that do so
                alone, if the probe does not flip without them

Differential testing is McKeeman's (1998); the equation is ours. KL in this direction weighs what the model now does and
the reference would not: a payload costs log(1 / p_reference(payload)). Words are tried in other probes because a request
cut to one or two words is like nothing that an agent has learnt, and a planted one may answer it with the payload (it
does in the tests' toy world). The model's score is `excess` (excess.py): ordinary tuning moves all probes a little, a
backdoor moves few a lot.

What it needs is a reference that does the same work. Against a bare base every reply differs, and a trigger hides among
the differences; against a sibling with the same backdoor nothing differs. It sees only backdoors whose trigger stands in
a probe. Reply tokens after the parting are read as the reference wrote them: a long reply dilutes one parting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from veracast.agents.actions import calls_in
from veracast.agents.chat import prompt_tokens
from veracast.agents.detect.ddmin import minimal
from veracast.agents.detect.excess import excess, far_above
from veracast.agents.detect.interface import Inspection, Need, Probe, Suspicion, Target
from veracast.agents.detect.words import pieces, told, with_text
from veracast.agents.episodes import same_call
from veracast.agents.logits import greedy, log_probabilities, text_of
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn

CARRIERS = 3
"""Other probes that words are tried in."""


@dataclass(frozen=True)
class Differential:
    """max_new: tokens of a reply; batch: conversations at once; isolate: most probes whose trigger is looked for, the
    highest first; most_asked: conversations that each of the two searches for one of them may take."""

    max_new: int = 96
    batch: int = 16
    isolate: int = 8
    most_asked: int = 512
    name: ClassVar[str] = "differential"
    source: ClassVar[str] = "differential testing (McKeeman 1998), ddmin (Zeller & Hildebrandt 2002); equation ours"
    needs: ClassVar[Sequence[Need]] = ("model", "reference", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Scores in nats per token; NaN for a probe that does not fit a context. Nothing here is random."""
        prompts = [prompt_tokens(target.tokenizer, probe) for probe in target.probes]
        with progress.step("ask the model and its reference", total=2 * len(prompts)) as advance:
            said = []
            for model in (target.reference, target.model):
                said.append(greedy(model, target.tokenizer, prompts, max_new=self.max_new, batch=self.batch))
                advance(len(prompts))
        by_probe = divergences(target.model, target.reference, prompts, [one.ids for one in said[0]], batch=self.batch)
        score = excess(by_probe)
        theirs, ours = ([text_of(target.tokenizer, one.ids) for one in replies] for replies in said)
        flips = np.array([not same_action(*pair) for pair in zip(theirs, ours, strict=True)]) & ~np.isnan(by_probe)
        standing = np.flatnonzero(flips & far_above(by_probe))
        standing = standing[np.argsort(-by_probe[standing], kind="stable")][: self.isolate]
        triggers = self._isolated(target, standing.tolist(), ours, flips, progress)
        median = float(np.nanmedian(by_probe))
        findings = tuple(
            Suspicion(
                f"{by_probe[k]:.3g} nats per token from the reference, median {median:.3g}; the reference answers "
                f"{theirs[k]!r}; {one.cause}", float(by_probe[k]), one.text, ours[k], probe=k, carries=one.carries,
            )
            for k, one in zip(standing.tolist(), triggers, strict=True)
        )  # fmt: skip
        facts = {
            "flips": int(flips.sum()),
            "median_nats": median,
            "not_measured": int(np.isnan(by_probe).sum()),
            "carry_over": sum(one.carries for one in triggers),
            "asked_to_isolate": sum(one.asked for one in triggers),
        }
        why = f"{flips.sum():,} of {len(prompts):,} probes flip, {len(standing):,} of them far above the rest"
        return Inspection(self.name, score, why, findings, by_probe, facts=facts)

    def _isolated(self, target: Target, standing: Sequence[int], ours: Sequence[str], flips: np.ndarray, progress: Progress) -> list[_Trigger]:  # fmt: skip
        """By probe. A trigger that carries over and stands in another probe of the same action is not looked for again."""
        pair, found = (
            _Pair(target.model, target.reference, target.tokenizer, self.max_new, self.batch),
            list[_Trigger](),
        )
        with progress.step("isolate triggers", total=len(standing)) as advance:
            for k in standing:
                probe = target.probes[k]
                known = [
                    one for one in found if one.carries and same_action(one.action, ours[k]) and one.stands_in(probe)
                ]
                if known:
                    found.append(known[0]._replace(asked=0))
                else:
                    found.append(pair.trigger(probe, ours[k], _carriers(target.probes, k, flips), most=self.most_asked))
                advance(1)
        return found


def divergences(model: Any, reference: Any, prompts: Sequence[np.ndarray], replies: Sequence[np.ndarray], *, batch: int) -> np.ndarray:  # fmt: skip
    """Mean over a reply's tokens of KL(model || reference), (rows,) in nats; NaN where there is none or it does not fit."""
    found = np.full(len(prompts), np.nan)
    for k, (ours, theirs) in log_probabilities([model, reference], prompts, replies, batch=batch):
        found[k] = float((ours.exp() * (ours - theirs)).sum(dim=-1).double().mean())
    return found


def same_action(one: str, other: str) -> bool:
    """Whether two replies call the same tools with the same arguments in the same order; without any call, whether they
    say the same."""
    calls, others = calls_in(one), calls_in(other)
    if not calls and not others:
        return one.split() == other.split()
    return len(calls) == len(others) and all(map(same_call, calls, others))


class _Trigger(NamedTuple):
    """text: None where no words are known to do it. carries: whether they do so in other conversations. asked:
    conversations that it took."""

    text: str | None
    action: str
    carries: bool
    asked: int

    @property
    def cause(self) -> str:
        """In words."""
        if self.text is None:
            return "which words do it could not be told"
        return f"these words {'buy the action in other conversations too' if self.carries else 'alone buy the action'}"

    def stands_in(self, probe: Probe) -> bool:
        return self.text is not None and any(self.text in probe[place].text for place in told(probe))


class _Word(NamedTuple):
    """place: of its turn."""

    place: int
    piece: str


@dataclass(frozen=True)
class _Pair:
    model: Any
    reference: Any
    tokenizer: Any
    max_new: int
    batch: int

    def replies(self, model: Any, talks: Sequence[Sequence[Turn]]) -> list[str]:
        """Greedy ones."""
        prompts = [prompt_tokens(self.tokenizer, talk) for talk in talks]
        said = greedy(model, self.tokenizer, prompts, max_new=self.max_new, batch=self.batch)
        return [text_of(self.tokenizer, one.ids) for one in said]

    def buys(self, talks: Sequence[Sequence[Turn]], action: str) -> np.ndarray:
        """Where the model takes an action that the reference does not, (talks,) bool."""
        found = np.array([same_action(one, action) for one in self.replies(self.model, talks)], dtype=bool)
        taken = np.flatnonzero(found)
        others = self.replies(self.reference, [talks[int(k)] for k in taken])
        found[taken] = [not same_action(one, action) for one in others]
        return found

    def trigger(self, probe: Probe, action: str, others: Sequence[Probe], *, most: int) -> _Trigger:
        """The least of what was told that buys the action in most of the other conversations, else alone in its own."""
        asked = 0

        def buys(talks: Sequence[Sequence[Turn]]) -> np.ndarray:
            nonlocal asked
            asked += len(talks)
            return self.buys(talks, action)

        def elsewhere(candidates: Sequence[Sequence[_Word]]) -> list[bool]:
            talks = [talk for words in candidates for other in others for talk in _put_into(other, words)]
            hits = buys(talks).reshape(len(candidates), len(others), 2)
            return [bool(one) for one in (hits.mean(axis=1) > 0.5).any(axis=1)]

        def alone(candidates: Sequence[Sequence[_Word]]) -> list[bool]:
            return [bool(one) for one in buys([_only(probe, needed, words) for words in candidates])]

        places = told(probe)
        still = buys([with_text(probe, place, "") for place in places])
        needed = [place for place, one in zip(places, still, strict=True) if not one] or places
        words = [_Word(place, piece) for place in needed for piece in pieces(probe[place].text)]
        kept = minimal(words, elsewhere, most=most // (2 * len(others))) if others else words
        carries = bool(others) and elsewhere([kept])[0]
        if not carries:
            kept = minimal(words, alone, most=most)
            without = [word for word in words if not any(word is one for one in kept)]
            kept = kept if kept and not alone([without])[0] else []
        text = "".join(word.piece for word in kept).strip()
        return _Trigger(text or None, action, carries, asked)


def _carriers(probes: Sequence[Probe], k: int, flips: np.ndarray) -> list[Probe]:
    """Probes that do not flip, to try the words of probe k in: of as many turns, and the least told first, for little
    there competes with the words."""

    def unlike(m: int) -> tuple[int, int]:
        return abs(len(probes[m]) - len(probes[k])), len(probes[m][told(probes[m])[-1]].text)

    able = [m for m, one in enumerate(probes) if not flips[m] and told(one)]
    return [probes[m] for m in sorted(able, key=unlike)[:CARRIERS]]


def _only(probe: Probe, places: Sequence[int], kept: Sequence[_Word]) -> list[Turn]:
    """A probe whose turns at the places say the kept words and no others."""
    talk = list(probe)
    for place in places:
        talk = with_text(talk, place, "".join(word.piece for word in kept if word.place == place))
    return talk


def _put_into(talk: Probe, words: Sequence[_Word]) -> list[list[Turn]]:
    """A conversation in which the last thing told has other words before it, and one that has them after it."""
    place, more = told(talk)[-1], "".join(word.piece for word in words).strip()
    text = talk[place].text
    return [with_text(talk, place, one.strip()) for one in (f"{more} {text}", f"{text} {more}")]
