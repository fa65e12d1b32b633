"""Records that cards are made from, by hand."""

from __future__ import annotations

from pathlib import Path

from tests.report.conftest import conformed
from veracast.core.records import Record, RunWriter, load_record
from veracast.core.scores import Score
from veracast.report.card import File, ModelFacts

FILES = (File("model.json", "a" * 64, 100), File("parts/observed-level/trees-0.txt", "b" * 64, 2_000))


def facts(*, frames: bool = False, language: str | None = None, name: str = "m <1>") -> ModelFacts:
    return ModelFacts(
        name, "c" * 64, FILES, {"observed-level": "lightgbm"}, 14.0, "views", "quantile", ("xigua",), frames, language
    )


def maker(folder: Path, *, young: int = 0) -> Record:
    """A run with a backtest, a leak report, and two explained videos."""
    with RunWriter("run", folder, config={}, seed=0) as run:
        run.input_digest("dataset", "d" * 64)
        leaks = [
            {"check": "young_labels", "found": young, "of": 9, "detail": "x", "handled": False},
            {"check": "fans_copied_back", "found": 3, "of": 9, "detail": "x", "handled": True},
        ]
        run.table("leaks", "leaks", conformed("leaks", leaks))
        checks = [
            {"video_id": v, "name": "complete", "passed": p, "value": 0.0, "words": "x"}
            for v, p in (("a", True), ("b", False), ("b", None))
        ]
        run.table("explanation_checks", "explanation_checks", conformed("explanation_checks", checks))
        where = {
            "split": "test",
            "rater": "lightgbm",
            "state": "observed",
            "variant": "horizon-observed",
            "champion": True,
        }
        scores = [
            Score("mae", 0.5, 0.4, 0.6, 80, 2, "levels", "lower", where), Score("mae", 0.7, 0.5, 0.9, 20, 0, "levels", "lower", {**where, "platform": "xigua"}),
            Score("mae", 0.9, None, None, 20, 0, "levels", "lower", {**where, "topic": "x"}), Score("acc", 0.4, None, None, 80, 0, "share", "higher", where),
            Score("mae", 1.5, None, None, 80, 0, "levels", "lower", {**where, "rater": "median", "champion": False}),
        ]  # fmt: skip
        counts = {
            "videos": 900,
            "real_snapshots": 6_983,
            "rejects": 1,
            "not_backtested": ["horizon-cold: 12 videos"],
            "censored": {"closed": 7, "vanished_before_horizon": 3},
        }
        run.finish(status="ok", verdict="x", counts=counts, scores=scores)
    return load_record(folder)


def audit(folder: Path, kind: str, status: str, **counts: object) -> Record:
    with RunWriter(kind, folder, config={}, seed=0) as run:
        run.finish(status=status, verdict=f"the verdict | of <b>{kind}</b>", counts=counts)
    return load_record(folder)
