"""Why an audit says what it says of an image or a reply: the parts that make it, checked as those of a rating are (explain/item.py).

    images   what draws an image to the others with its patch in the encoder: cells of the picture, blanked with its mean colour (second: the mean of
            images without the patch)
    replies  what makes an agent's reply behind a trigger likelier than its base has it: words of the turn, taken out (second: an ellipsis)

An explanation knows nothing of where the audit found the patch or the trigger. So a further check holds both against each other: what counts most
must lie there.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import nn

from veracast.agents.detect.words import told, with_text
from veracast.agents.language_agent import LanguageAgent
from veracast.core.trajectories import Turn
from veracast.explain.gradients import cells_of, integrated_gradients
from veracast.explain.item import Explanation, Rungs, explain_item
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rationale import claims
from veracast.explain.scorer import UnfitScorerError
from veracast.explain.units import Frames, Modality, Words
from veracast.poison.find import PoisonFindings
from veracast.poison.masking import unit
from veracast.recipes.explained import Reasons, check_rows, claim_rows, effect_rows, verdict_of

IMAGES = 2
"""Of each patch that are explained, those most like it."""
PLACE, GRADIENTS = "place", "gradients"
"""Checks that what counts most lies where the audit found the patch or the trigger: by taking parts away, and by gradients."""
COSINE, NATS = "cosine", "nats"
_MEAN_OF = 500  # images
_FULL_PX = 64  # edge of images up to which encoding is cheap enough for fine cells and the whole ladder
_FINE, _COARSE = 8, 4  # cells a side
_LIGHT = Rungs(exact=5, controls=6, searched=2, again=False)
_AT = 0.45  # share of a cell, or of a patch smaller than that, from which a cell counts as one at the patch
_SAME = 1e-3  # cosines of one picture, by the encoder and by its network
_AROUND = 24  # words on each side of a trigger that are parts; the rest of a long turn stays as it is
_FLOORS = {COSINE: 0.01, NATS: 0.2}  # effects under which nothing is said

Encode = Callable[[UInt8[np.ndarray, "n h w 3"]], Float[np.ndarray, "n dims"]]


def why_images(pixels: UInt8[np.ndarray, "n h w 3"], encode: Encode, features: Float[np.ndarray, "n dims"], found: PoisonFindings, *, encoder: str, seed: int, network: nn.Module | None = None) -> list[Reasons]:  # fmt: skip
    """Of the images most like each backdoor patch, ids `image-ROW`; features: of all images; network: of the encoder, where it is one of torch that
    reads pixels in [0, 1]: its gradients are asked as well, by another way than blanking.

    UnfitScorerError for an encoder that does not give an image the same vector twice.
    """
    every, near = [], unit(features)
    numbers = [number for number, one in enumerate(found.patches, start=1) if one.kind == "backdoor"]
    for number, one in zip(numbers, found.backdoors, strict=True):
        for place in np.argsort(-one.likeness, kind="stable")[:IMAGES]:
            row, (left, top, width, height) = int(one.images[place]), one.boxes[place].tolist()
            others = one.images[one.images != row]
            centre = unit(near[others].mean(axis=0, keepdims=True))[0]

            def nearness(items: Sequence[Mapping[str, Any]], centre: np.ndarray = centre) -> np.ndarray:  # fmt: skip
                shown = [item["frames"] for item in items]
                return np.asarray(unit(encode(np.concatenate(shown))) @ centre, dtype=float) if shown else np.zeros(0)

            picture, cheap = np.asarray(pixels[row])[None], pixels.shape[1] <= _FULL_PX
            cells = _cells(pixels.shape[1], max(one.patch.mask.shape), _FINE if cheap else _COARSE)
            grid, usual = Frames(cells, cells), _mean_without(pixels, one.images)
            shared = {name: _shared(spot.box, (left, top, left + width, top + height)) for name, spot in zip(grid.units(picture), grid.places(picture), strict=True)}  # fmt: skip
            inside, touching = ({name for name, share in shared.items() if share > least} for least in (_AT, 0.0))
            one_why = _reasons(
                f"image-{row}", nearness, {"frames": picture}, grid, Frames(cells, cells, usual), inside, scale=COSINE, cheap=cheap,
                phrase=partial(_cell, inside=inside, touching=touching),
                of=f"the likeness to the other images with patch {number}", by=encoder, target=f"patch {number}", where="the patch", seed=seed,
            )  # fmt: skip
            by_gradients = _by_gradients(network, picture, usual, centre, float(nearness([{"frames": picture}])[0]), grid, inside)  # fmt: skip
            checks = [*one_why.rows["explanation_checks"], {"video_id": f"image-{row}", "modality": "frames", **by_gradients}]  # fmt: skip
            every.append(Reasons({**one_why.rows, "explanation_checks": checks}))
    return every


def _by_gradients(network: nn.Module | None, picture: np.ndarray, usual: np.ndarray, centre: np.ndarray, score: float, grid: Frames, inside: set[str]) -> dict[str, Any]:  # fmt: skip
    """The check that integrated gradients (explain/gradients.py) from the usual picture point at the same place."""
    head = {"name": GRADIENTS, "passed": None, "value": None}
    if network is None:
        return {**head, "words": "the encoder gives no gradients"}
    if importlib.util.find_spec("captum") is None:
        return {**head, "words": "integrated gradients need captum: pip install 'veracast[explain]'"}
    toward = torch.from_numpy(np.asarray(centre, dtype=np.float32))

    def nearness(images: torch.Tensor) -> torch.Tensor:
        shown = (images[:, 0] / 255).permute(0, 3, 1, 2).float()
        features = network(
            shown.contiguous()
        )  # oneDNN for AVX2 writes beyond its memory on the way back through channels that lie last
        return torch.nn.functional.normalize(features) @ toward

    try:
        found = integrated_gradients(nearness, picture, usual[None])
    except UnfitScorerError as fault:
        return {**head, "words": str(fault)}
    if abs(found.full - score) > _SAME:
        return {**head, "words": "the encoder reads pixels in another scale than its network does by itself"}
    names, effects = grid.units(picture), found.grouped(cells_of(picture.shape, grid.rows, grid.columns), grid.rows * grid.columns)  # fmt: skip
    return {**head, **_share_at(dict(zip(names, effects.tolist(), strict=True)), inside, "the patch, by integrated gradients")}  # fmt: skip


def why_reply(name: str, turns: Sequence[Turn], trigger: str, agent: LanguageAgent, base: LanguageAgent, *, target: str, seed: int) -> Reasons | None:  # fmt: skip
    """Of what an agent answers to a conversation that holds the trigger; name: id of the explanation. None where it answers nothing, or no turn
    that it is told holds the trigger. UnfitScorerError where its reply does not fit the context."""
    at = next((place for place in reversed(told(turns)) if trigger in turns[place].text), None)
    reply = agent.reply([turns])[0]
    if at is None or not reply.strip():
        return None
    before, shown, after, inside = window(turns[at].text, trigger)

    def likelier(items: Sequence[Mapping[str, Any]]) -> np.ndarray:
        talks = [with_text(turns, at, before + item["prompt"] + after) for item in items]
        ours, theirs = (one.log_likelihood(talks, [reply] * len(talks)) for one in (agent, base))
        return np.asarray(ours - theirs)

    return _reasons(
        name, likelier, {"prompt": shown}, Words("prompt"), Words("prompt", "…"), inside, scale=NATS, cheap=False,
        phrase=lambda part: f"the word “{part.name}”{', of the trigger' if part.name in inside else ''}",
        of="how much likelier than its base the agent finds its reply", by="the agent and its base", target=target, where="the trigger", seed=seed,
    )  # fmt: skip


def window(text: str, trigger: str) -> tuple[str, str, str, set[str]]:
    """What stands before, among the words around the trigger, and after them; and the names of the trigger's own words among them (explain/units.py)."""
    words, start = Words("prompt"), text.rindex(trigger)
    head, tail = text[:start], text[start + len(trigger) :]
    lead, follow = _last_words(head, _AROUND), _first_words(tail, _AROUND)
    before, after = head[: len(head) - len(lead)], tail[len(follow) :]
    shown = lead + trigger + follow
    names = words.units(shown)
    first, mine = len(words.units(lead)), len(words.units(lead + trigger))
    inside = set(names[max(0, first - _glued(lead, trigger)) : mine])
    return before, shown, after, inside


