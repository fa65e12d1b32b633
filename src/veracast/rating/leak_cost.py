"""What a leak would have bought: the same rater on the same test rows, honest and with crawl-time counts known at posting.

The leaked samples are those of a task maker with `fans="as-released"`: follower counts copied back to posting, and
crawl-time music counts. Only cold starts are compared: a rating of counts in hand may use the counts of its own crawl.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from veracast.core.protocols import Rater
from veracast.core.scores import Score
from veracast.core.seeds import stream
from veracast.core.statistics import paired_permutation_test
from veracast.rating.evaluate import Task, TaskResult
from veracast.rating.metrics import score_mean

LEAKED_FEATURES = ("f_fans", "f_music_uses")
SUFFIX = "+leak"


@dataclass(frozen=True)
class LeakCost:
    """MAE with the leak (its slice's variant ends in `+leak`) beside the honest MAE; p of the paired permutation test."""

    task: str
    rater: str
    honest: float
    leaked: Score
    p: float

    def words(self) -> str:
        """One sentence for the leak report."""
        value, low, high = self.leaked.value or 0.0, self.leaked.low, self.leaked.high
        spread = f" [{low:.3f}, {high:.3f}]" if low is not None and high is not None else ""
        return (
            f"With the crawl's follower and music counts as if known at posting, {self.rater}'s error on {self.task} would "
            f"read {value:.3f}{spread} instead of {self.honest:.3f} {self.leaked.unit} (n {self.leaked.n:,}, p {self.p:.2g}): "
            "a leak, measured here and used by no rating."
        )


def leak_cost(honest: TaskResult, leaked: Task, rater: Rater, *, seed: int) -> LeakCost | None:
    """Fit `rater` once on the leaked training rows; None where no leaked feature varies or no row is scored by both.

    leaked: the same task with leaked features; its test rows must be those of `honest`, in the same order (ValueError).
    """
    if not honest.task.test["state_id"].equals(leaked.test["state_id"]):
        raise ValueError(f"{honest.task.name}: the leaked task has other test rows")
    target = honest.target
    train = leaked.train.filter(pl.col(f"y_{target}").is_not_null())
    if all(train[name].drop_nulls().n_unique() < 2 for name in LEAKED_FEATURES):
        return None
    truth = leaked.test[f"y_{target}"].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    with_leak = np.abs(rater.fit(train, target=target, seed=seed).predict(leaked.test) - truth)
    without = np.abs(honest.of(rater.name).test.point - truth)
    both = np.isfinite(with_leak) & np.isfinite(without)
    if not both.any():
        return None
    level = target == "level"
    where = {
        "split": "test",
        "rater": rater.name,
        "state": honest.task.state,
        "variant": honest.task.name + SUFFIX,
    }
    leaked_score = score_mean(
        "mae" if level else f"mae_ln_{target}",
        with_leak[both],
        n_unscored=int((~both).sum()),
        unit="levels" if level else "ln",
        direction="lower",
        where=where,
        seed=seed,
    )
    rng = stream(seed, "leak", honest.task.name)
    p = paired_permutation_test(with_leak[both], without[both], rng=rng)
    return LeakCost(honest.task.name, rater.name, float(without[both].mean()), leaked_score, p)
