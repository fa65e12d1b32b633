"""The sets of a bench: how many of each group, what lies on them, whose encoder judges them."""

from __future__ import annotations

from collections import Counter

from veracast.poison.attacks import Attack
from veracast.poison.line_up import line_up, unseen
from veracast.poison.trials import Group, Trial

MAIN = Attack(family="cells", edge_px=12, rate=0.05)
PLAIN = Trial("clean", 0, images=1000)


def sets(*groups: Group, clean: int = 10) -> list[Trial]:
    return line_up(groups, MAIN, PLAIN, seeds=(21, 22), targets=(3, 6, 0), clean=clean)


def test_planted_sets_are_all_seeds_by_all_targets_with_a_trigger_each() -> None:
    main, exact = sets("main"), sets("exact")
    assert [(t.seed, t.attacks[0].target, t.attacks[0].seed) for t in main] == [(21, 3, 213), (21, 6, 216), (21, 0, 210), (22, 3, 223), (22, 6, 226), (22, 0, 220)]  # fmt: skip
    assert [(t.seed, t.attacks[0].target, t.attacks[0].paste, t.compressed) for t in exact] == [(21, 3, "exact", False), (22, 6, "exact", False)]  # fmt: skip
    assert {t.images for t in (*main, *exact)} == {1000} and all(t.compressed for t in main)


def test_groups_come_in_their_order_and_clean_sets_begin_with_the_controls() -> None:
    found = sets("exact", "clean", "main", clean=3)
    assert list(dict.fromkeys(t.group for t in found)) == ["main", "clean", "exact"]
    assert [t.seed for t in found if t.group == "clean"] == [21, 22, 23]
    assert {t.control for t in found if t.group == "main"} <= {t for t in found if t.group == "clean"}


def test_unseen_threats_are_changes_of_the_main_one() -> None:
    attack = Attack(family="cells", edge_px=10, target=7, seed=3)
    found = unseen(attack)
    assert all(attacks[0].target == 7 and attacks != (attack,) for attacks in found.values())
    assert [a.target for a in found["two triggers"]] == [7, 2] and found["rate 0.5 %"][0].rate == 0.005
    asked = sets("unseen")
    assert [t.line for t in asked] == [f"unseen: {name}" for name in found] and {t.seed for t in asked} == {21}
    assert [t.threat for t in asked if not t.compressed] == ["blended"]


def test_benign_overlays_lie_on_a_fifth_and_the_logo_of_one_class_on_as_many_images_as_a_patch() -> None:
    asked = sets("overlays")
    shares = {t.threat: t.overlay.share for t in asked if t.overlay}
    assert shares.pop("logo-one-class") == 0.05 and set(shares.values()) == {0.2} and len(asked) == 6
    assert {t.overlay.scale for t in asked if t.overlay} == {1.0, 1.5}  # 12 px of 32
    assert {t.overlay.target for t in asked if t.overlay} == {3} and sum(t.marks for t in asked) == 1


def test_cheap_controls_are_twice_the_clean_sets() -> None:
    trials = sets("clean", "controls")
    assert Counter(t.line for t in trials) == {"clean": 10, "controls: other draws": 10, "controls: generated": 5, "controls: generated, other draws": 5}  # fmt: skip
    assert all(t.trained in trials and t.trained.seed != t.seed for t in trials if t.trained)
    assert len({t.name for t in trials}) == 30 and {t.source for t in trials if "generated" in t.threat} == {
        "generated"
    }
