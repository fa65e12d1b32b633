"""Tables of rating runs and benches: rated videos, backtests, the graph network; and what ingest refused."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import TIME, Schema

ROLES = ("open", "test", "train_cross_fitted")
"""open: horizon not passed yet (the portfolio) · test: backtest on closed videos · train: rated by folds that never saw it."""

BANDS: Schema = {f"{end}_{coverage}": pl.Float64 for coverage in (50, 80, 90) for end in ("low", "high")}

RATINGS: Schema = {
    "video_id": pl.String,  # id of the video, as in `videos` of the data set
    "role": pl.String,  # one of ROLES
    "task": pl.String,  # which backtest or the portfolio
    "rater": pl.String,  # who rated it
    "platform": pl.String,  # as in `videos`
    "author_id": pl.String,  # as in `videos`
    "title": pl.String,  # as in `videos`
    "url": pl.String,  # as in `videos`
    "topic": pl.String,  # as in `videos`
    "posted_at": TIME,  # as in `videos`
    "rated_at": TIME,  # the as-of time of the state that was rated
    "target_at": TIME,  # when the forecast is for; null where the label has no date
    "state": pl.String,  # cold | observed
    "age_h": pl.Float64,  # hours from posting to rated_at
    "level_expected": pl.Float64,  # mean of the level distribution, 0-9
    "level_floor": pl.Int8,  # level already reached at rated_at; null when no rule or no counters
    "level_probs": pl.List(pl.Float64),  # 10 numbers that sum to 1
    "p_alert": pl.Float64,  # P(level >= alert level of the run)
    "level_truth": pl.Int8,  # level that came about; null where it is not known
    "level_set_by": pl.String,  # the indicator expected to set the level, in words: "shares pass 1,000"
    "out_of_distribution": pl.Boolean,  # the state is unlike what the model was trained on
    "out_of_distribution_why": pl.String,  # what is unlike, in words; null where nothing is
}

FORECASTS: Schema = {
    "video_id": pl.String,  # id of the video, as in `videos` of the data set
    "role": pl.String,  # one of ROLES
    "task": pl.String,  # as in `ratings`
    "indicator": pl.String,  # the counter that is forecast
    "now": pl.Int64,  # last published count at rated_at
    "point": pl.Float64,  # count expected at the target
    **BANDS,  # ends of the 50, 80 and 90 % intervals
    "truth": pl.Int64,  # count that came about; null where it is not known
}

CURVES: Schema = {
    "video_id": pl.String,  # an open video that is explained
    "indicator": pl.String,  # the counter that is drawn, one for each video
    "age_h": pl.Float64,  # hours since posting
    "kind": pl.String,  # history | forecast
    "value": pl.Float64,  # count, or point forecast
    **BANDS,  # ends of the 50, 80 and 90 % intervals; null of the history
}

CONTRIBUTIONS: Schema = {
    "video_id": pl.String,  # an open video that is explained
    "rank": pl.Int32,  # 1 = largest absolute effect
    "feature": pl.String,  # name of the as-of feature
    "value": pl.Float64,  # of the feature, in its own scale; null where it is not known
    "effect": pl.Float64,  # signed, in `unit`; effects of a video plus base sum to its raw score
    "unit": pl.String,  # "ln views", "levels"
    "sentence": pl.String,  # "Already 41,200 views after 9 h: raises the forecast by .43 ln views"
}

SIMILAR: Schema = {
    "video_id": pl.String,  # an open video that is explained
    "rank": pl.Int32,  # 1 = the most similar
    "neighbour_id": pl.String,  # the past video
    "title": pl.String,  # of the past video
    "platform": pl.String,  # of the past video
    "distance": pl.Float64,  # Euclidean, in standard deviations per feature
    "indicator": pl.String,  # the counter that `values` are of
    "ages_h": pl.List(pl.Float64),  # hours from posting to each crawl of the past video
    "values": pl.List(pl.Float64),  # count at each of these crawls
    "level": pl.Int8,  # released with the data, of the past video; null without one
}

BACKTEST: Schema = {
    "task": pl.String,  # which backtest
    "split": pl.String,  # always test
    "rater": pl.String,  # who forecast it
    "video_id": pl.String,  # id of the video, as in `videos` of the data set
    "platform": pl.String,  # as in `videos`
    "state": pl.String,  # cold | observed
    "indicator": pl.String,  # a counter, or "level"
    "age_h": pl.Float64,  # hours from posting to the state that was rated
    "gap_h": pl.Float64,  # hours from that state to the target; null where the label has no date
    "point": pl.Float64,  # ln(1 + count), or the level
    "truth": pl.Float64,  # same unit
    **BANDS,  # ends of the 50, 80 and 90 % intervals
    "reason_unscored": pl.String,  # null where scored
}

RELIABILITY: Schema = {
    "task": pl.String,  # which backtest
    "rater": pl.String,  # its champion
    "level_at_least": pl.Int8,  # k of P(level >= k)
    "predicted": pl.Float64,  # mean predicted probability of the bin
    "observed": pl.Float64,  # share of the bin that reached the level
    "low": pl.Float64,  # Wilson 95 %
    "high": pl.Float64,  # Wilson 95 %
    "n": pl.Int64,  # test states in the bin
}

ALERTS: Schema = {
    "task": pl.String,  # which backtest
    "rater": pl.String,  # its champion
    "level_at_least": pl.Int8,  # k of P(level >= k), the alert level of the run
    "threshold": pl.Float64,  # flag when P(level >= k) > threshold
    "precision": pl.Float64,  # share of the flagged that reached the level; null where none is flagged
    "low": pl.Float64,  # Wilson 95 % of the precision
    "high": pl.Float64,  # Wilson 95 % of the precision
    "recall": pl.Float64,  # share of those that reached the level that are flagged; null where none did
    "flagged": pl.Int64,  # test states above the threshold
    "flagged_per_day": pl.Float64,  # over the days of the test set
    "n": pl.Int64,  # test states
}

LEAKS: Schema = {
    "check": pl.String,  # short id: fans_copied_back, crawl_counters_at_posting, duplicates_across_splits, young_labels ...
    "found": pl.Int64,  # cases found; null = could not be checked
    "of": pl.Int64,  # cases looked at; null = could not be checked
    "detail": pl.String,  # one sentence: what it is, and what this run did about it
    "handled": pl.Boolean,  # whether this run saw to it that it does no harm
}

AVAILABILITY: Schema = {
    "platform": pl.String,  # as in `videos`
    "indicator": pl.String,  # the counter
    "published": pl.Int64,  # real snapshots with a value
    "of": pl.Int64,  # real snapshots of the platform
}

COMPARISON: Schema = {
    "task": pl.String,  # which backtest
    "indicator": pl.String,  # what was forecast: a counter, or "level"
    "rater": pl.String,  # who forecast it, in both runs
    "mae_a": pl.Float64,  # on the rows that both runs tested
    "mae_b": pl.Float64,  # on the same rows
    "difference": pl.Float64,  # b - a
    "low": pl.Float64,  # bootstrap 95 % of the difference
    "high": pl.Float64,  # bootstrap 95 % of the difference
    "p": pl.Float64,  # paired permutation test
    "n": pl.Int64,  # rows that both runs tested
    "only_a": pl.Int64,  # rows that a alone tested
    "only_b": pl.Int64,  # rows that b alone tested
}

LOSS_CURVES: Schema = {
    "training": pl.String,  # digest of data, rows, config and seed
    "stage": pl.String,  # which part of the training: stage1, stage2, stage3-language, frames ...
    "step": pl.Int64,  # steps of the optimizer so far
    "epoch": pl.Float64,  # passes over the training rows so far
    "split": pl.String,  # train | validation
    "loss": pl.Float64,  # null where it was not measured
    "lr": pl.Float64,  # learning rate of the step
    "seconds": pl.Float64,  # since the stage began
}

GRAPH_STATISTICS: Schema = {
    "part": pl.String,  # states | hub
    "name": pl.String,  # all | real crawls; of hubs their kind, such as author
    "count": pl.Int64,  # states; of hubs how many there are of the kind
    "memberships": pl.Int64,  # (state, hub) pairs stored
    "median": pl.Float64,  # states of a hub
    "largest": pl.Int64,  # states of the largest hub
    "share": pl.Float64,  # of states that can read another video in it; of states that are real crawls
}

NEIGHBOURHOODS: Schema = {
    "video_id": pl.String,  # an open video that is explained
    "relation": pl.String,  # kind of hub
    "rank": pl.Int32,  # 1 = the most recent
    "neighbour_id": pl.String,  # another video in the same hub
    "hours_before": pl.Float64,  # from the neighbour's state to that of the video
    "count": pl.Float64,  # of the main counter, at that state; null where it is not published
}

BENCH: Schema = {
    "group": pl.String,  # world, or a real set
    "task": pl.String,  # which backtest
    "state": pl.String,  # cold | observed
    "target": pl.String,  # a counter (errors in ln counts), or "level"
    "row": pl.String,  # name of the rater, or of what is changed in netgpt
    "family": pl.String,  # baseline | part | netgpt | ablation | oracle
    "n": pl.Int64,  # test samples with a forecast
    "videos": pl.Int64,  # of these samples
    "seeds": pl.Int64,  # trainings whose errors were averaged per sample
    "scored": pl.Float64,  # share of test samples with a forecast
    "mae": pl.Float64,  # mean absolute error, in the target's unit
    "low": pl.Float64,  # bootstrap 95 % by video
    "high": pl.Float64,  # bootstrap 95 % by video
    "against": pl.String,  # the baseline with the least error; null for itself
    "difference": pl.Float64,  # mae - its mae, on shared samples; below 0 = better
    "difference_low": pl.Float64,  # bootstrap 95 % by video
    "difference_high": pl.Float64,  # bootstrap 95 % by video
    "p": pl.Float64,  # paired permutation test by video
    "netgpt_difference": pl.Float64,  # mae of netgpt - this row's, on shared samples; below 0 = netgpt is better
    "netgpt_p": pl.Float64,  # paired permutation test by video
}

REJECTS: Schema = {
    "file": pl.String,  # name of the file that it stands in
    "record": pl.String,  # key, row number or byte offset
    "reason": pl.String,  # a short fixed phrase, so that rejects can be counted by it
    "detail": pl.String,  # what was got, cut at 200 characters, without personal data
}
