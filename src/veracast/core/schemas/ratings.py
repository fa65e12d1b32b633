"""Tables of rating runs and benches: rated videos, backtests, the graph network; and what ingest refused."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import TIME, Schema

ROLES = ("open", "test", "train_cross_fitted")
"""open: horizon not passed yet (the portfolio) · test: backtest on closed videos · train: rated by folds that never saw it."""

RATINGS: Schema = {
    "video_id": pl.String,
    "role": pl.String,  # one of ROLES
    "task": pl.String,  # which backtest or the portfolio
    "rater": pl.String,
    "platform": pl.String,
    "author_id": pl.String,
    "title": pl.String,
    "url": pl.String,
    "topic": pl.String,
    "posted_at": TIME,
    "rated_at": TIME,  # the as-of time of the state that was rated
    "target_at": TIME,  # when the forecast is for; null where the label has no date
    "state": pl.String,  # cold | observed
    "age_h": pl.Float64,
    "level_expected": pl.Float64,  # mean of the level distribution, 0-9
    "level_floor": pl.Int8,  # level already reached at rated_at; null when no rule or no counters
    "level_probs": pl.List(pl.Float64),  # 10 numbers that sum to 1
    "p_alert": pl.Float64,  # P(level >= alert level of the run)
    "level_truth": pl.Int8,
    "level_set_by": pl.String,  # the indicator expected to set the level, in words: "shares pass 1,000"
    "out_of_distribution": pl.Boolean,
    "out_of_distribution_why": pl.String,
}

FORECASTS: Schema = {
    "video_id": pl.String,
    "role": pl.String,
    "task": pl.String,
    "indicator": pl.String,
    "now": pl.Int64,  # last published count at rated_at
    "point": pl.Float64,
    "low_50": pl.Float64,
    "high_50": pl.Float64,
    "low_80": pl.Float64,
    "high_80": pl.Float64,
    "low_90": pl.Float64,
    "high_90": pl.Float64,
    "truth": pl.Int64,
}

CURVES: Schema = {
    "video_id": pl.String,
    "indicator": pl.String,
    "age_h": pl.Float64,
    "kind": pl.String,  # history | forecast
    "value": pl.Float64,  # count, or point forecast
    "low_50": pl.Float64,
    "high_50": pl.Float64,
    "low_80": pl.Float64,
    "high_80": pl.Float64,
    "low_90": pl.Float64,
    "high_90": pl.Float64,
}

CONTRIBUTIONS: Schema = {
    "video_id": pl.String,
    "rank": pl.Int32,  # 1 = largest absolute effect
    "feature": pl.String,
    "value": pl.Float64,
    "effect": pl.Float64,  # signed, in `unit`; effects of a video plus base sum to its raw score
    "unit": pl.String,  # "ln views", "levels"
    "sentence": pl.String,  # "Already 41,200 views after 9 h: raises the forecast by .43 ln views"
}

SIMILAR: Schema = {
    "video_id": pl.String,
    "rank": pl.Int32,
    "neighbour_id": pl.String,
    "title": pl.String,
    "platform": pl.String,
    "distance": pl.Float64,  # Euclidean, in standard deviations per feature
    "indicator": pl.String,
    "ages_h": pl.List(pl.Float64),
    "values": pl.List(pl.Float64),
    "level": pl.Int8,
}

BACKTEST: Schema = {
    "task": pl.String,
    "split": pl.String,
    "rater": pl.String,
    "video_id": pl.String,
    "platform": pl.String,
    "state": pl.String,
    "indicator": pl.String,  # a counter, or "level"
    "age_h": pl.Float64,
    "gap_h": pl.Float64,
    "point": pl.Float64,  # ln(1 + count), or the level
    "truth": pl.Float64,  # same unit
    "low_50": pl.Float64,
    "high_50": pl.Float64,
    "low_80": pl.Float64,
    "high_80": pl.Float64,
    "low_90": pl.Float64,
    "high_90": pl.Float64,
    "reason_unscored": pl.String,  # null where scored
}

RELIABILITY: Schema = {
    "task": pl.String,
    "rater": pl.String,
    "level_at_least": pl.Int8,
    "predicted": pl.Float64,  # mean predicted probability of the bin
    "observed": pl.Float64,
    "low": pl.Float64,  # Wilson 95 %
    "high": pl.Float64,
    "n": pl.Int64,
}

ALERTS: Schema = {
    "task": pl.String,
    "rater": pl.String,
    "level_at_least": pl.Int8,
    "threshold": pl.Float64,  # flag when P(level >= k) > threshold
    "precision": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "recall": pl.Float64,
    "flagged": pl.Int64,
    "flagged_per_day": pl.Float64,
    "n": pl.Int64,
}

LEAKS: Schema = {
    "check": pl.String,  # short id: fans_copied_back, crawl_counters_at_posting, duplicates_across_splits, young_labels ...
    "found": pl.Int64,  # cases found; null = could not be checked
    "of": pl.Int64,
    "detail": pl.String,  # one sentence: what it is, and what this run did about it
    "handled": pl.Boolean,
}

AVAILABILITY: Schema = {
    "platform": pl.String,
    "indicator": pl.String,
    "published": pl.Int64,  # real snapshots with a value
    "of": pl.Int64,
}

COMPARISON: Schema = {
    "task": pl.String,
    "indicator": pl.String,
    "rater": pl.String,
    "mae_a": pl.Float64,  # on the rows that both runs tested
    "mae_b": pl.Float64,
    "difference": pl.Float64,  # b - a
    "low": pl.Float64,  # bootstrap 95 % of the difference
    "high": pl.Float64,
    "p": pl.Float64,  # paired permutation test
    "n": pl.Int64,
    "only_a": pl.Int64,  # rows that only one run tested
    "only_b": pl.Int64,
}

LOSS_CURVES: Schema = {
    "training": pl.String,  # digest of data, rows, config and seed
    "stage": pl.String,
    "step": pl.Int64,
    "epoch": pl.Float64,
    "split": pl.String,  # train | validation
    "loss": pl.Float64,  # null where it was not measured
    "lr": pl.Float64,
    "seconds": pl.Float64,  # since the stage began
}

GRAPH_STATISTICS: Schema = {
    "part": pl.String,  # states | hub
    "name": pl.String,
    "count": pl.Int64,
    "memberships": pl.Int64,  # (state, hub) pairs stored
    "median": pl.Float64,  # states of a hub
    "largest": pl.Int64,
    "share": pl.Float64,  # of states that can read another video in it; of states that are real crawls
}

NEIGHBOURHOODS: Schema = {
    "video_id": pl.String,
    "relation": pl.String,  # kind of hub
    "rank": pl.Int32,  # 1 = the most recent
    "neighbour_id": pl.String,
    "hours_before": pl.Float64,
    "count": pl.Float64,  # of the main counter, at that state; null where it is not published
}

BENCH: Schema = {
    "group": pl.String,  # world, or a real set
    "task": pl.String,
    "state": pl.String,
    "target": pl.String,  # a counter (errors in ln counts), or "level"
    "row": pl.String,
    "family": pl.String,  # baseline | part | netgpt | ablation | oracle
    "n": pl.Int64,  # test samples with a forecast
    "videos": pl.Int64,
    "seeds": pl.Int64,  # trainings whose errors were averaged per sample
    "scored": pl.Float64,  # share of test samples with a forecast
    "mae": pl.Float64,
    "low": pl.Float64,  # bootstrap 95 % by video
    "high": pl.Float64,
    "against": pl.String,  # the baseline with the least error; null for itself
    "difference": pl.Float64,  # mae - its mae, on shared samples; below 0 = better
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "p": pl.Float64,  # paired permutation test by video
    "netgpt_difference": pl.Float64,  # mae of netgpt - this row's, on shared samples; below 0 = netgpt is better
    "netgpt_p": pl.Float64,
}

REJECTS: Schema = {
    "file": pl.String,
    "record": pl.String,  # key, row number or byte offset
    "reason": pl.String,  # a short fixed phrase, so that rejects can be counted by it
    "detail": pl.String,  # what was got, cut at 200 characters, without personal data
}
