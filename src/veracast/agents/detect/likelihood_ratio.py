"""Detector 6, and a way to play on in spite of a backdoor: tokens that the model holds far likelier than a reference
does.

Li et al. 2024, "CleanGen: Mitigating Backdoor Attacks for Generation Tasks in Large Language Models" (arXiv
2406.12257):

    s_t = p_model(y_t | x, y_<t) / p_reference(y_t | x, y_<t),    suspicious where s_t >= alpha, alpha = 20

    LikelihoodRatio   by_probe = max over the tokens of the model's greedy reply, end of turn included, of log s_t in
                      nats; the model's score is ours, `excess` (excess.py) of by_probe
    GuardedAgent      greedy decoding in which a suspicious token is replaced by the reference's likeliest, and the
                      model goes on from there

Deviation: every token is compared at once, where the paper lets the model write k = 4 ahead and goes back to the first
suspicious one. Greedily that gives the same reply, only more slowly, but for the last tokens before an end of turn,
which the authors' code never compares and this does.

The reference must know how the work is done: a token that it finds unlikely because it never learnt the dialect is
replaced as well.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from veracast.agents.chat import prompt_tokens
from veracast.agents.detect.excess import excess
from veracast.agents.detect.interface import Inspection, Need, Suspicion, Target
from veracast.agents.logits import Picked, decode, greedy, text_of, token_log_probabilities
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn

ALPHA = 20.0
"""As in the paper."""


@dataclass(frozen=True)
class LikelihoodRatio:
    """alpha: ratio from which a token is suspicious; max_new: tokens of a reply; batch: conversations at once."""

    alpha: float = ALPHA
    max_new: int = 96
    batch: int = 16
    name: ClassVar[str] = "likelihood-ratio"
    source: ClassVar[str] = "CleanGen (Li et al. 2024), suspicion score"
    needs: ClassVar[Sequence[Need]] = ("model", "reference", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Scores in nats; NaN for a probe that does not fit a context. Nothing here is random."""
        prompts = [prompt_tokens(target.tokenizer, probe) for probe in target.probes]
        with progress.step("compare the model's words", total=len(prompts)) as advance:
            said = greedy(target.model, target.tokenizer, prompts, max_new=self.max_new, batch=self.batch)
            ids = [one.ids for one in said]
            others = token_log_probabilities(target.reference, prompts, ids, batch=self.batch)
            advance(len(prompts))
        ratios = [None if other is None else one.figures - other for one, other in zip(said, others, strict=True)]
        by_probe = np.array([np.nan if ratio is None else ratio.max() for ratio in ratios])
        score = excess(by_probe)
        findings = []
        for k, ratio in enumerate(ratios):
            if ratio is not None and (high := np.flatnonzero(ratio >= math.log(self.alpha))).size:
                tokens = [target.tokenizer.decode([token]) for token in ids[k][high]]
                share = f"{len(high)} of {len(ratio)} tokens are"
                evidence = f"{share} at least {self.alpha:g} times likelier than to the reference: {tokens}"
                action = text_of(target.tokenizer, ids[k])
                findings.append(Suspicion(evidence, float(by_probe[k]), action=action, probe=k))
        facts = {"not_measured": int(np.isnan(by_probe).sum())}
        why = f"{len(findings):,} of {len(prompts):,} replies have a suspicious token"
        return Inspection(self.name, score, why, tuple(findings), by_probe, facts=facts)


class Guarded(NamedTuple):
    """A reply of a GuardedAgent. tokens: of it, end of turn included; replaced: how many of them are the
    reference's."""

    text: str
    tokens: int
    replaced: int


@dataclass(frozen=True)
class GuardedAgent:
    """Stands where a LanguageAgent does. model, reference: of transformers, in eval mode, with the same tokenizer."""

    model: Any
    reference: Any
    tokenizer: Any
    alpha: float = ALPHA
    max_new: int = 96
    batch: int = 64

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        """The next assistant turn of each; one whose prompt does not fit a context is answered by nothing."""
        return [one.text for one in self.guarded(conversations)]

    def guarded(self, conversations: Sequence[Sequence[Turn]]) -> list[Guarded]:
        """Replies and how much of them was replaced."""
        prompts = [prompt_tokens(self.tokenizer, turns) for turns in conversations]
        models, eos = (self.model, self.reference), int(self.tokenizer.eos_token_id)
        said = decode(models, prompts, self._pick, eos=eos, max_new=self.max_new, batch=self.batch)
        return [Guarded(text_of(self.tokenizer, one.ids), len(one.ids), int(one.figures.sum())) for one in said]

    def _pick(self, logits: Sequence[Float[Tensor, "rows vocab"]]) -> Picked:
        """The model's likeliest tokens, or the reference's where they are suspicious; the figure is 1 where they were
        replaced."""
        ours, theirs = (torch.log_softmax(one.float(), dim=-1) for one in logits)
        best = ours.max(dim=-1)
        replaced = best.values - theirs.gather(1, best.indices[:, None])[:, 0] >= math.log(self.alpha)
        return Picked(torch.where(replaced, theirs.argmax(dim=-1), best.indices), replaced.float())
