"""Tables of explanations: effects, checks, sentences, what-ifs, rules."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import TIME, Schema

EXPLAINED: Schema = {
    "video_id": pl.String,
    "rater": pl.String,
    "state": pl.String,  # cold | observed
    "rated_at": TIME,
    "target": pl.String,  # level, or a counter
    "unit": pl.String,  # of all effects: "levels", "ln views"
    "score": pl.Float64,  # as the rating has it
    "base": pl.Float64,  # with all parts at their baselines
    "verdict": pl.String,
    "untold": pl.List(pl.String),  # modalities whose parts failed a check
    "in_training": pl.Boolean,  # whether the model had learnt from an outcome of this video
    "asked": pl.Int64,  # contents that were scored
    "seconds": pl.Float64,
}

EFFECTS: Schema = {
    "video_id": pl.String,
    "kind": pl.String,  # modality | pair (of modalities, what they add together only) | part
    "modality": pl.String,
    "unit": pl.String,  # the part; null of modalities
    "place": pl.Int32,  # of the part within its modality, from 1, in the order of the content
    "other": pl.String,  # the other modality of a pair
    "value": pl.String,  # what the part says, in words
    "baseline": pl.String,  # what stood in its place
    "effect": pl.Float64,  # Shapley value, of a pair its interaction
    "without": pl.Float64,  # score - score without it
    "alone": pl.Float64,  # score with it alone in its modality - score without the modality
    "error": pl.Float64,  # standard error of the effect, 0 where it is exact
    "told": pl.Boolean,  # whether the modality's parts passed their checks
}

EXPLANATION_CHECKS: Schema = {
    "video_id": pl.String,
    "name": pl.String,
    "modality": pl.String,
    "passed": pl.Boolean,  # null where it could not be made
    "value": pl.Float64,
    "words": pl.String,
}

CLAIMS: Schema = {
    "video_id": pl.String,
    "position": pl.Int32,
    "sentence": pl.String,
    "modality": pl.String,
    "unit": pl.String,
    "effect": pl.Float64,
    "checked": pl.Float64,  # mean change under another baseline and in other contexts
    "error": pl.Float64,  # its standard error
    "holds": pl.Boolean,
}

WHAT_IFS: Schema = {
    "video_id": pl.String,
    "unit": pl.String,
    "value": pl.Float64,  # in the feature's scale
    "shown": pl.String,  # in words
    "score": pl.Float64,
    "own": pl.Boolean,  # the value that the video has
}

COUNTERFACTUALS: Schema = {
    "video_id": pl.String,
    "unit": pl.String,
    "own": pl.String,
    "value": pl.String,
    "line": pl.Float64,  # that the score would cross
    "score": pl.Float64,
    "distance": pl.Float64,  # in standard deviations of training
    "sentence": pl.String,
}

RULES: Schema = {
    "video_id": pl.String,
    "kind": pl.String,  # propositional | soft | exceptions
    "position": pl.Int32,
    "depth": pl.Int32,  # of an exception within others, 0 = the default; null of other kinds
    "sentence": pl.String,
    "score": pl.Float64,  # that the rule ends with, of a weighed rule its weight
    "share": pl.Float64,  # of the choices of parts that the rules were learnt from; null of weighed rules
    "r2": pl.Float64,  # of all rules, on choices that they had not seen
}

STEPS: Schema = {
    "video_id": pl.String,
    "position": pl.Int32,
    "step": pl.String,
    "given": pl.String,
    "got": pl.String,
}

RELEVANCES: Schema = {
    "video_id": pl.String,
    "one": pl.String,
    "other": pl.String,
    "one_unit": pl.String,
    "other_unit": pl.String,
    "whole": pl.Float64,  # second difference among all other parts
    "alone": pl.Float64,  # the same without the other parts of both
    "matched": pl.Boolean,  # of parts of two modalities: each is the other's partner
}

TRANSCRIPTS: Schema = {
    "video_id": pl.String,
    "kind": pl.String,  # chain of thought | self-questioning
    "model": pl.String,  # the language model that spoke
    "position": pl.Int32,
    "said": pl.String,
    "unit": pl.String,  # that it makes a claim about; null where it makes none
    "way": pl.String,  # raises | lowers
    "moved": pl.Float64,  # what the scorer says: mean change with the part, in other contexts
    "holds": pl.Boolean,
}

LEAVES: Schema = {
    "video_id": pl.String,
    "leaf": pl.String,  # id in the taxonomy (explain/taxonomy.py)
    "shown": pl.Boolean,
    "why": pl.String,  # where it is shown, or why it is not
}

OVERALL: Schema = {
    "cohort_kind": pl.String,  # all | platform | level
    "cohort": pl.String,
    "part": pl.String,  # a number, a kind of link, or a modality
    "n": pl.Int64,  # videos of the cohort
    "size": pl.Float64,  # mean |effect|, with its bootstrap 95 % interval
    "low": pl.Float64,
    "high": pl.Float64,
    "mean": pl.Float64,
}

RELATIONS: Schema = {
    "position": pl.Int32,
    "sentence": pl.String,
    "line": pl.Float64,  # score from which on a video is high
    "covered": pl.Int64,  # videos that the rule was learnt from
    "precision": pl.Float64,  # share of them that are high
    "held_covered": pl.Int64,  # the same on held-out videos
    "held_precision": pl.Float64,
    "prior": pl.Float64,  # share of all videos that are high
    "recall": pl.Float64,  # of all rules together, on held-out videos
}

EXPLAIN_BENCH: Schema = {
    "tier": pl.String,  # known | planted | speed | ratings
    "name": pl.String,
    "group": pl.String,  # kind of signal, rater, or game
    "n": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "unit": pl.String,
    "aim": pl.String,  # what was asked beforehand; empty where nothing was
    "met": pl.Boolean,
}
