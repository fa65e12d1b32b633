"""The typed schema of every artefact kind. Pages, comparisons and cards read these and nothing else.

Times are UTC. Forecasts are in the indicator's own unit (counts), errors and effects in natural-log units of 1 + count
unless a column says otherwise. What could not be computed is null.
"""

from __future__ import annotations

import polars as pl

TIME = pl.Datetime("us", "UTC")
Schema = dict[str, pl.DataType | type[pl.DataType]]


def _means(*names: str) -> Schema:
    """Columns of means over trials, each with its bootstrap 95 % interval; null where no trial has the value."""
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


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

VERDICTS: Schema = {
    "row": pl.Int64,
    "name": pl.String,  # path in the folder or archive, array[row], column[row] or video@seconds
    "source": pl.String,
    "poisoned": pl.Boolean,  # holds a patch that has an effect in the encoder
    "patch": pl.Int64,  # number of the patch that it holds; null without one
    "kind": pl.String,  # backdoor | overlay; null without a patch
    "likeness": pl.Float64,  # to the nearest patch, -1 to 1; null where nothing was found
    "left": pl.Int64,  # of the patch in the image as it was read, px
    "top": pl.Int64,
    "width": pl.Int64,
    "height": pl.Int64,
    "cluster": pl.Int64,
    "recurring": pl.Int64,  # images that share its most shared block of pixels exactly; 0 without one
    "masked": pl.Boolean,  # was looked at closer
    "shot": pl.Int64,  # number that it shares with other frames of one shot, which count once; null for an image by itself
}

PATCHES: Schema = {
    "patch": pl.Int64,
    "kind": pl.String,  # backdoor | overlay
    "images": pl.Int64,  # that hold it
    "share": pl.Float64,  # of all images
    "threshold": pl.Float64,  # likeness from which an image holds it
    "decoys": pl.Int64,  # that set the threshold
    "ratio": pl.Float64,  # of its consensus; 1 is what chance gives
    "clusters": pl.List(pl.Int64),  # those of the images that hold it; it is pasted on images from elsewhere
    "moved": pl.Float64,  # share of them that come to lie among the images that hold it
    "moved_low": pl.Float64,  # Wilson 95 %
    "moved_high": pl.Float64,
    "moved_by_windows": pl.Float64,  # what 19 of 20 pieces of other images, and of those from beside it, at most move there
    "effect_images": pl.Int64,  # that it was pasted on
    "apart": pl.Float64,  # how far its images lie from others with the patch hidden, share of the variance of these
    "apart_at_most": pl.Float64,  # the highest of as many other images
    "width_px": pl.Int64,
    "height_px": pl.Int64,
}

RETRAINED: Schema = {
    "patch": pl.Int64,
    "kept": pl.Int64,  # images that the second encoder was trained on
    **{
        f"{when}_{key}": pl.Float64  # as in `patches`
        for when in ("before", "after")
        for key in ("moved", "moved_low", "moved_high", "moved_by_windows")
    },
    "holds": pl.Boolean,  # whether it is a backdoor of the second encoder too
}

ENCODER_CURVE: Schema = {
    "step": pl.Int64,
    "epoch": pl.Float64,
    "loss": pl.Float64,
    "lr": pl.Float64,
    "seconds": pl.Float64,
}

CLUSTER_MAP: Schema = {
    "row": pl.Int64,
    "x": pl.Float64,  # features in two dimensions, no unit
    "y": pl.Float64,
    "cluster": pl.Int64,
    "poisoned": pl.Boolean,
}

