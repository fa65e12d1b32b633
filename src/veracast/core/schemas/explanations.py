"""Tables of explanations: effects, checks, sentences, what-ifs, rules."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import TIME, Schema

EXPLAINED: Schema = {
    "video_id": pl.String,  # what is explained: a video; of an audit `image-ROW` or `finding-N`
    "rater": pl.String,  # whose rating it is; of an audit the encoder or the agent
    "state": pl.String,  # cold | observed
    "rated_at": TIME,  # the as-of time of the state; null of an audit
    "target": pl.String,  # level, or a counter
    "unit": pl.String,  # of all effects: "levels", "ln views"
    "score": pl.Float64,  # as the rating has it
    "base": pl.Float64,  # with all parts at their baselines
    "verdict": pl.String,  # how its checks and sentences fared, in a line
    "untold": pl.List(pl.String),  # modalities whose parts failed a check
    "in_training": pl.Boolean,  # whether the model had learnt from an outcome of this video
    "asked": pl.Int64,  # contents that were scored
    "seconds": pl.Float64,  # that it took, by the clock
}

EFFECTS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "kind": pl.String,  # modality | pair (of modalities, what they add together only) | part
    "modality": pl.String,  # numbers, title, description, graph, frames; of a reply prompt
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
    "video_id": pl.String,  # as in `explained`
    "name": pl.String,  # complete | deletion | seed | baseline; of an audit also place | gradients
    "modality": pl.String,  # that it is made on; null = all together
    "passed": pl.Boolean,  # null where it could not be made
    "value": pl.Float64,  # that it rests on: an error, a share, standard deviations, a correlation
    "words": pl.String,  # what was found, and what was asked
}

CLAIMS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "position": pl.Int32,  # 1 = the largest effect
    "sentence": pl.String,  # what is claimed
    "modality": pl.String,  # of the part
    "unit": pl.String,  # the part that it is about
    "effect": pl.Float64,  # Shapley value of the part
    "checked": pl.Float64,  # mean change under another baseline and in other contexts
    "error": pl.Float64,  # its standard error
    "holds": pl.Boolean,  # `checked` has the sign of `effect`
}

WHAT_IFS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "unit": pl.String,  # the number that is varied
    "value": pl.Float64,  # in the feature's scale
    "shown": pl.String,  # in words
    "score": pl.Float64,  # with that value
    "own": pl.Boolean,  # the value that the video has
}

COUNTERFACTUALS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "unit": pl.String,  # the number that is changed
    "own": pl.String,  # its own value, in words
    "value": pl.String,  # the nearest one beyond the line, in words
    "line": pl.Float64,  # that the score would cross
    "score": pl.Float64,  # with that value
    "distance": pl.Float64,  # in standard deviations of training
    "sentence": pl.String,  # the same as a sentence
}

RULES: Schema = {
    "video_id": pl.String,  # as in `explained`
    "kind": pl.String,  # propositional | soft | exceptions
    "position": pl.Int32,  # from 1, in the order of the rules of its kind
    "depth": pl.Int32,  # of an exception within others, 0 = the default; null of other kinds
    "sentence": pl.String,  # the rule in words
    "score": pl.Float64,  # that the rule ends with, of a weighed rule its weight
    "share": pl.Float64,  # of the choices of parts that the rules were learnt from; null of weighed rules
    "r2": pl.Float64,  # of all rules, on choices that they had not seen
}

STEPS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "position": pl.Int32,  # from 1, in the order of the work
    "step": pl.String,  # part of the model
    "given": pl.String,  # what goes in, in words
    "got": pl.String,  # what comes out, in words
}

RELEVANCES: Schema = {
    "video_id": pl.String,  # as in `explained`
    "one": pl.String,  # modality of the first part, which is a text
    "other": pl.String,  # modality of the part that it acts with; the same text where both are words of it
    "one_unit": pl.String,  # the part of `one`
    "other_unit": pl.String,  # the part of `other`
    "whole": pl.Float64,  # second difference among all other parts
    "alone": pl.Float64,  # the same without the other parts of both
    "matched": pl.Boolean,  # of parts of two modalities: each is the other's partner
}

TRANSCRIPTS: Schema = {
    "video_id": pl.String,  # as in `explained`
    "kind": pl.String,  # chain of thought | self-questioning
    "model": pl.String,  # the language model that spoke
    "position": pl.Int32,  # from 1, in the order of speaking
    "said": pl.String,  # the line, or question and answer
    "unit": pl.String,  # that it makes a claim about; null where it makes none
    "way": pl.String,  # raises | lowers
    "moved": pl.Float64,  # what the scorer says: mean change with the part, in other contexts
    "holds": pl.Boolean,  # `moved` has the claimed sign; null without a claim
}

LEAVES: Schema = {
    "video_id": pl.String,  # as in `explained`
    "leaf": pl.String,  # id in the taxonomy (explain/taxonomy.py)
    "shown": pl.Boolean,  # whether this explanation has it
    "why": pl.String,  # where it is shown, or why it is not
}

OVERALL: Schema = {
    "cohort_kind": pl.String,  # all | platform | level
    "cohort": pl.String,  # name of the platform, the level, or all
    "part": pl.String,  # a number, a kind of link, or a modality
    "n": pl.Int64,  # videos of the cohort
    "size": pl.Float64,  # mean |effect|, with its bootstrap 95 % interval
    "low": pl.Float64,  # bootstrap 95 % of the size
    "high": pl.Float64,  # bootstrap 95 % of the size
    "mean": pl.Float64,  # mean effect, with its sign
}

RELATIONS: Schema = {
    "position": pl.Int32,  # from 1, in the order in which they were learnt
    "sentence": pl.String,  # the rule in words
    "line": pl.Float64,  # score from which on a video is high
    "covered": pl.Int64,  # videos that the rule was learnt from
    "precision": pl.Float64,  # share of them that are high
    "held_covered": pl.Int64,  # the same on held-out videos
    "held_precision": pl.Float64,  # the same on held-out videos
    "prior": pl.Float64,  # share of all videos that are high
    "recall": pl.Float64,  # of all rules together, on held-out videos
}

EXPLAIN_BENCH: Schema = {
    "tier": pl.String,  # known | planted | speed | ratings
    "name": pl.String,  # what was measured
    "group": pl.String,  # kind of signal, rater, or game
    "n": pl.Int64,  # cases that were measured
    "value": pl.Float64,  # as measured, in `unit`
    "low": pl.Float64,  # 95 % of a share (Wilson) or a mean (bootstrap); null of others
    "high": pl.Float64,  # the other end
    "unit": pl.String,  # of value, low and high
    "aim": pl.String,  # what was asked beforehand; empty where nothing was
    "met": pl.Boolean,  # the aim; null where nothing was asked, or measured
}
