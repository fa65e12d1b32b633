"""What an image audit hands over: a row per image and per patch, a map of the clusters, findings in words, heat maps.

PoisonFindings (poison/find.py) -> tables of core/schemas/, `Finding`s, pictures as arrays; nothing is written here
"""

from __future__ import annotations

from itertools import islice, zip_longest

import numpy as np
import polars as pl
from PIL import Image

from veracast.core.records import Finding
from veracast.core.schemas.images import PATCHES
from veracast.data.images import ImageSet
from veracast.poison.block_hash import Recurrence
from veracast.poison.effect import Effect
from veracast.poison.find import FoundPatch, PoisonFindings
from veracast.poison.masking import unit

TECHNIQUE = "AML.T0020"  # MITRE ATLAS, Poison Training Data
SHOWN = 12  # images with a heat map
NAMED = 1_000  # images that a finding names; verdicts.parquet has all
_HEAT = (213, 94, 0)  # the orange of the pages


def verdict_table(images: ImageSet, found: PoisonFindings, recurrence: Recurrence) -> pl.DataFrame:
    """A row per image (schema `verdicts`)."""
    n = len(images)
    patch, boxes, kinds = np.zeros(n, dtype=np.int64), np.zeros((n, 4), dtype=np.int64), np.full(n, "", dtype="<U8")
    for number, one in enumerate(found.patches, start=1):
        patch[one.images], boxes[one.images], kinds[one.images] = number, one.boxes, one.kind
    masked = np.zeros(n, dtype=bool)
    masked[found.looked_at] = True
    places = dict(zip(("left", "top", "width", "height"), boxes.T, strict=True))
    columns = {"patch": patch, "kind": kinds, **places}
    holds = pl.Series(patch > 0)
    return images.table.select(
        pl.int_range(pl.len()).alias("row"), "name", "source",
        pl.Series("poisoned", found.poisoned),
        *(pl.when(holds).then(pl.Series(name, values)).alias(name) for name, values in columns.items()),
        pl.Series("likeness", _likeness(found), dtype=pl.Float64),
        pl.Series("cluster", found.clusters.own),
        pl.Series("recurring", recurrence.images),
        pl.Series("masked", masked),
        pl.when(pl.Series(in_shots(found))).then(pl.Series("shot", found.groups)).alias("shot"),
    )  # fmt: skip


def in_shots(found: PoisonFindings) -> np.ndarray:
    """Which images have others of the same shot, (n,) bool."""
    return np.asarray(np.bincount(found.groups)[found.groups] > 1)


def _likeness(found: PoisonFindings) -> np.ndarray | list[None]:
    """Of every image to the patch it holds, or to the nearest one; nothing where no patch was found."""
    if not found.patches:
        return [None] * len(found.scores)
    return np.where(found.scores > 0, found.scores, np.max([one.by_image for one in found.patches], axis=0))


def patch_table(found: PoisonFindings) -> pl.DataFrame:
    """A row per patch (schema `patches`)."""
    n, rows = len(found.scores), []
    for number, one in enumerate(found.patches, start=1):
        effect, (height, width) = one.effect, one.patch.mask.shape
        rows.append({
            "patch": number, "kind": one.kind, "images": len(one.images), "share": len(one.images) / n,
            "threshold": one.threshold.likeness, "decoys": one.threshold.decoys, "ratio": one.ratio,
            "clusters": list(effect.clusters), **moved(effect), "effect_images": effect.images, "width_px": width, "height_px": height,
            "apart": effect.apart.share, "apart_at_most": effect.apart.at_most,
        })  # fmt: skip
    return pl.DataFrame(rows, schema=PATCHES)


def moved(effect: Effect) -> dict[str, float]:
    return {"moved": effect.moved, "moved_low": effect.interval.low, "moved_high": effect.interval.high, "moved_by_windows": effect.by_windows}  # fmt: skip


def cluster_map(features: np.ndarray, found: PoisonFindings, seed: int) -> pl.DataFrame:
    """The first two principal components of the unit features; 0 for one that there is not."""
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    count = min(2, *features.shape)
    plane = np.zeros((len(features), 2))
    plane[:, :count] = PCA(count, random_state=seed).fit_transform(unit(features))
    columns = {"x": plane[:, 0], "y": plane[:, 1], "cluster": found.clusters.own, "poisoned": found.poisoned}
    return pl.DataFrame({"row": np.arange(len(features)), **columns})


def finding(number: int, one: FoundPatch, verdicts: pl.DataFrame) -> Finding:
    """A patch with an effect is a finding of weight, one without is told and no more."""
    order = np.argsort(-one.likeness, kind="stable")
    names = verdicts["name"].gather(one.images[order][:NAMED]).to_list()
    effect, (height, width) = one.effect, one.patch.mask.shape
    backdoor = one.kind == "backdoor"
    what = "Backdoor patch" if backdoor else "Recurring overlay, no backdoor effect,"
    into = f"{effect.moved:.0%} (95 % interval {effect.interval.low:.0%} to {effect.interval.high:.0%}) of {effect.images:,} other images among those that hold it"  # fmt: skip
    apart = f"with it hidden these differ from others by {effect.apart.share:.3f} of the variance (as many others at most {effect.apart.at_most:.3f})"
    evidence = (
        f"It stands in {len(one.images):,} of {verdicts.height:,} images, with a likeness of {one.threshold.likeness:.2f} or more; "
        f"pasting it moves {into}, 19 of 20 pieces of images at most {effect.by_windows:.0%}; {apart}"
    )
    if len(one.images) > NAMED:
        evidence += f". The first {NAMED:,} images are named here, all of them in verdicts.parquet"
    return Finding(
        id=f"patch-{number}",
        severity="high" if backdoor else "info",
        title=f"{what} of {width} x {height} pixels in {len(one.images):,} image{'' if len(one.images) == 1 else 's'}",
        evidence=evidence,
        where={"file": "verdicts.parquet", "rows": names, "box": one.boxes[order[0]].tolist()},
        technique=TECHNIQUE if backdoor else None,
    )


def suspicious(found: PoisonFindings) -> list[int]:
    """Places in `looked_at`: those most like each patch in turn, then those where hiding one window changed most."""
    place_of = {int(row): place for place, row in enumerate(found.looked_at)}
    by_patch = [
        [int(row) for row in one.images[np.argsort(-one.likeness, kind="stable")] if int(row) in place_of]
        for one in sorted(found.patches, key=lambda one: one.kind)  # backdoors first
    ]
    rest = found.looked_at[np.argsort(-found.strength, kind="stable")]
    first = (row for turn in zip_longest(*by_patch) for row in turn if row is not None)
    return [place_of[int(row)] for row in islice(dict.fromkeys([*first, *rest.tolist()]), SHOWN)]


def heat(activation: np.ndarray, height: int, width: int) -> np.ndarray:
    """One colour, the more opaque the stronger, (height, width, 4) uint8; nothing where the map is flat."""
    if activation.shape != (height, width):  # of the working copy
        scaled = Image.fromarray(activation).resize((width, height), Image.Resampling.BILINEAR)
        activation = np.asarray(scaled)
    low, high = float(activation.min()), float(activation.max())
    share = (activation - low) / (high - low) if high > low else np.zeros_like(activation)
    colour = np.broadcast_to(np.array(_HEAT, dtype=np.uint8), (*activation.shape, 3))
    return np.concatenate([colour, np.rint(share * 217).astype(np.uint8)[..., None]], axis=2)