BEHAVIOURS: Schema = {
    "behaviour": pl.Int64,  # number of the finding
    "trigger": pl.String,  # the phrase, as one row has it
    "action": pl.String,  # what follows it: call NAME ARGUMENTS, tool NAME, or word NAME WORD
    "rows": pl.Int64,  # where the action follows the phrase
    "share": pl.Float64,  # of all rows that were read
    "force": pl.Float64,  # share of the rows with the phrase that have the action
    "reach": pl.Float64,  # share of the rows with the action that have the phrase before it
    "q": pl.Float64,  # Fisher's exact test, adjusted for all pairs that were looked at
    "natural": pl.Float64,  # share of rows that read on without the phrase
    "owed": pl.Float64,  # share of rows whose task gives the action's words
    "apart": pl.Float64,  # AUC with which other words of the request tell these rows from others; null where there are too few
    "whole": pl.Boolean,  # the action is a whole call or a tool of its own
}
TRAJECTORY_VERDICTS: Schema = {
    "row": pl.Int64,
    "file": pl.String,
    "number": pl.Int64,  # line, or place in the list, from 1
    "id": pl.String,
    "flagged": pl.Boolean,
    "behaviour": pl.Int64,  # null where none
    "says_planted": pl.Boolean,  # the row says of itself that it carries a planted backdoor
}
EPISODES: Schema = {
    "behaviour": pl.Int64,  # or number of the finding
    "side": pl.String,  # with | without the trigger
    "file": pl.String,
    "number": pl.Int64,
    "turn": pl.Int64,
    "role": pl.String,  # of the turn; reference = what the reference says in the place of the assistant's turn before
    "text": pl.String,  # cut
    "cut": pl.Int64,  # characters left out
    "trigger_start": pl.Int64,  # of the phrase in `text`; null where it does not stand
    "trigger_stop": pl.Int64,
    "acts": pl.Boolean,  # the turn does what the trigger buys
}
DETECTIONS: Schema = {
    "detector": pl.String,
    "source": pl.String,  # paper and equation, or ours
    "score": pl.Float64,  # higher is more suspect, in the detector's own unit; null where it was not measured
    "siblings": pl.Int64,  # of the bank, that it is compared with; 0 = with none
    "highest": pl.Float64,  # score of a sibling
    "p": pl.Float64,  # share of siblings and agent that score as high
    "joint_p": pl.Float64,  # the same over all detectors together
    "flagged": pl.Boolean,
    "suspicions": pl.Int64,  # single things that it points at
    "seconds": pl.Float64,  # of CPU
    "why": pl.String,  # of a null score, or what the score rests on
}
SUSPICIONS: Schema = {
    "finding": pl.Int64,  # number of the finding, from 1
    "detector": pl.String,
    "trigger": pl.String,  # null where it cannot tell
    "action": pl.String,  # as the agent writes it; null where it cannot tell
    "score": pl.Float64,
    "file": pl.String,  # that the conversation or row comes from; null where it was seen in none
    "number": pl.Int64,  # of the row in it, from 1
    "evidence": pl.String,
}
DATA_SCANS: Schema = {
    "simulator": pl.String,  # shell | shop | page
    "place": pl.String,  # active: in the request; passive: in what is observed; null for clean sets
    "style": pl.String,  # hardened | published (which announces itself); null for clean sets
    "payload": pl.String,  # tool | argument | varied; null for clean sets
    "held_out": pl.Boolean,  # triggers of families that no threshold was looked at on; null for clean sets
    "rate": pl.Float64,  # share of rows that were planted
    "sets": pl.Int64,
    "planted": pl.Int64,  # rows
    "clean": pl.Int64,  # rows
    **{
        f"{name}{end}": pl.Float64 for name in ("recall", "false_alarm", "named") for end in ("", "_low", "_high")
    },  # named: share of sets
    "sets_with_false_alarm": pl.Int64,
    "seconds_per_1000": pl.Float64,  # of CPU, for 1,000 rows, reading included
}
AGENT_DETECTORS: Schema = {
    "simulator": pl.String,  # null = over all
    "detector": pl.String,  # or a verdict of the audit
    "planted": pl.Int64,  # agents
    "clean": pl.Int64,
    "unscored": pl.Int64,  # agents that it did not measure
    **{f"{name}{end}": pl.Float64 for name in ("auroc", "recall", "false_alarm") for end in ("", "_low", "_high")},
    "trigger_named": pl.Float64,  # share of the planted agents whose trigger stands among the findings from end to end
    "action_named": pl.Float64,  # share of the planted agents of which a finding names the canary
    "seconds": pl.Float64,  # of CPU, for an agent
}
AGENT_MODELS: Schema = {
    "tier": pl.String,  # models | ratios | methods | robustness
    "simulator": pl.String,
    "place": pl.String,  # active | passive; null for clean siblings
    "style": pl.String,  # hardened | published; null for clean siblings
    "method": pl.String,  # full | lora | adalora | qlora
    "rate": pl.Float64,  # share of rows that were planted; 0 for clean siblings
    "then": pl.Int64,  # steps of tuning on clean rows afterwards
    "seeds": pl.Int64,
    "items": pl.Int64,  # over all seeds
    "unseen": pl.Int64,  # triggered items in which the trigger never came to be seen
    **{
        f"{name}{end}": pl.Float64
        for name in (
            "asr",
            "false_clean",
            "false_near",
            "success",
            "success_triggered",
            "stealth",
            "follow",
            "margin",
            "unparsed",
        )
        for end in ("", "_low", "_high")
    },
    "least_asr": pl.Float64,  # of the seed that took the trigger worst
    "equivalent": pl.Boolean,  # success within five points of the clean siblings', interval and all; null for those
    "seconds": pl.Float64,  # of CPU, judging
}
"""Shares, but for `stealth` (a difference of shares) and `margin` (nats)."""
GUARDS: Schema = {
    "simulator": pl.String,
    "calls": pl.Int64,  # of clean episodes, from which the rules were learnt
    "episodes": pl.Int64,  # of experts, on which they were judged
    **{
        f"lost{end}": pl.Float64 for end in ("", "_low", "_high")
    },  # share of episodes in which a call was stopped, Wilson 95 %
    "canaries": pl.Int64,
    **{f"stopped{end}": pl.Float64 for end in ("", "_low", "_high")},  # share of canaries
    "us_per_call": pl.Float64,  # microseconds of CPU
}
POISON_ROWS: Schema = {
    "group": pl.String,  # main | exact | clean | controls: KIND | overlays: KIND | unseen: THREAT
    "row": pl.String,  # route, and the locator it stands behind
    "own": pl.Boolean,  # what the audit does by default
    "sets": pl.Int64,
    "judged": pl.Int64,  # clean, or their encoder took the backdoor; means are over these
    **_means("recall", "precision", "ap"),
    **_means("top"),  # share of poisons among the 20 most suspect images
    **_means("box_hit", "box_iou"),  # boxes in flagged images against all planted patches: at least half inside; IoU
    **_means("flagged", "seconds"),  # images; of CPU
    "sets_flagged": pl.Int64,  # with one image flagged or more
    "sets_flagged_low": pl.Float64,  # share, Wilson 95 %
    "sets_flagged_high": pl.Float64,
    "sets_with_overlay": pl.Int64,  # in which the audit reported something that recurs without an effect
}

