"""What the patches that were found do in an encoder trained again without their images: before and after, without a label.

The same measure as before (effect.py) on the same set: the images that hold a patch are encoded by the new encoder too, which never saw them. A
patch that it does not know moves hardly anybody in among them.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from veracast.core.seeds import stream
from veracast.poison.clusters import cluster
from veracast.poison.effect import Effect, EffectConfig, effect_of
from veracast.poison.find import FoundPatch, PoisonFindings, answers_of, held_once
from veracast.poison.masking import Encode, unit


def effects_in(encode: Encode, images: UInt8[np.ndarray, "n h w 3"], found: PoisonFindings, config: EffectConfig = EffectConfig(), *, seed: int = 0) -> list[Effect]:  # fmt: skip
    """Effect of each backdoor of a set in another encoder, in their order; the stream is that of the search, so the same pieces are pasted."""
    features = unit(encode(images))
    own = cluster(features, seed=seed).own
    answers = answers_of(encode, features)

    def effect(one: FoundPatch) -> Effect:
        holders = one.by_image >= one.threshold.likeness
        held = held_once(one.images, one.boxes, one.likeness, found.groups)
        return effect_of(answers, images, own, holders, one.patch, held, config, rng=stream(seed, "poison", "effect"))

    return [effect(one) for one in found.backdoors]