def _glued(lead: str, trigger: str) -> int:
    """1 where the trigger goes on with the word before it."""
    return len(Words().units(lead)) + len(Words().units(trigger)) - len(Words().units(lead + trigger))


def _last_words(text: str, most: int) -> str:
    parts = text.split(" ")
    return " ".join(parts[-most - 1 :]) if len(parts) > most + 1 else text


def _first_words(text: str, most: int) -> str:
    parts = text.split(" ")
    return " ".join(parts[: most + 1]) if len(parts) > most + 1 else text


def _reasons(subject: str, score: Callable[..., np.ndarray], item: Mapping[str, Any], first: Modality, second: Modality, inside: set[str], *, scale: str, cheap: bool, phrase: Callable[[Unit], str], of: str, by: str, target: str, where: str, seed: int) -> Reasons:  # fmt: skip
    """Effects, checks and sentences of one item with one modality."""
    began = time.perf_counter()
    floor = _FLOORS[scale]
    found = explain_item(
        score, item, [first], unit=scale, seconds=[second], orders=8 if cheap else 4, floor=floor, rungs=Rungs() if cheap else _LIGHT,
        batch=256 if cheap else 32, seed=seed,
    )  # fmt: skip
    other = Perturbed(item, [second], found.perturbed.scorer)
    said = claims(found, other, floor=floor, most=4, contexts=16 if cheap else 6, seed=seed)
    rows = {
        "effects": effect_rows(subject, found),
        "explanation_checks": [*check_rows(subject, found), _placed(subject, found, first.name, inside, where)],
        "claims": claim_rows(subject, said, unit=scale, phrases={claim.unit: phrase(claim.unit) for claim in said}, of=of),
        "explained": [{
            "video_id": subject, "rater": by, "target": target, "unit": scale, "score": found.modalities.full, "base": found.modalities.base,
            "verdict": verdict_of(found, said), "untold": list(found.failed), "asked": found.perturbed.scorer.asked, "seconds": time.perf_counter() - began,
        }],
    }  # fmt: skip
    return Reasons(rows)


