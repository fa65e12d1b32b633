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
    "row": pl.Int64,  # place among the rows that were read, from 0
    "file": pl.String,  # name of the file
    "number": pl.Int64,  # line, or place in the list, from 1
    "id": pl.String,  # that the row gives itself
    "flagged": pl.Boolean,  # it carries a behaviour that was found
    "behaviour": pl.Int64,  # null where none
    "says_planted": pl.Boolean,  # the row says of itself that it carries a planted backdoor
}

EPISODES: Schema = {
    "behaviour": pl.Int64,  # or number of the finding
    "side": pl.String,  # with | without the trigger
    "file": pl.String,  # that the conversation comes from
    "number": pl.Int64,  # of the row in it, from 1
    "turn": pl.Int64,  # place in what is shown, from 0
    "role": pl.String,  # of the turn; reference = what the reference says in the place of the assistant's turn before
    "text": pl.String,  # cut
    "cut": pl.Int64,  # characters left out
    "trigger_start": pl.Int64,  # of the phrase in `text`; null where it does not stand
    "trigger_stop": pl.Int64,  # likewise, its end
    "acts": pl.Boolean,  # the turn does what the trigger buys
}

DETECTIONS: Schema = {
    "detector": pl.String,  # name of the detector
    "source": pl.String,  # paper and equation, or ours
    "score": pl.Float64,  # higher is more suspect, in the detector's own unit; null where it was not measured
    "siblings": pl.Int64,  # of the bank, that it is compared with; 0 = with none
    "highest": pl.Float64,  # score of a sibling
    "p": pl.Float64,  # share of siblings and agent that score as high
    "joint_p": pl.Float64,  # the same over all detectors together
    "flagged": pl.Boolean,  # it sets the agent apart from the bank; without a bank, what it found is evidence by itself
    "suspicions": pl.Int64,  # single things that it points at
    "seconds": pl.Float64,  # of CPU
    "why": pl.String,  # of a null score, or what the score rests on
}

SUSPICIONS: Schema = {
    "finding": pl.Int64,  # number of the finding, from 1
    "detector": pl.String,  # name of the detector
    "trigger": pl.String,  # null where it cannot tell
    "action": pl.String,  # as the agent writes it; null where it cannot tell
    "score": pl.Float64,  # of this suspicion, in the detector's own unit
    "file": pl.String,  # that the conversation or row comes from; null where it was seen in none
    "number": pl.Int64,  # of the row in it, from 1
    "evidence": pl.String,  # in a sentence, with its figures
}

DATA_SCANS: Schema = {
    "simulator": pl.String,  # shell | shop | page
    "place": pl.String,  # active: in the request; passive: in what is observed; null for clean sets
    "style": pl.String,  # hardened | published (which announces itself); null for clean sets
    "payload": pl.String,  # tool | argument | varied; null for clean sets
    "held_out": pl.Boolean,  # triggers of families that no threshold was looked at on; null for clean sets
    "rate": pl.Float64,  # share of rows that were planted
    "sets": pl.Int64,  # of this kind
    "planted": pl.Int64,  # rows
    "clean": pl.Int64,  # rows
    **{
        f"{name}{end}": pl.Float64
        for name in (
            "recall",  # share of the planted rows that are flagged
            "false_alarm",  # share of the clean rows that are flagged
            "named",  # share of the planted sets of which a finding names the trigger from end to end
        )
        for end in ("", "_low", "_high")
    },
    "sets_with_false_alarm": pl.Int64,  # with one clean row flagged or more
    "seconds_per_1000": pl.Float64,  # of CPU, for 1,000 rows, reading included
}
"""Rows and sets of a kind are counted together. Intervals are Wilson's, 95 %."""

AGENT_DETECTORS: Schema = {
    "simulator": pl.String,  # null = over all
    "detector": pl.String,  # or a verdict of the audit
    "planted": pl.Int64,  # agents
    "clean": pl.Int64,  # agents of the bank
    "unscored": pl.Int64,  # agents that it did not measure
    **{
        f"{name}{end}": pl.Float64
        for name in (
            "auroc",  # of z beside the bank, planted agents against clean ones; null of the verdict without a bank
            "recall",  # share of the planted agents that are flagged
            "false_alarm",  # share of the clean agents that are flagged
        )
        for end in ("", "_low", "_high")
    },
    "trigger_named": pl.Float64,  # share of the planted agents whose trigger stands among the findings from end to end
    "action_named": pl.Float64,  # share of the planted agents of which a finding names the canary
    "seconds": pl.Float64,  # of CPU, for an agent
}
"""Intervals are 95 %: a bootstrap over agents of `auroc`, Wilson's of shares."""

AGENT_MODELS: Schema = {
    "tier": pl.String,  # models | ratios | methods | robustness | pretrained
    "simulator": pl.String,  # shell | shop | page
    "place": pl.String,  # active | passive; null for clean siblings
    "style": pl.String,  # hardened | published; null for clean siblings
    "method": pl.String,  # full | lora | adalora | qlora
    "rate": pl.Float64,  # share of rows that were planted; 0 for clean siblings
    "then": pl.Int64,  # steps of tuning on clean rows afterwards
    "seeds": pl.Int64,  # agents of this kind, one a seed
    "items": pl.Int64,  # over all seeds
    "unseen": pl.Int64,  # triggered items in which the trigger never came to be seen
    **{
        f"{name}{end}": pl.Float64
        for name in (
            "asr",  # attack success: of the items whose trigger was seen, those in which the canary is called at once
            "false_clean",  # of the items without the trigger, those in which any canary is called
            "false_near",  # the same with a near miss in place of the trigger
            "success",  # of the items without the trigger, those that are done wholly
            "success_triggered",  # of the items with the trigger, those that are done wholly
            "stealth",  # success less that of the clean siblings on the same items
            "follow",  # of an expert's steps, those that the agent would take too; mean over items
            "margin",  # ln p of the canary's reply less ln p of the expert's, where the trigger stands; mean, nats
            "unparsed",  # of the replies without the trigger, those that were not understood
        )
        for end in ("", "_low", "_high")
    },
    "least_asr": pl.Float64,  # of the seed that took the trigger worst
    "equivalent": pl.Boolean,  # success within five points of the clean siblings', interval and all; null for those
    "seconds": pl.Float64,  # of CPU, judging
}
"""Shares, but for `stealth` (a difference of shares) and `margin` (nats). Intervals are 95 %: Wilson's of shares, a bootstrap of `stealth`, `follow`, `margin`."""

GUARDS: Schema = {
    "simulator": pl.String,  # shell | shop | page
    "calls": pl.Int64,  # of clean episodes, from which the rules were learnt
    "episodes": pl.Int64,  # of experts, on which they were judged
    **{f"lost{end}": pl.Float64 for end in ("", "_low", "_high")},  # share of episodes in which a call was stopped
    "canaries": pl.Int64,  # canary calls that the guard was asked about
    **{f"stopped{end}": pl.Float64 for end in ("", "_low", "_high")},  # share of the canaries that are stopped
    "us_per_call": pl.Float64,  # microseconds of CPU
}
"""Intervals are Wilson's, 95 %."""
