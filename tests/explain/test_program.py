"""Programs whose every step is known."""

from __future__ import annotations

from typing import Any

import pytest

from veracast.core.errors import ConfigError
from veracast.explain.program import Module, kind_of, run_program, trace
from veracast.explain.scorer import UnfitScorerError

ITEM = {"text": "three red boats", "numbers": {"likes": 5.0}}
BASE = {"text": "", "numbers": {"likes": 1.0}}
WORDS = Module("words", ("text",), lambda text: len(text.split()), said=lambda n: f"{n} words")
DOUBLE = Module("doubled", ("numbers",), lambda numbers: 2 * numbers["likes"])
SUM = Module("score", ("words", "doubled"), lambda a, b: a + b)
PROGRAM = (WORDS, DOUBLE, SUM)


def general(instruction: str, *given: Any) -> float:
    """One part that does as it is told."""
    return {"count": lambda: float(len(given[0].split())), "add": lambda: float(sum(given))}[instruction]()


def test_a_trace_by_hand() -> None:
    """3 words and 2 x 5: 13; with the words of an empty text 10, with the likes of the baseline 5; the last step of the baseline is 2."""
    steps = trace(PROGRAM, ITEM, score=13.0, baseline=BASE)
    assert [(step.module, step.given, step.got, step.without) for step in steps] == [
        ("words", "text", "3 words", 10.0), ("doubled", "numbers", "10.0", 5.0), ("score", "words, doubled", "13.0", 2.0),
    ]  # fmt: skip
    assert run_program(PROGRAM, ITEM) == {"words": 3, "doubled": 10.0, "score": 13.0}
    assert [step.without for step in trace(PROGRAM, ITEM)] == [None, None, None]


def test_kinds_of_program() -> None:
    count, add = Module("n", ("text",), general, "count"), Module("score", ("n",), general, "add")
    assert (kind_of(PROGRAM), kind_of((count, add)), kind_of((WORDS, Module("score", ("words",), general, "add")))) == (
        "specialised",
        "meta",
        "hybrid",
    )
    steps = trace((count, add), ITEM)
    assert (steps[0].given, steps[-1].value) == ("“count”, text", 3.0)


def test_a_program_of_another_scorer_is_refused() -> None:
    with pytest.raises(
        UnfitScorerError, match="the program ends with 13, the scorer says 12 -> trace the program that scores"
    ):
        trace(PROGRAM, ITEM, score=12.0)


@pytest.mark.parametrize(("program", "words"), [((SUM, WORDS, DOUBLE), "score reads words, doubled, which nothing before it makes"), ((WORDS, WORDS), "words is made twice"), ((), "without modules")])  # fmt: skip
def test_broken_programs_are_told_what_is_wrong(program: tuple[Module, ...], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        run_program(program, ITEM)