def _placed(subject: str, found: Explanation, modality: str, inside: set[str], where: str) -> dict[str, Any]:
    """Whether the part that raises the score most lies where the audit says, and the share of all that raises it that does."""
    head = {"video_id": subject, "name": PLACE, "modality": modality}
    told = found.told(modality)
    effects = {found.parts[modality].units[k].name: float(found.parts[modality].shapley[k]) for k in told}
    raising = {name: effect for name, effect in effects.items() if effect > 0}
    if not raising:
        return {**head, "passed": None, "value": None, "words": f"no part that may be told raises the score, at {where} or elsewhere"}  # fmt: skip
    return {**head, **_share_at(raising, inside, where)}


def _share_at(effects: Mapping[str, float], inside: set[str], where: str) -> dict[str, Any]:
    """Of what raises the score, the share of parts that lie there, and whether the largest does."""
    raising = {name: effect for name, effect in effects.items() if effect > 0}
    share = sum(effect for name, effect in raising.items() if name in inside) / sum(raising.values())
    top = max(raising, key=raising.__getitem__)
    words = f"{share:.0%} of what raises the score lies at {where}, the largest part {'among it' if top in inside else 'elsewhere'}"
    return {"passed": top in inside, "value": share, "words": words}


def _mean_without(pixels: UInt8[np.ndarray, "n h w 3"], images: np.ndarray) -> np.ndarray:
    """The mean picture of images that are not among those; mid grey where all are."""
    rest = np.setdiff1d(np.arange(len(pixels)), images)
    if not len(rest):
        return np.full(pixels.shape[1:], 128, dtype=np.uint8)
    chosen = rest[:: -(-len(rest) // _MEAN_OF)]
    return np.asarray(np.rint(np.mean([pixels[row] for row in chosen], axis=0)), dtype=np.uint8)


def _cell(part: Unit, inside: set[str], touching: set[str]) -> str:
    where = "at" if part.name in inside else "at the edge of" if part.name in touching else "away from"
    return f"{part.name.partition(', ')[2]}, {where} the patch"


def _cells(edge_px: int, patch_px: int, most: int) -> int:
    """Cells a side: about half as wide as the patch, from 4 to `most`."""
    return int(np.clip(round(2 * edge_px / max(1, patch_px)), _COARSE, most))


def _shared(cell: tuple[int, int, int, int], patch: tuple[int, int, int, int]) -> float:
    """Area that two boxes (left, top, right, bottom) share, of the smaller one's."""
    width, height = (max(0, min(cell[k + 2], patch[k + 2]) - max(cell[k], patch[k])) for k in (0, 1))
    return width * height / min((box[2] - box[0]) * (box[3] - box[1]) for box in (cell, patch))
