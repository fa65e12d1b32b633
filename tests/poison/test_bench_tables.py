"""Tables of the poison bench from pieces made by hand: what is averaged, what is left out, when a rate is quoted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from veracast.poison.attacks import Attack
from veracast.poison.bench_tables import (
    LEAST_CONTROLS,
    false_alarms,
    locator_table,
    row_table,
    rows_of,
    trial_rows,
    verdict,
)
from veracast.poison.contest import LOCATORS, ROWS, SHORT
from veracast.poison.trials import Trial

TOOK, NOT = Trial("main", 1, (Attack(target=0),)), Trial("main", 2, (Attack(target=3),))
CLEAN = tuple(Trial("clean", seed) for seed in (1, 2))
TRIALS = (TOOK, NOT, *CLEAN)
PIECE = {"ap": 1.0, "top": 0.5, "box_hit": 1.0, "box_iou": 0.9, "seconds": 2.0, "overlays": 0}


def read(trial: Trial, name: str) -> dict[str, Any]:
    if name.startswith("success"):
        return {"took": trial is TOOK, "attack": 0.8, "control_attack": 0.1, "retrained_attack": 0.05}
    if name.startswith("windows"):
        return {"hit": 0.9 if trial is TOOK else 0.0, "iou": 0.8, "seconds": 1.0}
    flagged = {"main": 10, "clean": 3 if trial.seed == 2 else 0}[trial.group]
    recall = {1: 0.75, 2: 0.0}[trial.seed] if trial.group == "main" else None
    return PIECE | {"flagged": flagged, "recall": recall, "precision": 1.0 if flagged else None}


def test_a_line_for_every_attack_says_what_was_planted_and_what_it_did() -> None:
    first, second = trial_rows(TRIALS, read)
    assert (first["trial"], first["target"], first["seed"], first["took"]) == (TOOK.name, 0, 1, True)
    assert (second["trial"], second["target"], second["took"]) == (NOT.name, 3, False)
    assert "jpeg_quality" not in first  # the schema's columns alone


def test_an_encoder_that_did_not_take_the_backdoor_is_counted_and_not_averaged_in() -> None:
    rows = {(row["group"], row["row"]): row for row in row_table(TRIALS, read, trial_rows(TRIALS, read), seed=0)}
    own = rows["main", ROWS[0].name]
    assert (own["sets"], own["judged"], own["recall"], own["own"]) == (2, 1, 0.75, True)
    clean = rows["clean", ROWS[0].name]
    assert (clean["sets"], clean["judged"], clean["recall"], clean["sets_flagged"]) == (2, 2, None, 1)
    assert len(rows) == len(ROWS) + len(SHORT)


def test_locators_are_judged_on_the_main_group_alone() -> None:
    lines = locator_table(TRIALS, read, trial_rows(TRIALS, read), seed=0)
    assert [line["locator"] for line in lines] == list(LOCATORS)
    assert {(line["trials"], line["hit"]) for line in lines} == {(1, 0.9)}
    assert locator_table(CLEAN, read, [], seed=0) == []


def test_which_rows_a_group_has() -> None:
    assert rows_of(TOOK) == ROWS
    assert rows_of(CLEAN[0]) == SHORT
    assert [row.own for row in rows_of(Trial("controls", 1))] == [True]


def clean_rows(*judged: int) -> list[Mapping[str, Any]]:
    names = ("clean", "controls: generated", "main")
    return [{"own": True, "group": name, "judged": n, "sets_flagged": 1, "recall": None, "precision": None} for name, n in zip(names, judged, strict=False)]  # fmt: skip


def test_a_rate_of_false_alarms_needs_thirty_clean_sets() -> None:
    assert false_alarms(clean_rows(10, LEAST_CONTROLS - 11)) is None
    assert false_alarms(clean_rows(10, 20, 9)) == {
        "controls": 30, "flagged": 2, "source": "veracast bench poison: 10 clean, 20 controls: generated",
    }  # fmt: skip


def test_the_line_for_people() -> None:
    facts = trial_rows(TRIALS, read)
    rows = row_table(TRIALS, read, facts, seed=0)
    assert verdict(facts, rows) == (
        "1 of 2 encoders took the backdoor; recall 0.750, precision 1.000; attack success 0.800, 0.050 after retraining, "
        "0.100 of the control; 1 of 2 clean sets flagged"
    )
    assert verdict([], []) == "nothing was judged"
    assert verdict([], clean_rows(10, 20)) == "1 of 10 clean sets flagged; with cheap controls 2 of 30"
