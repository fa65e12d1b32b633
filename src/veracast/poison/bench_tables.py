"""The tables of the poison bench: from the pieces that trials left to `poison_trials`, `poison_rows`, `poison_locators` and a line for people.

`read(trial, name)` gives the facts of a piece: `row NAME`, `windows NAME`, `success K`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from veracast.core.schemas.images import POISON_TRIALS
from veracast.poison.contest import LOCATORS, ROWS, SHORT, Row
from veracast.poison.tally import mean_line, row_line
from veracast.poison.trials import Trial

LEAST_CONTROLS = 30  # clean sets, before a rate of false alarms is quoted
Read = Callable[[Trial, str], dict[str, Any]]


def rows_of(trial: Trial) -> tuple[Row, ...]:
    """All rows for the main setting, the audit alone for cheap controls, the short list for the others."""
    if trial.group == "controls":
        return tuple(row for row in ROWS if row.own)
    return ROWS if trial.group == "main" else SHORT


def trial_rows(trials: Sequence[Trial], read: Read) -> list[dict[str, Any]]:
    """A line of `poison_trials` for every attack of every planted trial."""
    found = []
    for trial in trials:
        for k in range(trial.marks):
            facts = {"group": trial.line, "threat": trial.threat, "trial": trial.name, **_mark(trial, k)}
            found.append(facts | {"seed": trial.seed} | read(trial, f"success {k}"))
    return found


def row_table(
    trials: Sequence[Trial], read: Read, facts: Sequence[Mapping[str, Any]], *, seed: int
) -> list[dict[str, Any]]:
    """Lines of `poison_rows`: means over the trials that took the backdoor, false alarms over the clean ones."""
    took = Counter(row["trial"] for row in facts if row["took"])
    lines = []
    for group in dict.fromkeys(trial.line for trial in trials):
        mine = [trial for trial in trials if trial.line == group]
        judged = [trial for trial in mine if took[trial.name] == trial.marks]
        for row in rows_of(mine[0]):
            pieces = [read(trial, f"row {row.name}") for trial in judged]
            lines.append(row_line(group, row.name, row.own, len(mine), pieces, seed))
    return lines


def locator_table(
    trials: Sequence[Trial], read: Read, facts: Sequence[Mapping[str, Any]], *, seed: int
) -> list[dict[str, Any]]:
    """Lines of `poison_locators`."""
    took = {row["trial"] for row in facts if row["took"]}
    lines = []
    judged = [trial for trial in trials if trial.group == "main" and trial.name in took]
    for name in LOCATORS if judged else ():
        pieces = [read(trial, f"windows {name}") for trial in judged]
        line: dict[str, Any] = {"group": "main", "locator": name, "trials": len(pieces)}
        for key in ("hit", "iou", "seconds"):
            line |= mean_line(key, [piece[key] for piece in pieces], seed)
        lines.append(line)
    return lines


def _mark(trial: Trial, k: int) -> dict[str, Any]:
    """What `poison_trials` says of the k-th mark of a trial."""
    if trial.attacks:
        return {key: value for key, value in asdict(trial.attacks[k]).items() if key in POISON_TRIALS}
    if trial.overlay is None:
        return {}
    return {"family": trial.overlay.kind, "target": trial.overlay.target, "rate": trial.overlay.share}


def false_alarms(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """What the audit says of its false alarms (poison/controls.py): flagged of clean sets of all kinds; None with fewer than LEAST_CONTROLS."""
    clean = [row for row in rows if row["own"] and row["group"].split(":")[0] in ("clean", "controls")]
    if sum(row["judged"] for row in clean) < LEAST_CONTROLS:
        return None
    kinds = ", ".join(f"{row['judged']} {row['group']}" for row in clean)
    total, flagged = (sum(row[key] for row in clean) for key in ("judged", "sets_flagged"))
    return {"controls": total, "flagged": flagged, "source": f"veracast bench poison: {kinds}"}


def verdict(facts: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> str:
    """How the audit did in the main setting and on clean sets."""
    said = []
    main = [row for row in facts if row["group"] == "main"]
    own = {row["group"]: row for row in rows if row["own"]}
    if main:
        took = [row for row in main if row["took"]]
        said.append(f"{len(took)} of {len(main)} encoders took the backdoor")
        if took:
            line = own["main"]
            precision = "none flagged" if line["precision"] is None else f"precision {line['precision']:.3f}"
            after, control = (
                float(np.mean([row[key] for row in took])) for key in ("retrained_attack", "control_attack")
            )
            said.append(
                f"recall {line['recall']:.3f}, {precision}; attack success {np.mean([r['attack'] for r in took]):.3f}, {after:.3f} after retraining, {control:.3f} of the control"
            )
    if "clean" in own:
        said.append(f"{own['clean']['sets_flagged']} of {own['clean']['judged']} clean sets flagged")
    counted = false_alarms(rows)
    if counted is not None:
        said.append(f"with cheap controls {counted['flagged']} of {counted['controls']}")
    return "; ".join(said) or "nothing was judged"
