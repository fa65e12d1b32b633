"""What is read once: replies are those of reading everything, and every token that is fed is counted by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.agents.fakes import letters, speaker, surely
from veracast.agents.chat import prompt_tokens
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.logits import decode, likeliest
from veracast.agents.prefixes import Kept, Layer, Memory, resumed, shared_beginning
from veracast.core.trajectories import Turn
from veracast.models.backbones import load_backbone

SYSTEM = Turn("system", "You act.")
ASKED = ("Count the files.", "a", "Delete every file of the folder that is older than a week, please.", "3 + 4 is?")


def row(ids: list[int], value: float = 0.0) -> Kept:
    """Two heads, three numbers a token: the token's id plus a value."""
    keys = torch.tensor(ids, dtype=torch.float32)[None, :, None].expand(2, -1, 3) + value
    return Kept(np.array(ids), ((Layer(keys, -keys),),))


def holding(*rows: Kept, most_bytes: int = 1 << 20) -> Memory:
    memory = Memory(most_bytes)
    for one in rows:
        memory.add(one)
    memory.turn()
    return memory


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [([[1, 2, 3], [1, 2, 4, 5]], 2), ([[1, 2, 3], [1, 2, 3]], 2), ([[1], [1, 2]], 0), ([[1, 2], [3, 2]], 0), ([[1, 2, 3]], 0), ([], 0)],
)  # fmt: skip
def test_what_prompts_share_leaves_a_token_of_each(prompts: list[list[int]], expected: int) -> None:
    assert shared_beginning([np.array(one) for one in prompts]) == expected


def test_the_longest_beginning_among_the_rows_that_are_held() -> None:
    memory = holding(row([1, 2]), row([1, 2, 3, 4]), row([1, 9, 3, 4, 5, 6]))
    found = [memory.start_of(np.array(ids)) for ids in ([1, 2, 3, 7], [1, 9, 3, 4, 5, 6], [2, 2], [1], [1, 2, 3, 4, 5])]
    assert [one.tokens for one in found] == [3, 5, 0, 0, 4]
    assert [None if one.kept is None else one.kept.ids.tolist() for one in found[:2]] == [[1, 2, 3, 4], [1, 9, 3, 4, 5, 6]]  # fmt: skip


def test_rows_beyond_the_bytes_are_forgotten() -> None:
    size = row([1, 2, 3]).size
    assert size == 2 * 2 * 3 * 3 * 4  # keys and values, heads, tokens, width, bytes of a float
    memory = holding(row([1, 2, 3]), row([4, 5, 6]), row([7, 8, 9]), most_bytes=2 * size)
    assert [memory.start_of(np.array([first, second, 0])).tokens for first, second in ((1, 2), (4, 5), (7, 8))] == [2, 2, 0]  # fmt: skip
    memory.add(row([7, 8, 9]))
    memory.turn()  # those of one call, and no others
    assert [memory.start_of(np.array([first, second, 0])).tokens for first, second in ((1, 2), (7, 8))] == [0, 2]


def test_caches_are_padded_on_the_left_by_hand() -> None:
    memory = holding(row([1, 2, 3]), row([4, 5]))
    caches, mask = resumed([memory.start_of(np.array(ids)) for ids in ([1, 2, 9], [4, 9], [8, 8])], 1)
    assert mask.tolist() == [[1, 1], [0, 1], [0, 0]]
    assert caches[0].layers[0].keys[:, 1, :, 2].tolist() == [[1, 2], [0, 4], [0, 0]]
    assert caches[0].layers[0].values[:, 0, :, 0].tolist() == [[-1, -2], [0, -4], [0, 0]]


