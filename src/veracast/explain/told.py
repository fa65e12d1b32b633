"""An explanation in words, with units: `+0.80 ln views, about x 2.2`. Parts that failed a check are not told."""

from __future__ import annotations

import math
from collections.abc import Iterator

from veracast.explain.item import Explanation

MOST = 8
"""Parts of a modality that are told."""


def amount(effect: float, unit: str) -> str:
    """With its sign and unit; what stands on a logarithm also as a factor."""
    said = f"{effect:+.2f} {unit}"
    if not unit.startswith("ln "):
        return said
    return f"{said}, about x {times(effect)}"


def times(effect: float) -> str:
    """A step of a logarithm as a factor: `1.03`, `2.2`, `116`; a few per cent are not 1."""
    factor = math.exp(effect)
    return f"{factor:.2f}" if 0.1 <= factor < 2 else f"{factor:,.0f}" if factor >= 10 else f"{factor:.2g}"


def lines(found: Explanation) -> Iterator[str]:
    """Score, verdict, modalities, pairs that act only together, parts of each modality that may be told."""
    whole = found.modalities
    yield f"score {whole.full:.2f} {found.unit}; with all parts at their baselines {whole.base:.2f}"
    yield found.verdict
    for k in sorted(range(len(whole.names)), key=lambda k: -abs(whole.values[k])):
        yield f"  {whole.names[k]}: {amount(float(whole.values[k]), found.unit)}"
        yield from _parts(found, whole.names[k])
    for i, one in enumerate(whole.names):
        for j in range(i + 1, len(whole.names)):
            if abs(whole.pairs[i, j]) > 1e-9:
                yield f"  {one} with {whole.names[j]}: {amount(float(whole.pairs[i, j]), found.unit)} beyond what each does"


def _parts(found: Explanation, name: str) -> Iterator[str]:
    for k in found.told(name)[:MOST]:
        parts = found.parts[name]
        if parts.shapley[k]:
            error = f" (± {parts.errors[k]:.2g})" if parts.errors[k] else ""
            yield f"    {parts.units[k].name}: {amount(float(parts.shapley[k]), found.unit)}{error}"
