"""The typed schema of every artefact kind. Pages, comparisons and cards read these and nothing else.

Times are UTC. Forecasts are in the indicator's own unit (counts), errors and effects in natural-log units of 1 + count
unless a column says otherwise. What could not be computed is null.
"""

from __future__ import annotations

import polars as pl

from veracast.core.schemas import agents, explanations, images, ratings
from veracast.core.schemas.types import Schema

ARTEFACT_SCHEMAS: dict[str, Schema] = {
    "ratings": ratings.RATINGS,
    "forecasts": ratings.FORECASTS,
    "curves": ratings.CURVES,
    "contributions": ratings.CONTRIBUTIONS,
    "similar": ratings.SIMILAR,
    "backtest": ratings.BACKTEST,
    "reliability": ratings.RELIABILITY,
    "alerts": ratings.ALERTS,
    "leaks": ratings.LEAKS,
    "availability": ratings.AVAILABILITY,
    "comparison": ratings.COMPARISON,
    "loss_curves": ratings.LOSS_CURVES,
    "graph_statistics": ratings.GRAPH_STATISTICS,
    "neighbourhoods": ratings.NEIGHBOURHOODS,
    "bench": ratings.BENCH,
    "rejects": ratings.REJECTS,
    "explained": explanations.EXPLAINED,
    "effects": explanations.EFFECTS,
    "explanation_checks": explanations.EXPLANATION_CHECKS,
    "claims": explanations.CLAIMS,
    "what_ifs": explanations.WHAT_IFS,
    "counterfactuals": explanations.COUNTERFACTUALS,
    "rules": explanations.RULES,
    "steps": explanations.STEPS,
    "relevances": explanations.RELEVANCES,
    "transcripts": explanations.TRANSCRIPTS,
    "leaves": explanations.LEAVES,
    "explain_bench": explanations.EXPLAIN_BENCH,
    "overall": explanations.OVERALL,
    "relations": explanations.RELATIONS,
    "verdicts": images.VERDICTS,
    "patches": images.PATCHES,
    "retrained": images.RETRAINED,
    "encoder_curve": images.ENCODER_CURVE,
    "cluster_map": images.CLUSTER_MAP,
    "poison_rows": images.POISON_ROWS,
    "poison_locators": images.POISON_LOCATORS,
    "poison_trials": images.POISON_TRIALS,
    "behaviours": agents.BEHAVIOURS,
    "agent_detectors": agents.AGENT_DETECTORS,
    "agent_models": agents.AGENT_MODELS,
    "data_scans": agents.DATA_SCANS,
    "detections": agents.DETECTIONS,
    "suspicions": agents.SUSPICIONS,
    "guards": agents.GUARDS,
    "trajectory_verdicts": agents.TRAJECTORY_VERDICTS,
    "episodes": agents.EPISODES,
}


def conform(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
    """The frame with exactly the columns and types of its kind; a missing column raises KeyError naming it."""
    schema = ARTEFACT_SCHEMAS[kind]
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise KeyError(f"{kind}: missing columns {', '.join(missing)}")
    return frame.select([pl.col(name).cast(dtype) for name, dtype in schema.items()])
