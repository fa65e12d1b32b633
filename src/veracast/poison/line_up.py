"""Which image sets a bench of the audit is made of: planted, exact, clean, cheap controls, benign overlays, and threats nobody tuned on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from veracast.poison.attacks import Attack
from veracast.poison.demo_images import EDGE_PX
from veracast.poison.overlays import KINDS, LOGO, Kind, Overlay
from veracast.poison.trials import Group, Trial

REDRAWN, GENERATED = 100, 2000  # seed of another draw less its encoder's; images of a generated control
OVERLAID = 0.2  # share of a set that a benign overlay lies on


def line_up(groups: Sequence[Group], main: Attack, plain: Trial, *, seeds: Sequence[int], targets: Sequence[int], clean: int) -> list[Trial]:  # fmt: skip
    """The sets of some groups, those whose encoders are controls among the first.

    main: the attack of the main setting, whatever its seed and target; plain: a clean trial with the source and the size of all; clean: how many
    clean sets, the first ones with the seeds of planted sets.
    """

    def attack(seed: int, target: int) -> Attack:
        return replace(main, target=target, seed=10 * seed + target)

    def trial(group: Group, seed: int, *attacks: Attack, threat: str = "") -> Trial:
        compressed = not attacks or any(one.paste == "jittered" for one in attacks)
        return replace(plain, group=group, seed=seed, attacks=attacks, threat=threat, compressed=compressed)

    first, last = seeds[0], max(seeds)
    unmarked = [trial("clean", seed) for seed in [*seeds, *range(last + 1, last + 1 + clean)][:clean]]
    one_each = [(seed, targets[k % len(targets)]) for k, seed in enumerate(seeds)]
    usual = Overlay(share=OVERLAID, target=targets[0], seed=first)
    sets: Mapping[Group, list[Trial]] = {
        "main": [trial("main", seed, attack(seed, target)) for seed in seeds for target in targets],
        "clean": unmarked,
        "exact": [trial("exact", seed, replace(attack(seed, target), paste="exact")) for seed, target in one_each],
        "controls": _controls(unmarked),
        "overlays": [replace(trial("overlays", first, threat=kind), overlay=_overlay(kind, usual, main)) for kind in KINDS],
        "unseen": [trial("unseen", first, *attacks, threat=name) for name, attacks in unseen(attack(first, targets[0])).items()],
    }  # fmt: skip
    return [one for group, trials in sets.items() if group in groups for one in trials]


def unseen(attack: Attack) -> dict[str, tuple[Attack, ...]]:
    """Threats that no threshold was fixed on, each a change of the main attack."""
    other = replace(attack, target=(attack.target + 5) % 10, seed=attack.seed + 1)
    return {
        "gradient": (replace(attack, family="gradient"),),
        "symmetric": (replace(attack, family="symmetric"),),
        "stripes": (replace(attack, family="stripes"),),
        "5 px": (replace(attack, edge_px=5),),
        "blended": (replace(attack, paste="blended"),),
        "rate 1 %": (replace(attack, rate=0.01),),
        "rate 0.5 %": (replace(attack, rate=0.005),),
        "fixed place": (replace(attack, place="fixed"),),
        "two triggers": (attack, other),
    }


def _controls(clean: Sequence[Trial]) -> list[Trial]:
    """Clean sets that cost little: other draws for the encoders of clean sets, and generated pictures, with encoders of their own and without."""
    redrawn = [replace(one, group="controls", threat="other draws", seed=one.seed + REDRAWN, trained=one) for one in clean]  # fmt: skip
    kind = replace(clean[0], group="controls", threat="generated", source="generated", images=GENERATED)
    last = max(one.seed for one in clean)
    drawn = [replace(kind, seed=last + k) for k in range(1, 1 + (len(clean) + 1) // 2)]
    others = [replace(one, threat="generated, other draws", seed=one.seed + REDRAWN, trained=one) for one in drawn]
    return [*redrawn, *drawn, *others]


def _overlay(kind: Kind, usual: Overlay, main: Attack) -> Overlay:
    """A logo of one class is as large as the patch and lies on as many images, the others have their usual size and lie on a fifth."""
    if kind != "logo-one-class":
        return replace(usual, kind=kind)
    return replace(usual, kind=kind, share=main.rate, scale=main.edge_px / (LOGO * EDGE_PX))
