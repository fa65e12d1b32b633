"""Endings behind a beginning that is read once, against whole rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.agents import toy
from tests.agents.fakes import Fake
from veracast.agents.detect.prefix import Prefix
from veracast.agents.logits import POSITIONS, log_probabilities

BEGINNING = np.arange(20, 30)
ENDINGS = np.array([[31, 32, 33], [40, 41, 42], [31, 41, 33], [7, 8, 9], [50, 50, 50]])


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_they_are_those_of_the_whole_rows(batch: int) -> None:
    models = [toy.base().model, toy.sibling(0, planted=0.2).model]
    prefix = Prefix(models, BEGINNING)
    whole = dict(log_probabilities(models, [BEGINNING] * 5, [np.append(one, 0) for one in ENDINGS], batch=5))
    for _ in range(2):  # what was read is not changed by reading on
        seen = []
        for rows, by_model in prefix.after(ENDINGS, keep=2, batch=batch):
            for k, row in enumerate(range(len(ENDINGS))[rows]):
                seen.append(row)
                for ours, theirs in zip(by_model, whole[row], strict=True):
                    torch.testing.assert_close(ours[k], theirs[2:], atol=1e-4, rtol=1e-4)
        assert seen == list(range(5))


@pytest.mark.parametrize(("keep", "sizes"), [(1, [3, 2]), (POSITIONS // 2, [2, 2, 1])])
def test_a_batch_holds_so_many_rows_and_positions(keep: int, sizes: list[int]) -> None:
    prefix = Prefix([Fake(8, lambda ids: {}, context=10_000)], np.zeros(4, dtype=np.int64))
    endings = np.zeros((5, POSITIONS // 2), dtype=np.int64)
    assert [len(by_model[0]) for _, by_model in prefix.after(endings, keep=keep, batch=3)] == sizes
