"""Tables of the image audit and the poison bench."""

from __future__ import annotations

import polars as pl

from veracast.core.schemas.types import Schema


def _means(*names: str) -> Schema:
    """Columns of means over trials, each with its bootstrap 95 % interval; null where no trial has the value."""
    return {f"{name}{end}": pl.Float64 for name in names for end in ("", "_low", "_high")}


VERDICTS: Schema = {
    "row": pl.Int64,  # place among the images that were read, from 0
    "name": pl.String,  # path in the folder or archive, array[row], column[row] or video@seconds
    "source": pl.String,  # name of the source, with as many folders as tell it from the others
    "poisoned": pl.Boolean,  # holds a patch that has an effect in the encoder
    "patch": pl.Int64,  # number of the patch that it holds; null without one
    "kind": pl.String,  # backdoor | overlay; null without a patch
    "likeness": pl.Float64,  # to the nearest patch, -1 to 1; null where nothing was found
    "left": pl.Int64,  # of the patch in the image as it was read, px
    "top": pl.Int64,  # likewise
    "width": pl.Int64,  # likewise
    "height": pl.Int64,  # likewise
    "cluster": pl.Int64,  # number of its cluster, by the encoder's features
    "recurring": pl.Int64,  # images that share its most shared block of pixels exactly; 0 without one
    "masked": pl.Boolean,  # was looked at closer
    "shot": pl.Int64,  # number that it shares with other frames of one shot, which count once; null for an image by itself
}

PATCHES: Schema = {
    "patch": pl.Int64,  # number, from 1 in the order of finding
    "kind": pl.String,  # backdoor | overlay
    "images": pl.Int64,  # that hold it
    "share": pl.Float64,  # of all images
    "threshold": pl.Float64,  # likeness from which an image holds it
    "decoys": pl.Int64,  # that set the threshold
    "ratio": pl.Float64,  # of its consensus; 1 is what chance gives
    "clusters": pl.List(pl.Int64),  # those of the images that hold it; it is pasted on images from elsewhere
    "moved": pl.Float64,  # share of them that come to lie among the images that hold it
    "moved_low": pl.Float64,  # Wilson 95 %
    "moved_high": pl.Float64,  # Wilson 95 %
    "moved_by_windows": pl.Float64,  # what 19 of 20 pieces of other images, and of those from beside it, at most move there
    "effect_images": pl.Int64,  # that it was pasted on
    "apart": pl.Float64,  # how far its images lie from others with the patch hidden, share of the variance of these
    "apart_at_most": pl.Float64,  # the highest of as many other images
    "width_px": pl.Int64,  # of the patch
    "height_px": pl.Int64,  # of the patch
}

RETRAINED: Schema = {
    "patch": pl.Int64,  # number, as in `patches`; backdoors alone
    "kept": pl.Int64,  # images that the second encoder was trained on
    **{
        f"{when}_{key}": pl.Float64  # as in `patches`
        for when in ("before", "after")
        for key in ("moved", "moved_low", "moved_high", "moved_by_windows")
    },
    "holds": pl.Boolean,  # whether it is a backdoor of the second encoder too
}

ENCODER_CURVE: Schema = {
    "step": pl.Int64,  # steps of the optimizer so far
    "epoch": pl.Float64,  # passes over the images so far
    "loss": pl.Float64,  # of the step's batch
    "lr": pl.Float64,  # learning rate of the step
    "seconds": pl.Float64,  # since the training began
}

CLUSTER_MAP: Schema = {
    "row": pl.Int64,  # as in `verdicts`
    "x": pl.Float64,  # features in two dimensions, no unit
    "y": pl.Float64,  # likewise
    "cluster": pl.Int64,  # as in `verdicts`
    "poisoned": pl.Boolean,  # as in `verdicts`
}

POISON_ROWS: Schema = {
    "group": pl.String,  # main | exact | clean | controls: KIND | overlays: KIND | unseen: THREAT
    "row": pl.String,  # route, and the locator it stands behind
    "own": pl.Boolean,  # what the audit does by default
    "sets": pl.Int64,  # of the group
    "judged": pl.Int64,  # clean, or their encoder took the backdoor; means are over these
    **_means("recall"),  # share of the planted images that are flagged; null in clean sets
    **_means("precision"),  # share of the flagged images that are planted; null where none is flagged
    **_means("ap"),  # average precision of the scores of all images; null in clean sets
    **_means("top"),  # share of poisons among the 20 most suspect images
    **_means("box_hit"),  # share of the planted patches at least half of which lies in the box of a flagged image
    **_means("box_iou"),  # mean overlap (IoU) of planted patches with these boxes; 0 where an image was missed
    **_means("flagged"),  # images that are flagged, of a set
    **_means("seconds"),  # of CPU for a set, those of the locator left out
    "sets_flagged": pl.Int64,  # with one image flagged or more
    "sets_flagged_low": pl.Float64,  # share, Wilson 95 %
    "sets_flagged_high": pl.Float64,  # share, Wilson 95 %
    "sets_with_overlay": pl.Int64,  # in which the audit reported something that recurs without an effect
}
"""Means are over the judged sets. Intervals of means are a bootstrap's over sets, 95 %."""

POISON_LOCATORS: Schema = {
    "group": pl.String,  # main
    "locator": pl.String,  # name of what locates the windows
    "trials": pl.Int64,  # whose encoder took the backdoor
    **_means("hit"),  # share of the windows in planted images that cover half of the patch
    **_means("iou"),  # mean overlap (IoU) of these windows with the patch
    **_means("seconds"),  # of CPU for the windows of a set
}
"""Means over the trials. Intervals are a bootstrap's over trials, 95 %."""

POISON_TRIALS: Schema = {
    "group": pl.String,  # as in `poison_rows`
    "threat": pl.String,  # of groups of several kinds, else empty
    "trial": pl.String,  # name of the set: group, threat, target, seed
    "seed": pl.Int64,  # of draw, training and search
    "target": pl.Int64,  # class that the attack leads to
    "family": pl.String,  # of the patch, or the kind of overlay
    "paste": pl.String,  # exact | jittered | blended; null of an overlay
    "edge_px": pl.Int64,  # of the patch; null of an overlay
    "rate": pl.Float64,  # share of the set that is planted, or that the overlay lies on
    "took": pl.Boolean,  # above_low is more than .10
    "above_low": pl.Float64,  # attack success less the control's, bootstrap 95 % over test images
    "above_high": pl.Float64,  # the upper end of it
    "removed": pl.Int64,  # images that the audit flagged, left out of the second training
    "left_low": pl.Float64,  # the same difference after retraining
    "left_high": pl.Float64,  # the upper end of it
    **{
        f"{encoder}{key}": pl.Float64
        for encoder in (
            "",
            "control_",  # of an encoder trained on the same pictures without the patch:
            "retrained_",  # of an encoder trained without the flagged images:
        )
        for key in (
            "accuracy",  # share of test images whose class is told by nearest neighbours
            "triggered_accuracy",  # the same with the patch pasted on
            "attack",  # share of test images of other classes that the patch takes to the target, by nearest neighbours
            "base",  # share of them that are taken for the target without the patch
            "linear_accuracy",  # as accuracy, by a linear probe
            "linear_attack",  # as attack, by a linear probe
            "linear_base",  # as base, by a linear probe
        )
    },
}
