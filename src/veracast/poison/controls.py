"""How often the audit flags a clean set: the packaged count of controls, `controls.json`, written by the bench.

{"controls": 40, "flagged": 0, "source": "what they were, and which bench counted them"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from veracast.core.errors import InputError
from veracast.core.scores import Score
from veracast.core.statistics import Interval, wilson_interval

PACKAGED = Path(__file__).with_name("controls.json")
NOT_MEASURED = "false-alarm rate not measured"


class Controls(NamedTuple):
    """flagged of `controls` clean sets had a finding; source: where that was counted."""

    controls: int
    flagged: int
    source: str

    @property
    def interval(self) -> Interval:
        """Wilson 95 % of the rate."""
        return wilson_interval(self.flagged, self.controls)


def read_controls(path: Path = PACKAGED) -> Controls | None:
    """None where nothing was counted yet; InputError for a file that says something else."""
    if not path.is_file():
        return None
    try:
        found = Controls(**json.loads(path.read_text(encoding="utf-8")))
        _ = found.interval
    except (ValueError, TypeError) as error:
        raise InputError(f"is no count of controls ({error})", file=str(path), remedy="run the bench again") from error
    return found


def in_words(found: Controls | None) -> str:
    """For a verdict that says that nothing was found."""
    if found is None:
        return NOT_MEASURED
    low, high = (100 * end for end in (found.interval.low, found.interval.high))
    return f"false alarms: {found.flagged} of {found.controls} clean controls were flagged (95 % interval {low:.0f} to {high:.0f} %)"


def as_score(found: Controls | None) -> Score:
    """The rate as a score; without controls it has no value."""
    if found is None:
        return Score("false_alarm_rate", None, None, None, 0, 0, "share of clean sets", "lower")
    interval, rate = found.interval, found.flagged / found.controls
    return Score("false_alarm_rate", rate, interval.low, interval.high, found.controls, 0, "share of clean sets", "lower")  # fmt: skip
