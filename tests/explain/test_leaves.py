"""One planted scorer for each leaf of the taxonomy that is computed: what must come out is known beforehand.

docs/explanations.md lists leaf, computation and the test of this file; the lists are compared.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from veracast.explain import numbers, program, retrieved, transcripts
from veracast.explain.catalogue import IMPLEMENTED
from veracast.explain.effects import UnitEffects, unit_effects
from veracast.explain.exceptions import exceptions
from veracast.explain.first_order import Fact, first_order
from veracast.explain.interplay import interplay, matching
from veracast.explain.item import explain_item
from veracast.explain.metrics.boxes import Box, matched_iou
from veracast.explain.perturb import Perturbed, Unit
from veracast.explain.rationale import claims, sentence
from veracast.explain.relevance import relevance
from veracast.explain.rules import rule_list
from veracast.explain.scorer import Item, Score, Scorer
from veracast.explain.soft_rules import soft_rules
from veracast.explain.taxonomy import BY_ID
from veracast.explain.units import Edge, Edges, Frames, Modality, Numbers, Words
from veracast.rating.features import FEATURES

BLACK = np.zeros((12, 12, 3), dtype=np.uint8)
FRAMES = np.random.default_rng(4).integers(60, 256, size=(2, 12, 12, 3)).astype(np.uint8)
EDGES = [Edge("v", "is by", "ann"), Edge("v", "is about", "boats"), Edge("v", "carries", "fun")]
ITEM: Item = {"text": "red boat not bad today", "frames": FRAMES, "graph": EDGES, "numbers": {"likes": 9.0, "age": 2.0}}
GRID = Frames(3, 3, BLACK)
NUMBERS = Numbers({"likes": 1.0, "age": 0.0})


def bright(one: Item, frame: int, cell: tuple[int, int] | None = None) -> float:
    """Mean of a frame, or of one of its nine cells, 0 to 1."""
    shown = one["frames"][frame]
    part = shown if cell is None else shown[4 * cell[0] : 4 * cell[0] + 4, 4 * cell[1] : 4 * cell[1] + 4]
    return float(part.mean()) / 255


def has(one: Item, word: str) -> bool:
    return word in one["text"].split()


def linked(one: Item, target: str) -> bool:
    return any(edge.target == target for edge in one["graph"])


def perturbed(score: Score, *modalities: Modality) -> Perturbed:
    return Perturbed(ITEM, modalities, Scorer(score))


def top(found: UnitEffects) -> list[tuple[str, float]]:
    """Parts with an effect, the largest first."""
    return [(found.units[k].name, float(found.shapley[k])) for k in found.ranked() if abs(found.shapley[k]) > 1e-9]


def of_cell(items: Sequence[Item]) -> list[float]:
    """The middle right cell of the first frame, 2 for `boat`."""
    return [3 * bright(one, 0, (1, 2)) + 2 * has(one, "boat") for one in items]


def of_links(items: Sequence[Item]) -> list[float]:
    """2 by ann, -1 about boats, and 4 for `bad`."""
    return [2.0 * linked(one, "ann") - linked(one, "boats") + 4.0 * has(one, "bad") for one in items]


def visual_contribution_grid() -> None:
    assert top(unit_effects(perturbed(of_cell, GRID), "frames")) == [
        ("frame 1, cell 2.3", pytest.approx(3 * bright(ITEM, 0, (1, 2))))
    ]


def visual_contribution_region_and_word() -> None:
    model = perturbed(of_cell, GRID, Words())
    both = top(unit_effects(model, "frames")) + top(unit_effects(model, "text"))
    ranked = sorted(both, key=lambda one: -one[1])
    assert [name for name, _ in ranked] == (
        ["boat", "frame 1, cell 2.3"] if 3 * bright(ITEM, 0, (1, 2)) < 2 else ["frame 1, cell 2.3", "boat"]
    )
    assert dict(both)["boat"] == pytest.approx(2)


def visual_relevance_text_frame() -> None:
    model = perturbed(
        lambda items: [has(one, "red") * bright(one, 1) + bright(one, 0) for one in items], Words(), Frames(1, 1, BLACK)
    )
    found = [pair for pair in relevance(model, "text", "frames").pairs() if abs(pair.whole) > 1e-9]
    assert [(pair.one.name, pair.other.name, pair.whole) for pair in found] == [
        ("red", "frame 2", pytest.approx(bright(ITEM, 1)))
    ]


def visual_relevance_phrase_grid() -> None:
    model = perturbed(
        lambda items: [has(one, "boat") * bright(one, 0, (0, 1)) + has(one, "red") for one in items], Words(), GRID
    )
    found = [pair for pair in relevance(model, "text", "frames").pairs() if abs(pair.whole) > 1e-9]
    assert [(pair.one.name, pair.other.name) for pair in found] == [("boat", "frame 1, cell 1.2")]


def textual_facts_generated() -> None:
    rows = numbers.contribution_rows(
        ["v"],
        np.array([[np.log(101.0), 30.0]]),
        np.array([[np.log(2.0), -np.log(1.25)]]),
        columns=["f_ln_likes", "f_age_h"],
        facts=FEATURES,
        unit="ln growth",
    )
    assert rows["sentence"].to_list() == [
        "likes now 100: raises the expected growth 2.0-fold",
        "age 30.0 h: lowers the expected growth by 20 %",
    ]


def textual_facts_retrieved() -> None:
    past = np.array([[0.0, 0.0], [10.0, 10.0], [9.0, 10.0], [5.0, 5.0]])
    assert retrieved.nearest(np.array([[9.9, 9.9]]), past, k=2).index.tolist() == [[1, 2]]


def textual_reasoning_concise_rationale() -> None:
    found = explain_item(of_links, ITEM, [Words(), Edges()], unit="levels")
    said = [
        sentence(one, "levels", phrases={})
        for one in claims(found, Perturbed(ITEM, [Words(blank="…"), Edges()], Scorer(of_links)))
    ]
    assert said == [
        "Bad: this raises the score by 4.00 levels",
        "V is by ann: this raises the score by 2.00 levels",
        "V is about boats: this lowers the score by 1.00 levels",
    ]


def script(text: str) -> transcripts.Transcript:
    facts = {Unit("numbers", "likes"): "9 likes", Unit("numbers", "age"): "2 days old"}
    model = perturbed(lambda items: [one["numbers"]["likes"] - 3 * one["numbers"]["age"] for one in items], NUMBERS)
    ask = transcripts.self_questioning if text.startswith("Q") else transcripts.chain_of_thought
    return ask(lambda prompt: text, facts, model)


def textual_reasoning_chain_of_thought() -> None:
    found = script("Fact 1 raises it.\nFact 2 raises it too.\nSo it is higher.")
    assert [(step.moved, step.holds) for step in found.steps] == [(8, True), (-6, False)] and found.agrees is True


def textual_reasoning_self_questioning() -> None:
    found = script("Q: Would it be higher without fact 2?\nA: yes\nQ: Would it be higher without fact 1?\nA: yes")
    assert [(step.moved, step.holds) for step in found.steps] == [(-6, True), (8, False)]


def graph_single_modal_text() -> None:
    model = perturbed(lambda items: [3.0 * ("not bad" in one["text"]) + has(one, "red") for one in items], Words())
    assert [(pair.one.name, pair.other.name, pair.whole) for pair in interplay(model, "text").edges(least=1e-9)] == [
        ("not", "bad", 3)
    ]


def graph_multi_modal_matching() -> None:
    model = perturbed(
        lambda items: [
            3 * has(one, "red") * bright(one, 0, (0, 0))
            + 2 * has(one, "boat") * bright(one, 0, (2, 2))
            + has(one, "red") * bright(one, 0, (2, 2))
            for one in items
        ],
        Words(),
        GRID,
    )
    found = matching(relevance(model, "text", "frames"), least=1e-9)
    assert {(pair.one.name, pair.other.name) for pair in found} == {
        ("red", "frame 1, cell 1.1"),
        ("boat", "frame 1, cell 3.3"),
    }


def graph_multi_modal_fusion() -> None:
    assert top(unit_effects(perturbed(of_links, Words(), Edges()), "graph")) == [
        ("v is by ann", pytest.approx(2)),
        ("v is about boats", pytest.approx(-1)),
    ]


def symbol_logical_inference_probabilistic_soft() -> None:
    model = perturbed(
        lambda items: [one["numbers"]["likes"] / 8 + 5.0 * (has(one, "not") and has(one, "bad")) for one in items],
        Words(),
        NUMBERS,
    )
    found = soft_rules(model, [Unit("numbers", "likes"), Unit("text", "not"), Unit("text", "bad")])
    assert [({unit.name for unit in rule.units}, rule.weight) for rule in found.rules] == [
        ({"not", "bad"}, pytest.approx(5)),
        ({"likes"}, pytest.approx(1)),
    ]


def symbol_logical_inference_first_order() -> None:
    fame = {f"a{k}": float(k) for k in range(10)}
    facts = [Fact("is by", f"v{k}", f"a{k % 10}") for k in range(200)]
    found = first_order({f"v{k}": float(k % 10 >= 6) for k in range(200)}, facts, {"fame": fame}, line=0.5)
    (literal,) = found.clauses[0].body
    assert (
        (literal.relation, literal.attribute, literal.sign) == ("is by", "fame", 1)
        and 5 < literal.value <= 6
        and found.clauses[0].held_precision == 1
    )


def symbol_logical_inference_non_monotonic() -> None:
    model = perturbed(
        lambda items: [9.0 if has(one, "bad") else 4.0 if has(one, "not") else 1.0 for one in items], Words()
    )
    assert [
        (depth, rule.without and rule.without.name, rule.score) for depth, rule in exceptions(model).rule.lines()
    ] == [(0, None, 9), (1, "bad", 4), (2, "not", 1)]


def symbol_logical_inference_propositional() -> None:
    model = perturbed(
        lambda items: [5.0 if linked(one, "ann") and has(one, "bad") else 1.0 for one in items], Words(), Edges()
    )
    best = rule_list(model).rules[0]
    assert ({(condition.unit.name, condition.there) for condition in best.conditions}, best.score) == (
        {("v is by ann", True), ("bad", True)},
        5,
    )


def likes(given: dict[str, float]) -> float:
    return given["likes"]


def told(instruction: str, given: float | dict[str, float]) -> float:
    """A general module: it does what it is told."""
    return {"read": lambda: likes(given), "double": lambda: 2 * given}[instruction]()  # type: ignore[arg-type,operator]


READ, DOUBLE = program.Module("count", ("numbers",), likes), program.Module("score", ("count",), lambda n: 2 * n)
META = (program.Module("count", ("numbers",), told, "read"), program.Module("score", ("count",), told, "double"))


def steps_of(modules: Sequence[program.Module], kind: str) -> None:
    found = program.trace(modules, ITEM, score=18.0, baseline={**ITEM, "numbers": {"likes": 1.0}})
    assert program.kind_of(modules) == kind and [(step.value, step.without) for step in found] == [(9, 2), (18, 2)]


def symbol_program_specialised_modules() -> None:
    steps_of((READ, DOUBLE), "specialised")


def symbol_program_meta_modules() -> None:
    steps_of(META, "meta")


def symbol_program_hybrid_modules() -> None:
    steps_of((READ, META[1]), "hybrid")


def multimodal_independent_graph_and_text() -> None:
    found = explain_item(of_links, ITEM, [Words(), Edges()], unit="levels")
    assert top(found.parts["graph"]) == [("v is by ann", pytest.approx(2)), ("v is about boats", pytest.approx(-1))]
    beside = claims(found, Perturbed(ITEM, [Words(blank="…"), Edges()], Scorer(of_links)))
    assert (beside[0].unit.name, beside[0].checked) == ("bad", pytest.approx(4))


def multimodal_independent_graph_and_symbol() -> None:
    model = perturbed(of_links, Words(), Edges())
    assert top(unit_effects(model, "graph"))[0] == ("v is by ann", pytest.approx(2))
    assert rule_list(model).rules[0].score == pytest.approx(6) and rule_list(model).r2 == pytest.approx(1)


def multimodal_independent_visual_and_text() -> None:
    found = explain_item(of_cell, ITEM, [Words(), GRID], unit="levels")
    assert top(found.parts["frames"])[0][0] == "frame 1, cell 2.3"
    assert "boat" in [
        one.unit.name for one in claims(found, Perturbed(ITEM, [Words(blank="…"), Frames(3, 3)], Scorer(of_cell)))
    ]


def multimodal_joint_visual_and_text() -> None:
    """The sentence's cell is the box that the scorer looks at: IoU 1 with it."""
    found = explain_item(of_cell, ITEM, [Words(), GRID], unit="levels")
    said = claims(found, Perturbed(ITEM, [Words(blank="…"), Frames(3, 3, BLACK + 20)], Scorer(of_cell)))
    cell = next(one for one in said if one.unit.modality == "frames")
    place = dict(zip(GRID.units(FRAMES), GRID.places(FRAMES), strict=True))[cell.unit.name]
    assert cell.holds and place.frame == 0 and matched_iou([Box(*place.box)], [Box(8, 4, 12, 8)]) == 1
    assert sentence(cell, "levels", phrases={}).startswith("Frame 1, cell 2.3: this raises the score by")


def name_of(leaf: str) -> str:
    return re.sub(r"\W+", "_", leaf)


@pytest.mark.parametrize("leaf", IMPLEMENTED)
def test_known_answer(leaf: str) -> None:
    globals()[name_of(leaf)]()


def test_the_docs_name_leaf_computation_and_test() -> None:
    page = (Path(__file__).parents[2] / "docs" / "explanations.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z-]+/[a-z-]+/[a-z-]+) \|.*\| `(\w+)` \|$", page, flags=re.M))
    assert rows == {leaf: name_of(leaf) for leaf in IMPLEMENTED}
    assert len(IMPLEMENTED) >= 20
    missing = sorted(set(BY_ID) - set(IMPLEMENTED))
    assert all(leaf in page for leaf in missing)
