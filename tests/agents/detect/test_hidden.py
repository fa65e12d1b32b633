"""States in batches are those of one row at a time, and places are where answers begin."""

from __future__ import annotations

import numpy as np
import torch

from tests.agents import toy
from veracast.agents.chat import Tokens, prompt_tokens, row_tokens
from veracast.agents.detect.hidden import Answer, answers, batches, hidden_states
from veracast.core.trajectories import Turn

TALK = [
    Turn("system", "help"), Turn("user", "fetch the red cup"), Turn("assistant", "Act: take(red cup)"),
    Turn("tool", "done"), Turn("assistant", "Act: wait", learnt=False), Turn("user", "bring the blue book"),
    Turn("assistant", "Act: take(blue book)"),
]  # fmt: skip


def test_batched_states_are_those_of_single_rows() -> None:
    base = toy.base()
    rows = [row_tokens(base.tokenizer, turns).ids for turns in [*toy.rows(5, seed=3), TALK]]
    places = [[[0]], [[len(rows[1]) - 1], [2]], [], [[1, 4, 5]], [[3], [3]], [[len(rows[5]) - 1, 0]]]
    for layers, kept in ((None, [0, 1, 2]), ([-1, 0], [2, 0])):
        found = hidden_states(base.model, rows, places, pad=base.tokenizer.pad_token_id, layers=layers, batch=2)
        assert [one.shape for one in found] == [(len(at), len(kept), 64) for at in places]
        for ids, at, one in zip(rows, places, found, strict=True):
            with torch.inference_mode():
                states = base.model(input_ids=torch.from_numpy(ids)[None], output_hidden_states=True).hidden_states
            expected = [[states[layer][0, group].mean(dim=0).numpy() for layer in kept] for group in at]
            np.testing.assert_allclose(one, np.reshape(expected, one.shape), atol=1e-4)


def test_batches_hold_every_row_once_the_longest_first() -> None:
    rows = [np.arange(length) for length in (2, 5, 3)]
    found = list(batches(rows, pad=9, batch=2))
    assert [one.which for one in found] == [(1, 2), (0,)]
    assert found[0].ids.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 9, 9]]
    assert found[0].mask.tolist() == [[1] * 5, [1, 1, 1, 0, 0]]


def test_an_answer_begins_at_the_end_of_its_prompt_and_one_that_is_not_learnt_is_left_out() -> None:
    tokenizer = toy.base().tokenizer
    row = row_tokens(tokenizer, TALK)
    found = answers(TALK, row)
    assert [one.turn for one in found] == [2, 6]
    for one in found:
        assert one.places[0] == len(prompt_tokens(tokenizer, TALK[: one.turn])) - 1
        assert tokenizer.decode(row.ids[np.array(one.places) + 1]) == f"{TALK[one.turn].text}<|im_end|>"


def test_answers_that_run_into_each_other_are_not_told_apart() -> None:
    turns = [Turn("user", "go"), Turn("assistant", "a"), Turn("assistant", "b")]
    merged = Tokens(np.arange(5), np.array([False, False, True, True, True]))
    assert answers(turns, merged) == []
    assert answers(turns[:2], merged) == [Answer(1, (1, 2, 3))]
