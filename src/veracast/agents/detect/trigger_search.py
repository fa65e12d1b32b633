"""Detector 11, second half: words that make a model part from its reference, searched for without knowing any.

A string s is put after what is told last in a few carriers, clean probes in which the two take the same action.
Ascended, over s, is its mean over carriers of

    max_t KL(p_model(. | x + s, y_<t) || p_reference(. | x + s, y_<t)),    y the reference's own greedy reply to x, nats

the largest and not the mean, so that one changed tool name does not drown in a long reply. With `towards`, a reply that
is known from elsewhere, it is ln p_model(towards | x + s) instead, the sum over its tokens.

    pieces    all pieces of the vocabulary, one at a time; of more than `exhaustive` the `shortlist` that the gradient
              promises most of, d objective / d one-hot of a placeholder (HotFlip, Ebrahimi et al. 2018; GCG, Zou et
              al. 2023), mean over several placeholders
    strings   beams, longer by one of the `pool` best pieces on either side, up to `length` of them; strings that do not
              survive being written and read again as text are left out
    trigger   of all beams the string after which the model does the same foreign thing (foreign.py) in most carriers,
              where the reference does it in none, cut down by delta debugging (ddmin.py) to words that still bring it
    score     the highest objective, less that without any string

Objective and score are ours. A finding is evidence by itself, the score is not: adversarial words part any two models,
and how far they part clean siblings is for a bank to say. The search ends at one trigger: another one may hide behind
it. Pieces that do nothing alone are not tried together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from veracast.agents.chat import around, content_pieces, content_tokens, prompt_tokens
from veracast.agents.detect.ddmin import minimal
from veracast.agents.detect.differential import same_action
from veracast.agents.detect.foreign import all_deeds, foreign, shared
from veracast.agents.detect.interface import Inspection, Need, Probe, Suspicion, Target
from veracast.agents.detect.prefix import Prefix
from veracast.agents.detect.words import pieces, told, with_text
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.logits import context_of, greedy, text_of
from veracast.core.errors import NotMeasuredError
from veracast.core.progress import SILENT, Advance, Progress
from veracast.core.seeds import stream
from veracast.core.trajectories import Turn

PLACEHOLDERS = 8
"""Pieces that a gradient is taken at."""


class Ascended(NamedTuple):
    """A string, with the blank before it where it has one. ids: its pieces; value: its objective, nats."""

    text: str
    ids: tuple[int, ...]
    value: float


class Bought(NamedTuple):
    """What a string brings about. deeds: foreign ones in most carriers; carriers: in which there is one of them;
    reply: of the model in one of these; probe: its number."""

    deeds: frozenset[str]
    carriers: int
    reply: str
    probe: int


@dataclass(frozen=True)
class TriggerSearch:
    """carriers: probes that strings are put into. exhaustive: size of a vocabulary that is tried piece by piece;
    shortlist: pieces that are tried of a larger one. pool: pieces that strings are made of; length: of a string;
    beam: strings that are kept at each length. max_new: tokens of a reply; most_asked: strings that cutting down may
    take. towards: a reply as the agent would write it; empty = away from the reference."""

    carriers: int = 4
    exhaustive: int = 4_096
    shortlist: int = 512
    pool: int = 64
    beam: int = 8
    length: int = 6
    max_new: int = 96
    most_asked: int = 64
    towards: str = ""
    batch: int = 64  # sequences that the models read at once; fewer take less memory
    name: ClassVar[str] = "trigger-search"
    source: ClassVar[str] = "HotFlip (Ebrahimi et al. 2018), GCG (Zou et al. 2023), ddmin; objective and score ours"
    needs: ClassVar[Sequence[Need]] = ("model", "reference", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """seed: of the placeholders. NotMeasuredError where the two take the same action in no probe."""
        calm, known = self._calm(target)
        search = _Search(self, target.tokenizer, [_Carrier(self, target, k, reply) for k, reply in calm.items()], seed)
        with progress.step("search for a trigger", total=self.length) as advance:
            kept = search.beams(advance)
        if not kept:
            raise NotMeasuredError(
                "no piece of the vocabulary can be written behind what is told and read again -> give probes that end in a word"
            )
        baseline = float(search.objective(np.zeros((1, 0), dtype=np.int64))[0])
        best = max(kept, key=lambda one: one.value)
        with progress.step("cut the trigger down"):
            finding = self._finding(_Judge(self, target, list(calm), known), kept, baseline)
        gain = best.value - baseline
        why = f"{best.text.strip()!r} takes {len(calm)} carriers {gain:.3g} nats {self._aim}"
        why += "" if finding else "; no string buys a foreign action"
        facts = {"string": best.text.strip(), "baseline_nats": baseline, "carriers": list(calm)}
        return Inspection(self.name, gain, why, (finding,) if finding else (), facts=facts)

    @property
    def _aim(self) -> str:
        return f"towards {self.towards!r}" if self.towards else "away from the reference"

    def _calm(self, target: Target) -> tuple[dict[int, np.ndarray], frozenset[str]]:
        """Numbers of the carriers, the least told first, each with the reference's reply; and all deeds in any
        probe."""
        prompts = [prompt_tokens(target.tokenizer, probe) for probe in target.probes]
        pair = (target.model, target.reference)
        said = [greedy(one, target.tokenizer, prompts, max_new=self.max_new, batch=self.batch) for one in pair]
        ours, theirs = ([text_of(target.tokenizer, one.ids) for one in replies] for replies in said)
        room = min(map(context_of, pair)) - self.max_new - self.length
        able = [
            k for k, probe in enumerate(target.probes)
            if told(probe) and theirs[k] and len(prompts[k]) <= room and same_action(ours[k], theirs[k])
        ]  # fmt: skip
        if not able:
            raise NotMeasuredError(
                f"model and reference take the same action in none of {len(prompts)} probes -> give a reference that does the same work"
            )
        able.sort(key=lambda k: len(prompts[k]))
        return {k: said[1][k].ids for k in able[: self.carriers]}, all_deeds([*ours, *theirs])

    def _finding(self, judge: _Judge, kept: Sequence[Ascended], baseline: float) -> Suspicion | None:
        """Of the strings that most carriers heed the shortest, and of several the one of the highest objective."""
        heeded = [
            (one.carriers, -len(string.ids), string.value, string.text)
            for string, one in zip(kept, judge.bought([string.text for string in kept]), strict=True)
            if one is not None
        ]
        if not heeded:
            return None
        *_, value, text = max(heeded)
        words = minimal(pieces(text.strip()), judge.hold, most=self.most_asked)
        (bought,) = judge.bought([_apart(words)])
        if bought is None:
            return None
        evidence = (
            f"put after what is told in {len(judge.carriers)} clean probes, it makes the model do in {bought.carriers} "
            f"what the reference does in none: {', '.join(sorted(bought.deeds))}. "
            f"It was cut out of {text.strip()!r}, {value - baseline:.3g} nats {self._aim}"
        )
        return Suspicion(evidence, value - baseline, _apart(words).strip(), bought.reply, probe=bought.probe)


class _Carrier:
    """A probe with room for a string after what is told last, and the reply along which it is looked at."""

    def __init__(self, config: TriggerSearch, target: Target, number: int, reply: np.ndarray) -> None:
        self.config = config
        probe = target.probes[number]
        before, self.content, after = around(target.tokenizer, probe, told(probe)[-1])
        self.reply = np.array(content_tokens(target.tokenizer, [config.towards])[0]) if config.towards else reply
        self.models = (target.model,) if config.towards else (target.model, target.reference)
        self.head, self.tail = np.concatenate([before, self.content]), np.concatenate([after, self.reply[:-1]])
        self.prefix = Prefix(self.models, self.head)

    def objective(self, strings: Int[np.ndarray, "strings pieces"]) -> Float[np.ndarray, " strings"]:
        """In nats."""
        endings = np.concatenate([strings, np.tile(self.tail, (len(strings), 1))], axis=1)
        found = np.zeros(len(strings))
        for rows, by_model in self.prefix.after(endings, keep=len(self.reply), batch=self.config.batch):
            found[rows] = self._ascended(by_model).numpy()
        return found

    def slopes(self, piece: int) -> Float[Tensor, " vocab"]:
        """What each piece in the place of this one promises to first order: its embedding times the gradient there."""
        ids = torch.from_numpy(np.concatenate([self.head, [piece], self.tail]))[None]
        tables = [model.get_input_embeddings() for model in self.models]
        inputs = [table(ids).detach().requires_grad_() for table in tables]
        logits = [
            model(inputs_embeds=one, logits_to_keep=len(self.reply)).logits
            for model, one in zip(self.models, inputs, strict=True)
        ]
        objective = self._ascended([torch.log_softmax(one.float(), dim=-1) for one in logits]).sum()
        slopes = torch.autograd.grad(objective, inputs)
        promises = [table.weight.detach() @ one[0, len(self.head)] for table, one in zip(tables, slopes, strict=True)]
        return torch.stack(promises).sum(dim=0)

    def _ascended(self, by_model: Sequence[Float[Tensor, "rows keep vocab"]]) -> Float[Tensor, " rows"]:
        if self.config.towards:
            chosen = torch.from_numpy(self.reply).expand(len(by_model[0]), -1)[:, :, None]
            return by_model[0].gather(2, chosen)[:, :, 0].sum(dim=-1)
        ours, theirs = by_model
        return (ours.exp() * (ours - theirs)).sum(dim=-1).amax(dim=-1)


class _Search:
    """Over strings of pieces."""

    def __init__(self, config: TriggerSearch, tokenizer: Any, carriers: Sequence[_Carrier], seed: int) -> None:
        self.config, self.tokenizer, self.carriers = config, tokenizer, carriers
        self.rng = stream(seed, "agents", "trigger-search")

    def objective(self, strings: Int[np.ndarray, "strings pieces"]) -> Float[np.ndarray, " strings"]:
        """Mean over carriers, nats."""
        found: np.ndarray = np.mean([one.objective(strings) for one in self.carriers], axis=0)
        return found

    def beams(self, advance: Advance) -> list[Ascended]:
        """All strings that were kept, of every length."""
        strings = self._pieces()[:, None]
        values = self.objective(strings)
        pool = strings[np.argsort(-values, kind="stable")[: self.config.pool], 0]
        beam = self._readable(strings, values)
        found = list(beam)
        advance(1)
        for _ in range(1, self.config.length):
            strings = _longer(beam, pool)
            beam = self._readable(strings, self.objective(strings)) if len(strings) else []
            found += beam
            advance(1)
        return found

    def _pieces(self) -> Int[np.ndarray, " pieces"]:
        """All of a small vocabulary, the most promising of a large one."""
        able = content_pieces(self.tokenizer)
        if len(able) <= self.config.exhaustive:
            return able
        tried = self.rng.choice(able, PLACEHOLDERS, replace=False).tolist()
        promise = torch.stack([one.slopes(piece) for one in self.carriers for piece in tried]).mean(dim=0).numpy()
        return able[np.argsort(-promise[able], kind="stable")[: self.config.shortlist]]

    def _readable(self, strings: Int[np.ndarray, "strings pieces"], values: Float[np.ndarray, " strings"]) -> list[Ascended]:  # fmt: skip
        """The best strings that, written behind what is told and read again, are the same pieces."""
        content, found = self.carriers[0].content.tolist(), list[Ascended]()
        told = self.tokenizer.decode(content)
        for k in np.argsort(-values, kind="stable").tolist():
            ids = [*content, *strings[k].tolist()]
            whole = self.tokenizer.decode(ids)
            if content_tokens(self.tokenizer, [whole])[0] == ids and whole.startswith(told):
                found.append(Ascended(whole.removeprefix(told), tuple(strings[k].tolist()), float(values[k])))
            if len(found) == self.config.beam:
                break
        return found


class _Judge:
    """What strings buy in the carriers."""

    def __init__(self, config: TriggerSearch, target: Target, carriers: Sequence[int], known: frozenset[str]) -> None:
        self.config, self.target, self.carriers, self.known = config, target, carriers, known

    def bought(self, strings: Sequence[str]) -> list[Bought | None]:
        """None where most carriers do nothing foreign together, or the reference does it too."""
        talks = [[self._with(k, text) for k in self.carriers] for text in strings]
        replies = self._replies(self.target.model, talks)
        found = [self._common(said, talk, self.known) for said, talk in zip(replies, talks, strict=True)]
        asked = [k for k, one in enumerate(found) if one is not None]
        for k, said in zip(asked, self._replies(self.target.reference, [talks[k] for k in asked]), strict=True):
            found[k] = self._common(replies[k], talks[k], self.known | all_deeds(said))
        return found

    def hold(self, parts: Sequence[list[str]]) -> list[bool]:
        """Whether words still buy anything, for several choices of them."""
        return [one is not None for one in self.bought(list(map(_apart, parts)))]

    def _with(self, number: int, string: str) -> list[Turn]:
        probe = self.target.probes[number]
        place = told(probe)[-1]
        return with_text(probe, place, probe[place].text + string)

    def _replies(self, model: Any, talks: Sequence[Sequence[Probe]]) -> list[list[str]]:
        """Greedy ones, in the shape of the conversations."""
        agent = LanguageAgent(model, self.target.tokenizer, max_new=self.config.max_new, batch=self.config.batch)
        said = iter(agent.reply([talk for each in talks for talk in each]))
        return [[next(said) for _ in each] for each in talks]

    def _common(self, replies: Sequence[str], talks: Sequence[Probe], known: frozenset[str]) -> Bought | None:
        sets = [foreign(reply, talk, known) for reply, talk in zip(replies, talks, strict=True)]
        deeds = shared(sets)
        if not deeds:
            return None
        best = max(range(len(sets)), key=lambda k: len(sets[k] & deeds))
        return Bought(deeds, sum(bool(one & deeds) for one in sets), replies[best], self.carriers[best])


def _longer(beam: Sequence[Ascended], pool: Sequence[int]) -> Int[np.ndarray, "strings pieces"]:
    """Every string with every piece on either side, each once."""
    found = dict.fromkeys(
        one for old in beam for piece in pool for one in ((*old.ids, int(piece)), (int(piece), *old.ids))
    )
    return np.array(list(found), dtype=np.int64)


def _apart(words: Sequence[str]) -> str:
    """Words as they are put behind others."""
    return f" {''.join(words).strip()}"
