"""Stage 1: losses by hand, gradients that reach every part, and no look at the future."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.rating.netgpt.conftest import World
from veracast.graph.compatible_network import CompatibleRGCN
from veracast.graph.hubs import Hub, hub
from veracast.graph.network import GraphInputs, NetworkConfig, ResidualRGCN
from veracast.rating.netgpt.config import GraphConfig
from veracast.rating.netgpt.inputs import fit_scaling, graph_inputs
from veracast.rating.netgpt.rows import Rows, rows_of
from veracast.rating.netgpt.stage1 import (
    GraphHead,
    GraphStage,
    Said,
    SelfSupervised,
    Supervised,
    add_pretext,
    row_losses,
)


def ready(world: World) -> tuple[GraphStage, GraphInputs, dict[str, Rows]]:
    scaling = fit_scaling(world.around, world.train["observed"], config=GraphConfig())
    inputs = graph_inputs(world.around, scaling)
    rows = {
        state: rows_of(t, state, graph=world.around.graph, scaling=scaling, main="views", held_share=0.2)
        for state, t in world.train.items()
    }
    torch.manual_seed(0)
    network = ResidualRGCN(NetworkConfig(), inputs)
    return GraphStage(network, network.width, tuple(rows)), inputs, rows


def test_row_losses_by_hand(world: World) -> None:
    _, _, rows = ready(world)
    part = replace(
        rows["cold"].at(torch.tensor([0, 1])), level=torch.tensor([4, -1]), main=torch.tensor([3.0, float("nan")])
    )
    said = Said(torch.tensor([4.0, 9.0]), torch.zeros(2, 10), torch.tensor([6.0, 1.0]))
    expected = (1.0 - 0.1) + 0.5 * np.log(10) + 0.1 * (2.0 - 0.5)  # SmoothL1 (beta .2), cross-entropy, SmoothL1
    np.testing.assert_allclose(row_losses(said, part).numpy(), [expected, 0.0], rtol=1e-6)
    np.testing.assert_allclose(row_losses(said, part, released=True).numpy(), [1.5, 0.0])


def test_growth_is_forecast_and_judged_by_its_logarithm(world: World) -> None:
    """From ln counts 5: said to 5.2, came to 6 and (fallen) to 4.5; growth .2, 1 and none at all."""
    _, _, rows = ready(world)
    part = replace(
        rows["observed"].at(torch.tensor([0, 1])), start=torch.full((2,), 5.0), main=torch.tensor([6.0, 4.5]), level=torch.tensor([-1, -1])
    )  # fmt: skip
    said = Said(torch.full((2,), 5.2), torch.zeros(2, 10), torch.zeros(2))
    z = np.log([1.01, 0.01]) - np.log(0.21)
    np.testing.assert_allclose(row_losses(said, part).numpy(), np.abs(z) - 0.05, rtol=1e-4)  # SmoothL1, beta .1
    head = GraphHead(3, grows=True)
    for parameter in head.parameters():
        torch.nn.init.zeros_(parameter)
    start = head(torch.zeros(len(part), 3), part).main
    torch.testing.assert_close(start, part.start + np.exp(-1.5) - 0.01)
    with torch.no_grad():
        head.straight.bias[0] = -50.0
    assert (head(torch.zeros(len(part), 3), part).main >= part.start - 0.011).all()  # never falls further than rounding


def test_one_loss_reaches_every_parameter(world: World) -> None:
    model, inputs, rows = ready(world)
    objective = Supervised(inputs, rows)
    found = objective.loss(model, np.arange(objective.rows))
    torch.autograd.backward(found.loss)
    assert abs(found.weight - 1) < 1e-5
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_parts_of_a_batch_add_up(world: World) -> None:
    model, inputs, rows = ready(world)
    model.eval()
    objective = Supervised(inputs, rows)
    with torch.no_grad():
        whole = objective.loss(model, np.arange(objective.rows))
        parts = [objective.loss(model, part) for part in np.array_split(np.arange(objective.rows), 3)]
    torch.testing.assert_close(sum(p.loss for p in parts), whole.loss)
    assert abs(sum(p.weight for p in parts) - whole.weight) < 1e-5


@pytest.mark.parametrize("schema", ["improved", "compatible"])
def test_a_loss_on_ego_graphs_is_the_loss_on_the_whole_graph_where_all_members_are_drawn(
    world: World, schema: str
) -> None:
    model, inputs, rows = ready(world)
    if schema == "compatible":
        model, inputs = published(world, model, inputs)
    model.eval()
    some = np.random.default_rng(0).permutation(sum(int((~r.held).sum()) for r in rows.values()))[:60]
    whole, sampled, few = (Supervised(inputs, rows, fan_out=f) for f in ((), (5000, 5000), (2, 2)))
    with torch.no_grad():
        torch.testing.assert_close(sampled.loss(model, some), whole.loss(model, some), atol=1e-5, rtol=1e-5)
        losses = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            losses.append(few.loss(model, some).loss.item())
        assert losses[0] == losses[1] != losses[2]  # a new draw at every step, from the step's own noise
        assert few.validation_loss(model) == whole.validation_loss(model)


def published(world: World, model: GraphStage, inputs: GraphInputs) -> tuple[GraphStage, GraphInputs]:
    """The published network on its own hubs, over the same states."""
    topic = next(h for h in inputs.hubs if isinstance(h, Hub) and h.name == "topic")
    pairs = hub(
        "topic", members="all_pairs", key=np.repeat(np.arange(len(topic.starts) - 1), np.diff(topic.starts)), state=topic.state,
        time=np.floor(topic.time), known=np.ones(len(topic.state), dtype=bool), video=world.around.video[topic.state],
        born=topic.born, states=topic.states,
    )  # fmt: skip
    inputs = replace(inputs, hubs=(pairs,))
    torch.manual_seed(0)
    network = CompatibleRGCN(NetworkConfig(own=16), inputs)
    return GraphStage(network, network.width, tuple(model.heads)), inputs


def test_validation_videos_are_not_trained_on(world: World) -> None:
    _, inputs, rows = ready(world)
    objective = Supervised(inputs, rows)
    for kind in rows:
        assert not objective.train[kind].held.any()
        assert objective.held[kind].held.all() and objective.held[kind].asked.all()


def test_later_counts_change_no_earlier_embedding(world: World) -> None:
    model, inputs, _ = ready(world)
    model.eval()
    at = world.around.graph.states["at"].cast(int).to_numpy()
    late = at > np.quantile(at, 0.6)
    numbers = inputs.numbers.clone()
    numbers[torch.from_numpy(late)] += 3.0
    with torch.no_grad():
        before, after = model.embed(inputs), model.embed(replace(inputs, numbers=numbers))
    torch.testing.assert_close(before[~late], after[~late], atol=1e-5, rtol=0)
    assert (before[late] - after[late]).abs().max() > 0.1


def test_the_pretext_begins_at_its_seed_whatever_was_drawn_before(world: World) -> None:
    model, inputs, _ = ready(world)
    first = []
    for before, seed in ((1, 0), (2, 0), (1, 5)):
        torch.manual_seed(before)
        add_pretext(model, inputs.numbers.shape[1] // 2, seed=seed)
        first.append(model.decoder.weight.clone())  # type: ignore[union-attr]
    assert torch.equal(first[0], first[1]) and not torch.equal(first[0], first[2])


def test_self_supervision_looks_at_no_outcome(world: World) -> None:
    model, inputs, rows = ready(world)
    add_pretext(model, inputs.numbers.shape[1] // 2, seed=0)
    held = torch.zeros(int(inputs.video.max()) + 1, dtype=torch.bool)
    held[inputs.video[rows["cold"].state[rows["cold"].held]]] = True
    objective = SelfSupervised(inputs, seed=1, held_videos=held)
    model.eval()
    with torch.no_grad():
        assert objective.validation_loss(model) == objective.validation_loss(model)
    found = objective.loss(model, np.arange(objective.rows))
    torch.autograd.backward(found.loss)
    touched = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert touched == {"network", "decoder", "query", "message"}