class Counted(torch.nn.Module):
    """A model that notes how many tokens, padding left out, it is fed."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner, self.config, self.fed = inner, inner.config, list[int]()

    def forward(self, input_ids: Any, attention_mask: Any, cache: Any = None, **given: Any) -> Any:
        self.fed.append(int(attention_mask[:, -input_ids.shape[1] :].sum()))
        return self.inner(input_ids=input_ids, attention_mask=attention_mask, cache=cache, **given)


@pytest.fixture(scope="module")
def backbone() -> Any:
    return load_backbone("tiny", texts=[*ASKED, "You act. It is done. And now?"] * 3, seed=1)


def alone(backbone: Any, turns: list[Turn]) -> str:
    ids = torch.from_numpy(prompt_tokens(backbone.tokenizer, turns))[None]
    with torch.inference_mode():
        out = backbone.model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)
    return str(backbone.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)).strip()


def test_episodes_with_a_memory_go_as_one_by_one_generation_does(backbone: Any) -> None:
    """Four steps; one conversation ends early, the others go on in another order; batches that do not hold all rows."""
    agent = LanguageAgent(backbone.model, backbone.tokenizer, max_new=8, batch=3, memory=Memory())
    talks = [[SYSTEM, Turn("user", text)] for text in ASKED]
    for step in range(4):
        replies = agent.reply(talks)
        assert replies == [alone(backbone, turns) for turns in talks]
        talks = [[*turns, Turn("assistant", said), Turn("user", f"It is done {step}. And now?")] for turns, said in zip(talks, replies, strict=True)]  # fmt: skip
        talks = talks[1:][::-1] if step == 1 else talks


def test_a_token_is_read_once() -> None:
    """Replies of characters are tokenised again as they were said, so that only the last token of a reply, what ends its turn and what is told then are left."""
    tokenizer = letters()
    model = Counted(speaker(tokenizer, lambda told: surely("ab")))
    agent = LanguageAgent(model, tokenizer, max_new=8, memory=Memory())
    talks = [[SYSTEM, Turn("user", "x" * k)] for k in (3, 5)]
    first = [prompt_tokens(tokenizer, turns) for turns in talks]
    shared = shared_beginning(first)
    assert agent.reply(talks) == ["ab", "ab"]
    assert model.fed == [shared, len(first[0]) + len(first[1]) - 2 * shared, 2, 2]
    model.fed.clear()
    talks = [[*turns, Turn("assistant", "ab"), Turn("user", "y")] for turns in talks]
    second = [prompt_tokens(tokenizer, turns) for turns in talks]
    assert agent.reply(talks) == ["ab", "ab"]
    assert model.fed == [sum(len(now) - len(before) - 2 for before, now in zip(first, second, strict=True)), 2, 2]


def test_what_is_kept_is_what_is_used(backbone: Any) -> None:
    """A memory whose numbers were changed gives other replies: nothing was read anew behind its back."""
    agent = LanguageAgent(backbone.model, backbone.tokenizer, max_new=8, memory=Memory())
    talk = [SYSTEM, Turn("user", ASKED[2])]
    said = agent.reply([talk])[0]
    talk += [Turn("assistant", said), Turn("user", "And now?")]
    assert agent.memory is not None
    start = agent.memory.start_of(prompt_tokens(backbone.tokenizer, talk))
    assert start.kept is not None
    wrong = tuple(Layer(10 * layer.keys, -10 * layer.values) for layer in start.kept.models[0])
    agent = replace(agent, memory=holding(Kept(start.kept.ids, (wrong,))))
    assert agent.reply([talk])[0] != alone(backbone, talk)


def test_two_models_keep_each_its_own(backbone: Any) -> None:
    other = load_backbone("tiny", texts=[*ASKED, "You act. It is done. And now?"] * 3, seed=2)
    models, memory = (backbone.model, other.model), Memory()
    prompts = [prompt_tokens(backbone.tokenizer, [SYSTEM, Turn("user", text)]) for text in ASKED]
    eos, longer = backbone.tokenizer.eos_token_id, [np.append(one, [5, 6]) for one in prompts]
    decode(models, prompts, lambda logits: likeliest(logits[1:]), eos=eos, max_new=4, batch=4, memory=memory)
    found = decode(models, longer, lambda logits: likeliest(logits[1:]), eos=eos, max_new=4, batch=4, memory=memory)
    plain = decode([other.model], longer, likeliest, eos=eos, max_new=4, batch=1)
    for one, two in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one.ids, two.ids)
        np.testing.assert_allclose(one.figures, two.figures, atol=1e-4)
