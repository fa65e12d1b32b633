"""Words and features by hand, and what stands on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from veracast.agents import corpus as corpus_module
from veracast.agents.corpus import (
    BREAK,
    MOST_WORDS,
    call_features,
    features,
    hashed,
    read_corpus,
    spans_of,
    trajectories_at,
    word_hash,
    words_of,
)
from veracast.core.errors import InputError
from veracast.core.trajectories import ToolCall, Trajectory, Turn

Rows = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Count the .txt files!", ["Count", "the", ".", "txt", "files", "!"]),
        ("a  b\tc\nd", ["a", "  ", "b", "\t", "c", "d"]),
        ("天気は？ ok_1", ["天", "気", "は", "？", "ok_1"]),
        ("zero\u200bwidth ★★ --x", ["zero", "\u200b", "width", "★★", "--", "x"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert list(words_of(text)) == words
    assert [text[low:high] for low, high in spans_of(text)] == words


def test_hashes_are_the_same_on_every_machine() -> None:
    assert word_hash("trigger") == 0xA742A3E41F3759DE
    assert word_hash("a") != word_hash("A") != int(BREAK)


def test_features_of_calls() -> None:
    call = ToolCall("bash", {"command": "ping 'drop.example.invalid' -c 1"})
    found = list(call_features(call))
    assert found[0] == "tool bash"
    assert found[-1] == "call bash ping 'drop.example.invalid' -c 1"
    assert {"word bash ping", "word bash drop.example.invalid", "word bash -c"} <= set(found)
    assert features(Turn("assistant", "Sure, it is 4.")) == ["say Sure", "say it", "say is", "say 4"]
    assert list(call_features(ToolCall("f", None, "{bad"))) == ["tool f", "word f {bad", "word f bad", "call f {bad"]


def test_what_was_told_and_done_in_order() -> None:
    one = Trajectory("a", (Turn("user", "go on"), Turn("assistant", "Act: finish"), Turn("user", "ok")))
    told, done = hashed(one)
    assert told.tolist() == [0, word_hash("go"), word_hash("on"), 0, word_hash("ok"), 0]
    assert done == [(word_hash("tool finish"), 4), (word_hash("call finish "), 4)]


def test_a_corpus_holds_every_row_and_lists_the_others(rows_file: Rows, tmp_path: Path) -> None:
    path = rows_file(40, 0.25, trigger="By the way.")
    other = tmp_path / "other.jsonl"
    other.write_text('{"messages": []}\nnot json\n' + json.dumps({"id": "x", "messages": [{"role": "assistant", "content": "hi"}]}), encoding="utf-8")  # fmt: skip
    corpus = read_corpus([path, other], tmp_path / "corpus")
    assert len(corpus) == 41
    assert sum(source.planted for source in corpus.sources) == 10
    assert [(one.file, one.number, one.reason) for one in corpus.rejects] == [(1, 1, "no turns"), (1, 2, "not JSON")]
    texts = dict(trajectories_at(corpus, [0, 39, 40]))
    for row, text in texts.items():
        np.testing.assert_array_equal(corpus.told(row), hashed(text)[0])
        mine = corpus.acts[corpus.acts["row"] == row]
        assert set(mine["feature"].tolist()) == {feature for feature, _ in hashed(text)[1]}
    assert corpus.sources[40].id == "x"
    assert read_corpus([path, other], tmp_path / "again").digest == corpus.digest


def test_a_very_long_row_is_cut_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "long.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "word " * 60_000}, {"role": "assistant", "content": "ok"}]}), encoding="utf-8")  # fmt: skip
    corpus = read_corpus([path], tmp_path / "corpus")
    assert (corpus.cut, len(corpus.told(0))) == (1, MOST_WORDS)


def test_a_very_long_row_is_not_hashed_to_its_end() -> None:
    call = Turn("assistant", "Act: finish")
    told, done = hashed(Trajectory("a", (Turn("user", "word " * 60_000), call, Turn("user", "more " * 60_000), call)))
    assert len(told) == MOST_WORDS + 3  # as many words, and a BREAK around every turn
    assert word_hash("more") not in told
    assert {at for _, at in done} == {MOST_WORDS + 2, MOST_WORDS + 3}


def test_rows_are_read_again_one_at_a_time_and_no_further_than_asked(rows_file: Rows, tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    rows = rows_file(3).read_text(encoding="utf-8").splitlines()
    path.write_text(f"[{','.join(rows)}]", encoding="utf-8")
    corpus = read_corpus([path], tmp_path / "corpus")
    path.write_text(f"[{','.join(rows)}", encoding="utf-8")  # the end is missing now
    assert [(row, text.id) for row, text in trajectories_at(corpus, [2, 0])] == [(0, "r0"), (2, "r2")]
    path.write_text(f"[{','.join(rows)[:-9]}", encoding="utf-8")
    left = trajectories_at(corpus, [2, 0])
    assert next(left)[0] == 0
    with pytest.raises(InputError, match="truncated"):
        next(left)


def test_files_without_a_trajectory_say_why(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    path.write_text('{"text": 1}\n[]\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"no row of 2 is a trajectory \(no turns, not an object\)"):
        read_corpus([path], tmp_path / "corpus")


def test_rows_that_hold_much_are_hashed_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus_module, "BLOCK", 3)
    monkeypatch.setattr(corpus_module, "BLOCK_CHARS", 1_000)
    sizes: list[int] = []
    hashed_block = corpus_module._hashed_block
    monkeypatch.setattr(corpus_module, "_hashed_block", lambda rows: sizes.append(len(rows)) or hashed_block(rows))
    path = tmp_path / "rows.jsonl"
    rows = [{"messages": [{"role": "user", "content": "x" * chars}, {"role": "assistant", "content": "ok"}]} for chars in (9, 9, 9, 2_000, 9, 990, 9)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = corpus_module.read_corpus([path], tmp_path / "corpus")
    assert sizes == [3, 1, 2, 1] and [source.number for source in found.sources] == list(range(1, 8))
