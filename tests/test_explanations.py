"""docs/explanations.md keeps its word: its code runs and prints what it says, its files exist."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "explanations.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```\n(?:```text\n(.*?)```)?", PAGE, flags=re.DOTALL)
OF_TEXTS = ("sacrebleu", "rouge_score", "nltk")


def score(items: Sequence[Mapping[str, Any]]) -> list[float]:
    """What the first block explains: likes, and one for a cat."""
    return [one["numbers"]["likes"] + ("cat" in one["text"].split()) for one in items]


@pytest.mark.parametrize(("code", "printed"), BLOCKS)
def test_a_block_prints_what_stands_below_it(code: str, printed: str) -> None:
    for name in OF_TEXTS if "text_metrics" in code else ():
        pytest.importorskip(name)
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        exec(compile(code, "docs/explanations.md", "exec"), {"score": score})  # noqa: S102
    assert told.getvalue() == printed if printed else told.getvalue()


def test_the_page_has_blocks_and_most_say_what_they_print() -> None:
    assert len(BLOCKS) == 3 and sum(bool(printed) for _, printed in BLOCKS) == 2


def test_every_file_of_its_tables_exists() -> None:
    parts = re.split(r"\| file in `(src/[\w/]+/)` \|", PAGE)[1:]
    for folder, rest in zip(parts[::2], parts[1::2], strict=True):
        rows = [line.split("|")[1] for line in rest.split("\n\n")[0].splitlines()[2:]]
        named = [name for row in rows for name in re.findall(r"`(\w+\.py)`", row)]
        assert len(named) >= len(rows) > 5
        assert [name for name in named if not (ROOT / folder / name).is_file()] == []
