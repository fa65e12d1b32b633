"""Level rules as data: from counts to an influence level 0-9, and which counter sets it.

A rule has nine cuts c_0 < ... < c_8; level = number of cuts that the driving count exceeds, so interval k is closed above.
The driving count of a video is the largest of its platform's counters, each times a factor. Levels of two sources are
comparable only where both were made by the same rule: the rule's name and digest stand in every record.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from veracast.core.errors import InputError
from veracast.core.protocols import LEVELS

PRESETS = ("xs-video-recovered",)
QUANTILE_SHARES = (0.02, 0.08, 0.2, 0.4, 0.6, 0.78, 0.9, 0.96, 0.99)
"""Shares of videos at or below level 0 ... 8 under the `quantile` rule: most in the middle, one in a hundred at 9."""
ANY_PLATFORM = "*"


@dataclass(frozen=True)
class LevelRule:
    """cuts: nine increasing counts. platforms: platform -> {indicator: factor}; "*" stands for all others."""

    name: str
    cuts: Mapping[str, tuple[float, ...]]  # per platform, "*" for all others
    platforms: Mapping[str, Mapping[str, float]]
    evidence: str = ""

    @property
    def digest(self) -> str:
        """sha256 of the rule's content (not of its name or evidence)."""
        body = json.dumps(
            [{k: list(v) for k, v in self.cuts.items()}, {k: dict(v) for k, v in self.platforms.items()}],
            sort_keys=True,
        )
        return hashlib.sha256(body.encode()).hexdigest()

    def factors(self, platform: str) -> Mapping[str, float]:
        """Factor per counter of one platform."""
        return self.platforms.get(platform, self.platforms.get(ANY_PLATFORM, {}))

    def cuts_of(self, platform: str) -> tuple[float, ...]:
        """The nine cuts of one platform."""
        return self.cuts.get(platform) or self.cuts[ANY_PLATFORM]

    def level(self, frame: pl.DataFrame, *, suffix: str = "") -> pl.Series:
        """Level per row of a frame with `platform` and `<indicator><suffix>` counts; null where no counter is known."""
        return self._per_platform(frame, suffix).get_column("level")

    def set_by(self, frame: pl.DataFrame, *, suffix: str = "") -> pl.Series:
        """The counter whose scaled value is the driving count (the first in the rule's order on a tie)."""
        return self._per_platform(frame, suffix).get_column("set_by")

    def placed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Columns `driving` (the driving count, null where no counter is known) and `level` of each row."""
        return self._per_platform(frame, "").select("driving", "level")

    def _per_platform(self, frame: pl.DataFrame, suffix: str) -> pl.DataFrame:
        parts = []
        indexed = frame.with_row_index("__row")
        for (platform,), part in indexed.group_by(["platform"], maintain_order=True):
            factors = {k: v for k, v in self.factors(str(platform)).items() if k + suffix in frame.columns}
            scaled = [(pl.col(k + suffix).cast(pl.Float64) * v).alias(k) for k, v in factors.items()]
            rows = part.select("__row", *scaled)
            driving = pl.max_horizontal(*factors) if factors else pl.lit(None, pl.Float64)
            over = [(driving > cut).cast(pl.Int8) for cut in self.cuts_of(str(platform))]
            setter = pl.coalesce(
                *[pl.when(pl.col(k) == driving).then(pl.lit(k)) for k in factors], pl.lit(None, pl.String)
            )
            known = pl.when(driving.is_not_null())
            level = known.then(pl.sum_horizontal(over)).otherwise(None).cast(pl.Int8)
            parts.append(rows.select("__row", level=level, set_by=setter, driving=driving.cast(pl.Float64)))
        if not parts:
            return pl.DataFrame(schema={"level": pl.Int8, "set_by": pl.String, "driving": pl.Float64})
        return pl.concat(parts).sort("__row").drop("__row")

    def words(self, platform: str, indicator: str, level: int) -> str:
        """What has to happen for a level: "shares pass 1,000"."""
        factor = self.factors(platform).get(indicator)
        if factor is None or level < 1:
            return "no count needed"
        return f"{indicator} pass {self.cuts_of(platform)[level - 1] / factor:,.0f}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form; `rule_from_dict` reads it."""
        return {
            "name": self.name,
            "evidence": self.evidence,
            "cuts": {k: list(v) for k, v in self.cuts.items()},
            "platforms": {k: dict(v) for k, v in self.platforms.items()},
            "digest": self.digest,
        }


def rule_from_dict(body: Mapping[str, Any], *, file: str = "level rule") -> LevelRule:
    """Check and build a rule; every fault of the file in one InputError."""
    cuts, platforms = body.get("cuts"), body.get("platforms")
    faults = []
    if isinstance(cuts, list):
        cuts = {ANY_PLATFORM: cuts}
    if not isinstance(cuts, dict) or not cuts:
        faults.append("`cuts` must be nine increasing numbers (or a table of them per platform)")
        cuts = {}
    for platform, values in cuts.items():
        if len(values) != LEVELS - 1 or any(b <= a for a, b in itertools.pairwise(values)):
            faults.append(f"cuts of {platform!r}: need {LEVELS - 1} increasing numbers, got {values}")
    if not isinstance(platforms, dict) or not platforms:
        faults.append('`platforms` must be tables of factors, such as [platforms."*"] likes = 1.0')
        platforms = {}
    for platform, factors in platforms.items():
        bad = [k for k, v in factors.items() if not isinstance(v, int | float) or v <= 0]
        faults += [f"platforms.{platform}.{k}: the factor must be a number above 0" for k in bad]
    if faults:
        raise InputError("; ".join(faults), file=file, remedy="see core/presets/xs-video-recovered.toml for the form")
    return LevelRule(
        name=str(body.get("name", Path(file).stem)),
        cuts={k: tuple(float(x) for x in v) for k, v in cuts.items()},
        platforms={k: {i: float(x) for i, x in v.items()} for k, v in platforms.items()},
        evidence=str(body.get("evidence", "")).strip(),
    )


def load_rule(name: str) -> LevelRule:
    """A preset by name, or a TOML file by path."""
    if name in PRESETS:
        text = resources.files("veracast.core").joinpath(f"presets/{name}.toml").read_text(encoding="utf-8")
        return rule_from_dict(tomllib.loads(text), file=name)
    path = Path(name)
    if not path.is_file():
        remedy = f"use one of auto, quantile, {', '.join(PRESETS)}, or the path of a TOML file"
        raise InputError("no such level rule", file=name, remedy=remedy)
    try:
        return rule_from_dict(tomllib.loads(path.read_text(encoding="utf-8")), file=name)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"not TOML: {error}", file=name, remedy="mend the file") from error


def quantile_rule(frame: pl.DataFrame, indicator: str) -> LevelRule:
    """Cuts at fixed shares of the *training* videos' outcome counts, over all platforms of the frame together.

    frame: column `indicator`. Equal quantiles are moved apart by one count, so that the cuts increase.
    """
    values = frame[indicator].drop_nulls().to_numpy()
    cuts = np.floor(np.quantile(values, QUANTILE_SHARES)) if len(values) else np.arange(float(LEVELS - 1))
    for i in range(1, len(cuts)):
        cuts[i] = max(cuts[i], cuts[i - 1] + 1)
    shares = ", ".join(f"{s:.0%}" for s in QUANTILE_SHARES)
    return LevelRule(
        name="quantile",
        cuts={ANY_PLATFORM: tuple(float(c) for c in cuts)},
        platforms={ANY_PLATFORM: {indicator: 1.0}},
        evidence=f"{indicator} at the {shares} quantiles of {len(values):,} training videos",
    )
