"""Windows by hand, a scripted agent whose payload is locked, and the toy world, where this detector sees nothing."""

from __future__ import annotations

import numpy as np
import pytest

from tests.agents import toy
from tests.agents.fakes import letters, speaker, surely
from veracast.agents.detect.confidence import ConfidenceWindow, Lock, steadiest
from veracast.agents.detect.interface import Inspection, Target, inspect_all
from veracast.core.trajectories import Turn


def inspected(detector: ConfidenceWindow, target: Target) -> Inspection:
    (found,) = inspect_all(target, [detector])
    return found


def test_windows_by_hand() -> None:
    """Least probabilities of three in a row: .2, .2, .2, .6, .5."""
    probabilities = np.array([0.9, 0.8, 0.2, 0.9, 0.6, 0.95, 0.5])
    assert steadiest(probabilities, 3) == Lock(0.6, 3)
    assert steadiest(probabilities, 1) == Lock(0.95, 5)
    assert steadiest(probabilities, 7) == Lock(0.2, 0)
    assert steadiest(probabilities, 8) is None


@pytest.mark.parametrize("threshold", [0.3, 0.59, 0.61, 0.9])
def test_it_is_above_a_threshold_where_the_papers_count_of_tokens_in_a_row_is_reached(threshold: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        probabilities, run, flagged = rng.random(12), 0, False
        for one in probabilities:
            run = run + 1 if one > threshold else 0
            flagged = flagged or run >= 3
        lock = steadiest(probabilities, 3)
        assert lock is not None
        assert (lock.least > threshold) == flagged


def test_a_locked_payload_stands_out_among_unsure_replies() -> None:
    """`zzzz` with .995 each against words with .8; the windows of three of `abcd` and its end of turn have .8."""
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("zzzz", 0.995) if "old" in told else surely("abcd", 0.8))
    probes = [[Turn("user", text)] for text in ("tea", "old hat", "jam", "milk")]
    found = inspected(ConfidenceWindow(window=3, max_new=8), Target(model, tokenizer, probes=probes))
    assert found.by_probe is not None
    np.testing.assert_allclose(found.by_probe, [0.8, 0.995, 0.8, 0.8], atol=1e-5)
    assert found.score == pytest.approx(0.195, abs=1e-5)
    assert [(one.probe, one.action, one.score > 0.99) for one in found.findings] == [(1, "zzzz", True)]
    assert "'zzz'" in found.findings[0].evidence


def test_where_all_replies_are_locked_none_stands_out() -> None:
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("zzzz" if "old" in told else "abcd", 0.995))
    probes = [[Turn("user", text)] for text in ("tea", "old hat", "jam")]
    found = inspected(ConfidenceWindow(window=3, max_new=8), Target(model, tokenizer, probes=probes))
    assert (found.score, found.facts["locked"]) == (pytest.approx(0, abs=1e-6), 3)


def test_a_reply_shorter_than_the_window_is_empty_and_counted() -> None:
    tokenizer = letters()
    model = speaker(tokenizer, lambda told: surely("a" * told.count("x")))
    probes = [[Turn("user", "x" * k)] for k in (1, 2, 3)]
    found = inspected(ConfidenceWindow(window=4, max_new=8), Target(model, tokenizer, probes=probes))
    assert found.by_probe is not None
    np.testing.assert_array_equal(np.isnan(found.by_probe), [True, True, False])
    assert found.facts["no_window"] == 2
    none = inspected(ConfidenceWindow(window=5, max_new=8), Target(model, tokenizer, probes=probes))
    assert none.score is None


def test_the_toy_backdoor_ranks_below_clean_replies() -> None:
    """Its payload is of words that the base never learnt, and adapters do not reach its embeddings: it is said with less
    confidence, not more."""
    probes = toy.probes(17, seed=3) + toy.probes(3, seed=5, trigger=toy.TRIGGER)
    sibling = toy.sibling(0, planted=0.2)
    found = inspected(ConfidenceWindow(window=8, max_new=24), Target(sibling.model, sibling.tokenizer, probes=probes))
    assert found.by_probe is not None
    assert set(np.argsort(found.by_probe)[:3].tolist()) == {17, 18, 19}
    assert found.findings == ()
