"""Tables of the agent audits, their bench and the guard."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import Schema

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
