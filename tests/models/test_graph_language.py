"""Soft tokens reach the answer, padding does not; the loss is of the answer alone; tuning trains what it says."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.models.conftest import TEXTS, facts_of
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.checkpoints import snapshot, trainable
from veracast.models.graph_language import Batch, GraphLanguageModel, Lora, Source, chosen, collate, trained_share
from veracast.models.prompts import Template, parse_level, single_tokens

SOURCES = {"graph": Source(5, 3), "numbers": Source(4, 2)}


def vectors(count: int, *, seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {"graph": torch.randn(count, 5, generator=draw), "numbers": torch.randn(count, 4, generator=draw)}


def batch_of(made: Template, count: int, *, answers: list[str] | None = None) -> Batch:
    return collate(made.encode(facts_of(count), answers=answers), vectors(count))


def test_padding_changes_nothing(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen").eval()
    encoded, soft = made.encode(facts_of(6)), vectors(6)
    assert len({len(e.ids) for e in encoded}) > 1
    with torch.no_grad():
        together = model.last_hidden(collate(encoded, soft))
        alone = [model.last_hidden(collate([e], {n: v[[i]] for n, v in soft.items()})) for i, e in enumerate(encoded)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-5, rtol=0)


def test_the_soft_tokens_stand_in_their_places_and_words_stay(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen")
    batch = batch_of(made, 2)
    words, found = tiny.model.get_input_embeddings()(batch.ids), model.embed(batch)
    graph, numbers = batch.ids == model.pads["graph"], batch.ids == model.pads["numbers"]
    assert graph.sum(dim=1).tolist() == [3, 3] and numbers.sum(dim=1).tolist() == [2, 2]
    torch.testing.assert_close(found[graph].reshape(2, 3, -1), model.projectors["graph"](batch.soft["graph"]))
    torch.testing.assert_close(found[numbers].reshape(2, 2, -1), model.projectors["numbers"](batch.soft["numbers"]))
    torch.testing.assert_close(found[~(graph | numbers)], words[~(graph | numbers)])
    size = float(tiny.model.get_input_embeddings().weight.std())
    assert found[graph].std().item() == pytest.approx(size, rel=0.05)  # as large as words


def test_every_source_reaches_the_answer_and_a_source_without_tokens_does_not(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen").eval()
    batch = batch_of(made, 2)
    with torch.no_grad():
        first = model.last_hidden(batch)
        for name in SOURCES:
            changed = {n: v + (n == name) for n, v in batch.soft.items()}
            assert (model.last_hidden(collate(made.encode(facts_of(2)), changed)) - first).abs().max() > 1e-3
    alone = GraphLanguageModel(tiny, {"graph": Source(5, 0), "numbers": Source(4, 0)}, tuning="frozen")
    assert not alone.projectors and not alone.pads


def test_the_loss_is_the_cross_entropy_of_answer_tokens_alone(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen").eval()
    answers = ["3", "7", "1"]
    batch = batch_of(made, 3, answers=answers)
    with torch.no_grad():
        loss, tokens = model.answer_loss(batch)
        expected = torch.zeros(())
        for i, answer in enumerate(answers):
            one = collate([made.encode(facts_of(3), answers=answers)[i]], {n: v[[i]] for n, v in batch.soft.items()})
            logits = tiny.model(inputs_embeds=model.embed(one)).logits[0]
            told = [single_tokens(tiny.tokenizer, [answer])[0], tiny.tokenizer.eos_token_id]
            place = int(one.prompt[0])
            expected += F.cross_entropy(logits[place - 1 : place + 1], torch.tensor(told), reduction="sum")
    assert tokens == 6
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)


def test_answer_logits_are_those_of_the_full_vocabulary(tiny: Backbone, made: Template) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning="frozen").eval()
    batch, ids = batch_of(made, 2), single_tokens(tiny.tokenizer, list("0123456789"))
    with torch.no_grad():
        found = model.answer_logits(model.last_hidden(batch), ids)
        whole = tiny.model(inputs_embeds=model.embed(batch)).logits
    expected = torch.stack([whole[i, int(batch.prompt[i]) - 1, ids] for i in range(2)])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("tuning", "learns"), [("frozen", set()), ("lora", {"lora"}), ("full", {"base"})])
def test_tuning_trains_what_it_says(tiny: Backbone, made: Template, tuning: str, learns: set[str]) -> None:
    model = GraphLanguageModel(tiny, SOURCES, tuning=tuning)  # type: ignore[arg-type]
    before = snapshot(dict(model.named_parameters()))
    optimizer = torch.optim.SGD(trainable(model).values(), lr=1.0)
    for _ in range(2):  # the first step moves lora_B alone: lora_A's gradient is 0 while B is 0
        optimizer.zero_grad()
        torch.autograd.backward(model.answer_loss(batch_of(made, 2, answers=["3", "7"]))[0])
        optimizer.step()
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    kinds = {"projector" if n.startswith("projectors") else "lora" if "lora_" in n else "base" for n in moved}
    assert kinds == {"projector", *learns}
    if tuning == "lora":
        assert {n for n in before if "lora_" in n} == {n for n in moved if "lora_" in n}
        assert not any("embed" in n or "lm_head" in n for n in before if "lora_" in n)
    assert trained_share(model).split()[0] == f"{sum(p.numel() for p in trainable(model).values()):,}"


def test_greedy_generation_agrees_with_the_answer_logits(tiny: Backbone, made: Template) -> None:
    """A model taught one answer says it, both ways."""
    model = GraphLanguageModel(tiny, SOURCES, tuning="full")
    batch = batch_of(made, 4, answers=["7", "7", "7", "7"])
    optimizer = torch.optim.AdamW(trainable(model).values(), lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        torch.autograd.backward(model.answer_loss(batch)[0])
        optimizer.step()
    model.eval()
    one = collate(made.encode(facts_of(1)), {n: v[:1] for n, v in batch.soft.items()})
    assert parse_level(model.say(one)) == 7
    with torch.no_grad():
        logits = model.answer_logits(model.last_hidden(one), single_tokens(tiny.tokenizer, list("0123456789")))
    assert int(logits.argmax()) == 7
    with pytest.raises(ValueError, match="one prompt at a time"):
        model.say(batch)


def test_chosen_rows_of_a_batch(made: Template) -> None:
    import numpy as np

    batch = batch_of(made, 5, answers=list("12345"))
    part = chosen(batch, np.array([3, 1]))
    assert part.prompt.tolist() == batch.prompt[[3, 1]].tolist()
    assert part.ids.shape[1] == int(batch.whole[[3, 1]].max())
    assert torch.equal(part.soft["graph"], batch.soft["graph"][[3, 1]])


def gradients(model: GraphLanguageModel, batch: Batch) -> tuple[float, dict[str, Tensor]]:
    """Loss and gradients of what is trained, in training mode."""
    model.train()
    loss, _ = model.answer_loss(batch)
    loss.backward()
    return loss.item(), {name: p.grad for name, p in trainable(model).items() if p.grad is not None}


def lora_model(made: Template, **choices: Any) -> tuple[GraphLanguageModel, Batch]:
    """The same first weights every time, whatever the choices; adapters that are not at zero."""
    torch.manual_seed(3)
    base = load_backbone("tiny", texts=TEXTS, seed=1)
    model = GraphLanguageModel(base, SOURCES, tuning="lora", lora=Lora(dropout=0.0), **choices)
    with torch.no_grad():
        for name, parameter in trainable(model).items():
            if "lora_B" in name:
                parameter.copy_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(5)) * 0.02)
    return model, batch_of(made, 4, answers=["3", "7", "1", "0"])


def test_recomputed_activations_give_the_same_loss_and_gradients(made: Template) -> None:
    plain, batch = lora_model(made)
    again, _ = lora_model(made)
    again.recompute()
    reads = [0, 0]
    for place, model in enumerate((plain, again)):
        model.blocks[0].mlp.register_forward_pre_hook(lambda *_, at=place: reads.__setitem__(at, reads[at] + 1))
    (loss, wanted), (found_loss, found) = gradients(plain, batch), gradients(again, batch)
    assert reads == [1, 2]  # the block is read again on the way back
    assert found_loss == loss and found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_bf16_holds_what_is_frozen_and_trains_in_fp32(made: Template) -> None:
    plain, batch = lora_model(made)
    halved, _ = lora_model(made, precision="bf16")
    held = {p.dtype for p in halved.parameters() if not p.requires_grad}
    assert held == {torch.bfloat16} and {p.dtype for p in trainable(halved).values()} == {torch.float32}
    for name, p in halved.named_parameters():
        if not p.requires_grad:
            assert torch.equal(p, dict(plain.named_parameters())[name].bfloat16()), name
    assert halved.hidden(batch).dtype == torch.bfloat16  # products are taken in it
    (loss, wanted), (found_loss, found) = gradients(plain, batch), gradients(halved, batch)
    assert found_loss != loss and found_loss == pytest.approx(loss, rel=4e-3)  # bf16 has 8 bits: 2 ** -8
    together, apart = (torch.cat([g[name].flatten() for name in wanted]) for g in (wanted, found))
    assert apart.dtype == torch.float32 and F.cosine_similarity(together, apart, dim=0) > 0.999
    assert halved.last_hidden(batch).dtype == torch.float32
    logits = halved.answer_logits(halved.last_hidden(batch), [1, 2])
    assert (logits.dtype, logits.device.type) == (torch.float32, "cpu")


def test_fp32_is_no_autocast_and_a_batch_in_place_is_not_copied(made: Template) -> None:
    model, batch = lora_model(made)
    moved = batch.to(model.device)
    assert moved.ids is batch.ids and moved.soft["graph"] is batch.soft["graph"]
    with model.autocast():
        assert not torch.is_autocast_enabled("cpu")
