"""Conversations cut out of trajectories: where, how many, and what is counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from veracast.agents.probes import GENERATED, Drawn, Sample, probes_of, rows_of
from veracast.core.errors import InputError
from veracast.core.trajectories import Turn


def write(path: Path, rows: Sequence[Sequence[str]]) -> Path:
    """A row is what user and assistant say by turns."""
    bodies = [{"messages": [{"role": ("user", "assistant")[k % 2], "content": text} for k, text in enumerate(row)]} for row in rows]  # fmt: skip
    path.write_text("".join(json.dumps(body) + "\n" for body in bodies) + "{broken\n", encoding="utf-8")
    return path


def anything(turns: Sequence[Turn]) -> bool:
    return True


def test_a_conversation_ends_where_the_assistant_is_to_answer(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [["u1", "a1", "u2", "a2", "u3", "a3"]])
    ends = Counter(len(probes_of([path], most=9, fits=anything, seed=seed).drawn[0].turns) for seed in range(60))
    assert set(ends) == {1, 3, 5}
    (one,) = probes_of([path], most=9, fits=anything, seed=0).drawn
    assert (one.file, one.row, one.turns[-1].role) == ("a.jsonl", 1, "user")


def test_of_many_each_is_as_likely_and_the_order_stays(tmp_path: Path) -> None:
    """2 of 8 rows, 400 seeds: each is drawn 100 times, 79 to 121 within 2.4 standard deviations."""
    path = write(tmp_path / "a.jsonl", [[f"u{k}", "a"] for k in range(8)])
    samples = [probes_of([path], most=2, fits=anything, seed=seed) for seed in range(400)]
    counts = Counter(one.row for sample in samples for one in sample.drawn)
    assert sorted(counts) == list(range(1, 9))
    assert all(79 <= count <= 121 for count in counts.values())
    assert all(sample.drawn[0].row < sample.drawn[1].row for sample in samples)
    assert samples[0] == probes_of([path], most=2, fits=anything, seed=0)


def test_what_does_not_fit_or_cannot_be_read_is_counted(tmp_path: Path) -> None:
    files = [write(tmp_path / name, [["short", "a"], ["long" * 9, "a"]]) for name in ("a.jsonl", "b.jsonl")]
    found = probes_of(files, most=9, fits=lambda turns: len(turns[0].text) < 9, seed=0)
    assert [(one.file, one.row) for one in found.drawn] == [("a.jsonl", 1), ("b.jsonl", 1)]
    assert (found.of, found.too_long, found.unread) == (2, 2, 2)
    with pytest.raises(InputError, match="is no file"):
        probes_of([tmp_path / "none.jsonl"], most=9, fits=anything, seed=0)


def test_rows_are_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [["u1", "a1", "u2", "a2"]])
    (one,) = rows_of([path], most=9, fits=anything, seed=0).drawn
    assert [turn.text for turn in one.turns] == ["u1", "a1", "u2", "a2"]
    assert rows_of([], most=9, fits=anything, seed=0) == Sample((), 0, 0, 0)


def test_without_files_experts_episodes_of_all_simulators_are_cut() -> None:
    found = probes_of([], most=6, fits=anything, seed=0)
    assert (len(found.drawn), found.of, {one.file for one in found.drawn}) == (6, 18, {GENERATED})
    assert all(one.turns[0].role == "system" and one.turns[-1].role == "user" for one in found.drawn)
    assert {one.turns for one in found.drawn} != {
        one.turns for one in probes_of([], most=6, fits=anything, seed=1).drawn
    }


def test_the_digest_is_of_who_says_what() -> None:
    def digest(*rows: Any) -> str:
        return Sample(tuple(Drawn(tuple(Turn(*turn) for turn in row), "a", 1) for row in rows), 1, 0, 0).digest

    one, two = ("user", "a"), ("user", "b")
    assert digest([one, two]) == digest([one, two])
    assert len({digest([one, two]), digest([one], [two]), digest([two, one]), digest([("tool", "a"), two]), digest()}) == 5  # fmt: skip
