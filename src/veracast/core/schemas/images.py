"""Tables of the image audit and the poison bench."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import Schema


def _means(*names: str) -> Schema:
    """Columns of means over trials, each with its bootstrap 95 % interval; null where no trial has the value."""
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


VERDICTS: Schema = {
    "row": pl.Int64,
    "name": pl.String,  # path in the folder or archive, array[row], column[row] or video@seconds
    "source": pl.String,
    "poisoned": pl.Boolean,  # holds a patch that has an effect in the encoder
    "patch": pl.Int64,  # number of the patch that it holds; null without one
    "kind": pl.String,  # backdoor | overlay; null without a patch
    "likeness": pl.Float64,  # to the nearest patch, -1 to 1; null where nothing was found
    "left": pl.Int64,  # of the patch in the image as it was read, px
    "top": pl.Int64,
    "width": pl.Int64,
    "height": pl.Int64,
    "cluster": pl.Int64,
    "recurring": pl.Int64,  # images that share its most shared block of pixels exactly; 0 without one
    "masked": pl.Boolean,  # was looked at closer
    "shot": pl.Int64,  # number that it shares with other frames of one shot, which count once; null for an image by itself
}

PATCHES: Schema = {
    "patch": pl.Int64,
    "kind": pl.String,  # backdoor | overlay
    "images": pl.Int64,  # that hold it
    "share": pl.Float64,  # of all images
    "threshold": pl.Float64,  # likeness from which an image holds it
    "decoys": pl.Int64,  # that set the threshold
    "ratio": pl.Float64,  # of its consensus; 1 is what chance gives
    "clusters": pl.List(pl.Int64),  # those of the images that hold it; it is pasted on images from elsewhere
    "moved": pl.Float64,  # share of them that come to lie among the images that hold it
    "moved_low": pl.Float64,  # Wilson 95 %
    "moved_high": pl.Float64,
    "moved_by_windows": pl.Float64,  # what 19 of 20 pieces of other images, and of those from beside it, at most move there
    "effect_images": pl.Int64,  # that it was pasted on
    "apart": pl.Float64,  # how far its images lie from others with the patch hidden, share of the variance of these
    "apart_at_most": pl.Float64,  # the highest of as many other images
    "width_px": pl.Int64,
    "height_px": pl.Int64,
}

RETRAINED: Schema = {
    "patch": pl.Int64,
    "kept": pl.Int64,  # images that the second encoder was trained on
    **{
        f"{when}_{key}": pl.Float64  # as in `patches`
        for when in ("before", "after")
        for key in ("moved", "moved_low", "moved_high", "moved_by_windows")
    },
    "holds": pl.Boolean,  # whether it is a backdoor of the second encoder too
}

ENCODER_CURVE: Schema = {
    "step": pl.Int64,
    "epoch": pl.Float64,
    "loss": pl.Float64,
    "lr": pl.Float64,
    "seconds": pl.Float64,
}

CLUSTER_MAP: Schema = {
    "row": pl.Int64,
    "x": pl.Float64,  # features in two dimensions, no unit
    "y": pl.Float64,
    "cluster": pl.Int64,
    "poisoned": pl.Boolean,
}

POISON_ROWS: Schema = {
    "group": pl.String,  # main | exact | clean | controls: KIND | overlays: KIND | unseen: THREAT
    "row": pl.String,  # route, and the locator it stands behind
    "own": pl.Boolean,  # what the audit does by default
    "sets": pl.Int64,
    "judged": pl.Int64,  # clean, or their encoder took the backdoor; means are over these
    **_means("recall", "precision", "ap"),
    **_means("top"),  # share of poisons among the 20 most suspect images
    **_means("box_hit", "box_iou"),  # boxes in flagged images against all planted patches: at least half inside; IoU
    **_means("flagged", "seconds"),  # images; of CPU
    "sets_flagged": pl.Int64,  # with one image flagged or more
    "sets_flagged_low": pl.Float64,  # share, Wilson 95 %
    "sets_flagged_high": pl.Float64,
    "sets_with_overlay": pl.Int64,  # in which the audit reported something that recurs without an effect
}

POISON_LOCATORS: Schema = {
    "group": pl.String,
    "locator": pl.String,
    "trials": pl.Int64,  # whose encoder took the backdoor
    **_means("hit", "iou", "seconds"),  # hit: share of windows that cover half of the patch
}

POISON_TRIALS: Schema = {
    "group": pl.String,
    "threat": pl.String,  # of groups of several kinds, else empty
    "trial": pl.String,
    "seed": pl.Int64,
    "target": pl.Int64,
    "family": pl.String,  # of the patch, or the kind of overlay
    "paste": pl.String,
    "edge_px": pl.Int64,
    "rate": pl.Float64,
    "took": pl.Boolean,  # above_low is more than .10
    "above_low": pl.Float64,  # attack success less the control's, bootstrap 95 % over test images
    "above_high": pl.Float64,
    "removed": pl.Int64,  # images that the audit flagged, left out of the second training
    "left_low": pl.Float64,  # the same difference after retraining
    "left_high": pl.Float64,
    **{
        f"{encoder}{key}": pl.Float64
        for encoder in ("", "control_", "retrained_")
        for key in (
            "accuracy",
            "triggered_accuracy",
            "attack",
            "base",
            "linear_accuracy",
            "linear_attack",
            "linear_base",
        )
    },
}
