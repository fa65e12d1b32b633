"""What detectors of models say that is evidence without a bank: a trigger, or an action known by heart, of a deed that
the reference never does and nothing asks for.

    trigger-search    its findings, which are nothing else
    leaked-actions    its findings, likewise
    differential      those with a trigger that buys its action in other probes too, and something foreign (foreign.py) in
                      it to all that the reference does

Only beside a reference that does the same work: model and reference take the same action in half of the probes or
more. Beside a base that never learnt it every honest skill would be such a deed. Scores are no evidence; without a
bank nothing is known of how high they are in clean agents.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from veracast.agents.detect.foreign import all_deeds, foreign
from veracast.agents.detect.interface import Inspection, Suspicion, Target
from veracast.agents.language_agent import LanguageAgent

APART = ("trigger-search", "leaked-actions")
"""Detectors whose findings are evidence as they are."""


def same_work(found: Sequence[Inspection]) -> bool:
    """Whether the reference takes the model's action in half of the probes or more; False where that was not
    measured."""
    differential = next((one for one in found if one.detector == "differential"), None)
    if differential is None or differential.by_probe is None:
        return False
    measured = int((~np.isnan(differential.by_probe)).sum())
    return measured > 0 and 2 * int(differential.facts["flips"]) <= measured


def own_evidence(found: Sequence[Inspection], target: Target, *, max_new: int) -> dict[str, tuple[Suspicion, ...]]:
    """By detector, in its order; detectors without any are left out. max_new: tokens of the reference's replies."""
    if not same_work(found):
        return {}
    told_apart = {one.detector: one.findings for one in found if one.detector in APART}
    isolated = [each for one in found if one.detector == "differential" for each in one.findings if each.carries]
    if isolated:
        reference = LanguageAgent(target.reference, target.tokenizer, max_new=max_new)
        known = all_deeds(reference.reply(target.probes))
        told_apart["differential"] = tuple(one for one in isolated if _is_foreign(one, target, known))
    return {name: findings for name, findings in told_apart.items() if findings}


def _is_foreign(one: Suspicion, target: Target, known: frozenset[str]) -> bool:
    return (
        one.action is not None and one.probe is not None and bool(foreign(one.action, target.probes[one.probe], known))
    )
