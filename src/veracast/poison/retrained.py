"""What the patches that were found do in an encoder trained again without their images: before and after, without a label.

The same measure as before (effect.py) on the same set: the images that hold a patch are encoded by the new encoder too, which never saw them,
and a patch that it does not know moves others in among them no more than pieces of images do.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import UInt8

from veracast.core.seeds import stream
from veracast.poison.clusters import cluster
from veracast.poison.effect import Answers, Effect, EffectConfig, Held, effect_of
from veracast.poison.find import FoundPatch, PoisonFindings, nearest
from veracast.poison.masking import unit


def effects_in(encode: Callable[[np.ndarray], np.ndarray], images: UInt8[np.ndarray, "n h w 3"], found: PoisonFindings, config: EffectConfig = EffectConfig(), *, seed: int = 0) -> list[Effect]:  # fmt: skip
    """Effect of each backdoor of a set in another encoder, in their order; the stream is that of the search, so the same pieces are pasted."""
    features = unit(encode(images))
    own = cluster(features, seed=seed).own
    answers = Answers(lambda shown: unit(encode(shown)), lambda shown: nearest(features, unit(encode(shown))))

    def effect(one: FoundPatch) -> Effect:
        holders = one.by_image >= one.threshold.likeness
        order = np.argsort(-one.likeness, kind="stable")
        once = order[np.unique(found.groups[one.images[order]], return_index=True)[1]]
        held = Held(one.images[once], one.boxes[once])
        return effect_of(answers, images, own, holders, one.patch, held, config, rng=stream(seed, "poison", "effect"))

    return [effect(one) for one in found.backdoors]