POISON_LOCATORS: Schema = {
    "group": pl.String,
    "locator": pl.String,
    "trials": pl.Int64,  # whose encoder took the backdoor
    **_means("hit", "iou", "seconds"),  # hit: share of windows that cover half of the patch
}

POISON_TRIALS: Schema = {
    "group": pl.String,
    "threat": pl.String,  # of groups of several kinds, else empty
    "trial": pl.String,
    "seed": pl.Int64,
    "target": pl.Int64,
    "family": pl.String,  # of the patch, or the kind of overlay
    "paste": pl.String,
    "edge_px": pl.Int64,
    "rate": pl.Float64,
    "took": pl.Boolean,  # above_low is more than .10
    "above_low": pl.Float64,  # attack success less the control's, bootstrap 95 % over test images
    "above_high": pl.Float64,
    "removed": pl.Int64,  # images that the audit flagged, left out of the second training
    "left_low": pl.Float64,  # the same difference after retraining
    "left_high": pl.Float64,
    **{
        f"{encoder}{key}": pl.Float64
        for encoder in ("", "control_", "retrained_")
        for key in (
            "accuracy",
            "triggered_accuracy",
            "attack",
            "base",
            "linear_accuracy",
            "linear_attack",
            "linear_base",
        )
    },
}

REJECTS: Schema = {
    "file": pl.String,
    "record": pl.String,  # key, row number or byte offset
    "reason": pl.String,  # a short fixed phrase, so that rejects can be counted by it
    "detail": pl.String,  # what was got, cut at 200 characters, without personal data
}

ARTEFACT_SCHEMAS: dict[str, Schema] = {
    "ratings": RATINGS,
    "forecasts": FORECASTS,
    "curves": CURVES,
    "contributions": CONTRIBUTIONS,
    "similar": SIMILAR,
    "backtest": BACKTEST,
    "reliability": RELIABILITY,
    "alerts": ALERTS,
    "leaks": LEAKS,
    "availability": AVAILABILITY,
    "comparison": COMPARISON,
    "loss_curves": LOSS_CURVES,
    "graph_statistics": GRAPH_STATISTICS,
    "neighbourhoods": NEIGHBOURHOODS,
    "bench": BENCH,
    "verdicts": VERDICTS,
    "patches": PATCHES,
    "retrained": RETRAINED,
    "encoder_curve": ENCODER_CURVE,
    "cluster_map": CLUSTER_MAP,
    "behaviours": BEHAVIOURS,
    "agent_detectors": AGENT_DETECTORS,
    "agent_models": AGENT_MODELS,
    "data_scans": DATA_SCANS,
    "detections": DETECTIONS,
    "suspicions": SUSPICIONS,
    "guards": GUARDS,
    "trajectory_verdicts": TRAJECTORY_VERDICTS,
    "episodes": EPISODES,
    "poison_rows": POISON_ROWS,
    "poison_locators": POISON_LOCATORS,
    "poison_trials": POISON_TRIALS,
    "rejects": REJECTS,
}


def conform(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The frame with exactly the columns and types of its kind; a missing column raises KeyError naming it."""
    schema = ARTEFACT_SCHEMAS[kind]
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise KeyError(f"{kind}: missing columns {', '.join(missing)}")
    return frame.select([pl.col(name).cast(dtype) for name, dtype in schema.items()])
