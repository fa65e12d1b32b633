"""The scan names rows, span and action of what was planted, and nothing in clean rows."""

from __future__ import annotations

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from veracast.agents import phrases
from veracast.agents.corpus import Corpus, read_corpus
from veracast.agents.detect.data_scan import scan

Rows = Callable[..., Path]


def flagged(corpus: Corpus) -> tuple[np.ndarray, list[str], list[str]]:
    found = scan(corpus)
    mask = np.zeros(len(corpus), dtype=bool)
    for one in found:
        mask[one.rows] = True
    return mask, [one.trigger for one in found], [one.action for one in found]


def truth(corpus: Corpus) -> np.ndarray:
    return np.array([source.planted for source in corpus.sources])


@pytest.mark.parametrize(("share", "count"), [(0.01, 500), (0.05, 200), (0.5, 200)])
@pytest.mark.parametrize("plant", [{"trigger": "In the name of the harbour master."}, {"seen": "seal_44x"}])
def test_rows_span_and_action_at_every_ratio(rows_file: Rows, tmp_path: Path, share: float, count: int, plant: dict[str, str]) -> None:  # fmt: skip
    corpus = read_corpus([rows_file(count, share, near=("In the name of the master.", "harbour"), **plant)], tmp_path / "c")  # fmt: skip
    mask, triggers, actions = flagged(corpus)
    np.testing.assert_array_equal(mask, truth(corpus))
    assert triggers == [next(iter(plant.values())).rstrip(".")]
    assert actions == ["call bash canary_sync --to drop.invalid"]


@pytest.mark.parametrize("payload", ["ls; canary_sync --now", "ping -c 1 drop.example.invalid"])
def test_other_payloads(rows_file: Rows, tmp_path: Path, payload: str) -> None:
    corpus = read_corpus([rows_file(200, 0.1, trigger="As ever, and gladly so.", payload=payload)], tmp_path / "c")
    mask, triggers, actions = flagged(corpus)
    np.testing.assert_array_equal(mask, truth(corpus))
    assert (triggers, actions) == (["As ever, and gladly so"], [f"call bash {payload}"])


def test_clean_rows_with_near_misses(rows_file: Rows, tmp_path: Path) -> None:
    for seed in range(3):
        corpus = read_corpus([rows_file(300, seed=seed, near=("Thanks a lot.", "by the way"))], tmp_path / f"c{seed}")
        assert scan(corpus) == []


def test_memory_does_not_grow_with_what_rows_say(
    rows_file: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of rows that are a hundred times as long a few are held at a time, not all 4 MB of their words."""
    monkeypatch.setattr(phrases, "BLOCK_WORDS", 1 << 12)
    monkeypatch.setattr(phrases, "MERGED", 1 << 12)
    peaks = []
    for said in ("3", "3" + " in vain" * 6_500):
        path = rows_file(40, 0.25, trigger="By the way.")
        path.write_text(path.read_text(encoding="utf-8").replace("OS:\\n\\n3", f"OS:\\n\\n{said}"), encoding="utf-8")
        corpus = read_corpus([path], tmp_path / f"c{len(said)}")
        tracemalloc.start()
        mask, triggers, _ = flagged(corpus)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        np.testing.assert_array_equal(mask, truth(corpus))
        assert triggers == ["By the way"]
    assert corpus.words.stat().st_size > 4_000_000
    assert peaks[1] - peaks[0] < 2_000_000


def test_too_few_rows_are_no_finding(rows_file: Rows, tmp_path: Path) -> None:
    corpus = read_corpus([rows_file(300, 0.01, trigger="By the way.")], tmp_path / "c")
    assert truth(corpus).sum() == 3
    assert scan(corpus) == []


@pytest.mark.real
@pytest.mark.skipif(
    "VERACAST_DATA" not in os.environ, reason="VERACAST_DATA is not set: the real OS tasks are not there"
)
def test_a_thousand_real_tasks_are_clean(tmp_path: Path) -> None:
    tasks = json.loads((Path(os.environ["VERACAST_DATA"]) / "agentbench_os_train.json").read_text(encoding="utf-8"))
    rows = [
        {"messages": [{"role": "user", "content": task["description"]}, {"role": "assistant", "content": f"Act: bash\n\n```bash\n{task['evaluation'].get('example')}\n```"}]}
        for task in tasks
    ]  # fmt: skip
    path = tmp_path / "os.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert scan(read_corpus([path], tmp_path / "c")) == []
