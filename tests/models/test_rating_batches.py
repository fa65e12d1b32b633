"""Fast rating equals the plain forward pass, in the input's order, whatever the batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.models.conftest import facts_of
from tests.models.test_graph_language import SOURCES, vectors
from veracast.models import rating_batches
from veracast.models.backbones import Backbone
from veracast.models.graph_language import GraphLanguageModel, Precision, Tuning, collate
from veracast.models.prompts import Encoded, Fact, Template
from veracast.models.rating_batches import Group, batches, groups, last_hidden_states, prefix_cache


@pytest.mark.parametrize("tuning", ["frozen", "lora"])
def test_sorted_batches_with_a_shared_prefix_equal_one_by_one(
    tiny: Backbone, made: Template, tuning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning=tuning)  # type: ignore[arg-type]
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    encoded, soft = made.encode(facts_of(13)), vectors(13)
    model.eval()
    with torch.no_grad():
        alone = torch.cat([model.last_hidden(collate([e], {n: v[[i]] for n, v in soft.items()})) for i, e in enumerate(encoded)])  # fmt: skip
    monkeypatch.setattr(rating_batches, "TOKEN_BUDGET", {"fp32": 200})
    read: list[int] = []
    monkeypatch.setattr(rating_batches, "collate", lambda cut, soft: (read.append(len(cut)), collate(cut, soft))[1])
    for prefix in (None, made.prefix):
        torch.testing.assert_close(last_hidden_states(model, encoded, soft, prefix=prefix), alone, atol=1e-4, rtol=0)
        assert sum(read) == 13 and len(read) > 2
        read.clear()


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 200))
def test_batches_hold_every_row_once_and_keep_to_the_budget(lengths: list[int], budget: int) -> None:
    found = list(batches(lengths, budget=budget))
    assert sorted(np.concatenate([np.empty(0, dtype=int), *found]).tolist()) == list(range(len(lengths)))
    for rows in found:
        assert len(rows) == 1 or len(rows) * max(lengths[i] for i in rows) <= budget
    flat = [lengths[i] for rows in found for i in rows]
    assert flat == sorted(flat)


@pytest.mark.parametrize(("precision", "expected"), [("fp32", [2]), ("bf16", [1, 1])])
def test_the_budget_of_a_batch_is_that_of_the_precision(
    tiny: Backbone, made: Template, precision: Precision, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two prompts of the same length, of which a batch has room for both or for one."""
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen", precision=precision)
    encoded = [made.encode(facts_of(1))[0]] * 2
    monkeypatch.setattr(
        rating_batches, "TOKEN_BUDGET", {"fp32": 2 * encoded[0].prompt, "bf16": 2 * encoded[0].prompt - 1}
    )
    read: list[int] = []
    monkeypatch.setattr(rating_batches, "collate", lambda cut, soft: (read.append(len(cut)), collate(cut, soft))[1])
    last_hidden_states(model, encoded, vectors(2))
    assert read == expected


def one_video(made: Template, count: int) -> list[Encoded]:
    """Prompts of one video: a number that is one of three, and titles of growing length; the first two prompts are the same."""
    words = ["a", "small", "boat", "crosses", "the", "wide", "river", "at", "night", "while", "nobody", "looks"]
    told = [(0, 0), *((k % 3, k % len(words)) for k in range(count - 1))]
    same = [Fact(f"fact {k}", "of this video, whatever its content") for k in range(6)]
    return made.encode(
        [[Fact("views", f"{views}"), *same, Fact("title", " ".join(words[:end]))] for views, end in told]
    )


@pytest.mark.parametrize("tuning", ["frozen", "lora"])
def test_prompts_that_are_alike_are_read_by_what_groups_of_them_share(tiny: Backbone, made: Template, tuning: Tuning, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    model = GraphLanguageModel(tiny, SOURCES, tuning=tuning)
    encoded, soft = one_video(made, 31), vectors(31)
    tokens: list[int] = []
    hidden = model.hidden
    monkeypatch.setattr(model, "hidden", lambda batch, cache: (tokens.append(batch.ids.numel()), hidden(batch, cache=cache))[1])  # fmt: skip
    plain = last_hidden_states(model, encoded, soft, prefix=made.prefix)
    before, _ = sum(tokens), tokens.clear()
    torch.testing.assert_close(last_hidden_states(model, encoded, soft, prefix=made.prefix, alike=True), plain, atol=1e-5, rtol=0)  # fmt: skip
    assert sum(tokens) < before / 3


def test_groups_hold_every_row_once_share_what_they_say_and_end_before_soft_tokens(tiny: Backbone, made: Template) -> None:  # fmt: skip
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen")
    encoded = one_video(made, 31)
    whole = Group(np.arange(31), len(made.prefix), prefix_cache(model, made.prefix))
    found = list(groups(model, encoded, whole))
    assert sorted(np.concatenate([group.rows for group in found]).tolist()) == list(range(31))
    assert len(found) == 3 and {len(group.rows) for group in found} == {10, 11}
    for group in found:
        first = encoded[group.rows[0]].ids[: group.shared]
        assert group.shared > 2 * len(made.prefix) and group.cache.get_seq_length() == group.shared
        for i in group.rows:
            assert (encoded[i].ids[: group.shared] == first).all()
            assert encoded[i].ids[group.shared :].tolist().count(model.pads["graph"]) == made.slots.graph
    assert next(groups(model, encoded[:1], Group(np.arange(1), whole.shared, whole.cache))).shared == whole.shared
