"""Speed of what judges agents: episodes side by side beside a one-by-one loop, every detector, the scan of training data.

    python benchmarks/agent_speed.py [--simulator shell] [--items 64] [--model smollm2-135m] [--model-items 16] [--probes 40] [--work FOLDER]

1. Episodes. `tiny` is tuned on expert episodes for about two minutes of a core, so that it ends its replies as an agent does, and plays test tasks live;
   then, if it is in the cache, a larger model as it was pulled, which acts by luck: its replies and steps are capped. Three ways over the same items:
   one conversation after the other by `generate`, which reads the whole history at every step; batches; batches with a memory of what was read.
2. Detectors: CPU and wall seconds for 1,000 probes or rows, measured on fewer, on a clean adapter of that `tiny`. Where something is found, taking it apart
   costs more. The spectrum reads adapters alone and is given for one.
3. The scan of training data at three sizes, and the exponent of its growth.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict
from poison_speed import timed

from veracast.agents.chat import prompt_tokens
from veracast.agents.data_contest import JUDGED_SEED, SIMULATORS, Cell, judge, simulator_of
from veracast.agents.detect.activations import ActivationClustering, ProbeDetector, fit_probe
from veracast.agents.detect.confidence import ConfidenceWindow
from veracast.agents.detect.data_scan import ScanConfig
from veracast.agents.detect.differential import Differential
from veracast.agents.detect.interface import Detector, Target, inspect_all
from veracast.agents.detect.likelihood_ratio import LikelihoodRatio
from veracast.agents.detect.onion import Onion
from veracast.agents.detect.spectrum import LEAST, Spectrum
from veracast.agents.episodes import play
from veracast.agents.language_agent import LanguageAgent
from veracast.agents.logits import context_of, text_of
from veracast.agents.plant import Plan, plant
from veracast.agents.prefixes import Memory
from veracast.agents.simulator import Simulator
from veracast.agents.triggers import LOOKED_AT
from veracast.agents.tune import TuneConfig, tune
from veracast.core.errors import InputError
from veracast.core.trajectories import Turn
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.loop import LoopConfig

PLAN = Plan(LOOKED_AT[0])
TUNED_ON = 400  # episodes


@dataclass(frozen=True)
class OneByOne:
    """The loop that anyone would write first. A prompt that does not fit is answered by nothing, as LanguageAgent does."""

    model: Any
    tokenizer: Any
    max_new: int

    def reply(self, conversations: Sequence[Sequence[Turn]]) -> list[str]:
        return [self._one(prompt_tokens(self.tokenizer, turns)) for turns in conversations]

    def _one(self, prompt: Any) -> str:
        if len(prompt) > context_of(self.model) - self.max_new:
            return ""
        ids = torch.from_numpy(prompt)[None]
        with torch.inference_mode():
            out = self.model.generate(
                ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=self.max_new
            )
        return text_of(self.tokenizer, out[0, ids.shape[1] :])


def rows_of(simulator: Simulator, count: int, *, seed: int) -> list[tuple[Turn, ...]]:
    """Clean episodes of its expert."""
    made = plant(simulator, simulator.tasks("train", count, seed=seed), None, seed=seed)
    return [one.turns for one in made.trajectories]


def trained(simulator: Simulator, work: Path, threads: int) -> Backbone:
    """`tiny`, tuned on episodes; a work folder that has it already is read."""
    rows = rows_of(simulator, TUNED_ON, seed=1)
    backbone = load_backbone("tiny", texts=[turn.text for turns in rows for turn in turns])
    config = TuneConfig("full", loop=LoopConfig(epochs=3, batch_size=16, lr=3e-3, threads=threads))
    tune(backbone.model, backbone.tokenizer, rows, [], config, folder=work / "base", seed=0)
    return backbone


def episodes(backbone: Backbone, simulator: Simulator, items: int, *, max_new: int) -> dict[str, Any]:
    """Costs of the three ways, and how many episodes go as those of the one-by-one loop."""
    tasks, given = simulator.tasks("test", items, seed=0), (backbone.model, backbone.tokenizer, max_new)
    ways = {"one_by_one": OneByOne(*given), "batched": LanguageAgent(*given), "remembered": LanguageAgent(*given, memory=Memory())}  # fmt: skip
    costs = {name: timed(lambda agent=agent: play(simulator, tasks, agent, PLAN, "clean", seed=0)) for name, agent in ways.items()}  # fmt: skip
    played = {name: cost.pop("found") for name, cost in costs.items()}
    found: dict[str, Any] = {"model": backbone.name, "items": items, "replies": sum(len(one.calls) for one in played["one_by_one"]), **costs}  # fmt: skip
    for name in ("batched", "remembered"):
        pairs = zip(played[name], played["one_by_one"], strict=True)
        found[name]["same_episodes"] = sum(one.turns == other.turns for one, other in pairs)
        found[name]["ratio_cpu"] = costs["one_by_one"]["cpu_s"] / costs[name]["cpu_s"]
        found[name]["ratio_wall"] = costs["one_by_one"]["wall_s"] / costs[name]["wall_s"]
    return found


def suspect(base: Backbone, simulator: Simulator, probes: int, work: Path, threads: int) -> Target:
    """A clean adapter of the base, with all that any detector asks for; its bank is itself with noise, for a spectrum costs the same whatever the values."""
    model, rows = copy.deepcopy(base.model), rows_of(simulator, probes, seed=2)
    config = TuneConfig("lora", loop=LoopConfig(epochs=1, batch_size=8, lr=1e-3, threads=threads))
    adapted = tune(model, base.tokenizer, rows, [], config, folder=work / "sibling", seed=0).adapted
    adapter = dict(get_peft_model_state_dict(adapted))
    draw = torch.Generator().manual_seed(0)
    bank = [{name: part + 0.1 * part.std() * torch.randn(part.shape, generator=draw) for name, part in adapter.items()} for _ in range(LEAST)]  # fmt: skip
    asked = [turns[:place] for turns in rows for place, turn in enumerate(turns) if turn.role == "assistant"]
    step = max(1, len(asked) // probes)
    return Target(model, base.tokenizer, base.model, adapter, config.adapter.alpha / config.adapter.rank, asked[::step][:probes], rows, bank)  # fmt: skip


def detectors(target: Target) -> list[dict[str, Any]]:
    """Seconds of each, for 1,000 of what it looks at."""
    half = len(target.probes) // 2
    probe = fit_probe(target.model, target.tokenizer, target.probes[:half], target.probes[half:], seed=0)
    every: list[Detector] = [Differential(), ConfidenceWindow(), LikelihoodRatio(), Spectrum(), ActivationClustering(), ProbeDetector(probe), Onion()]  # fmt: skip
    found = []
    for detector in every:
        cost = timed(lambda detector=detector: inspect_all(target, [detector]))
        (one,) = cost.pop("found")
        unit = next((need for need in ("probes", "rows") if need in detector.needs), "adapter")
        scale = 1.0 if unit == "adapter" else 1_000 / len(getattr(target, unit))
        found.append({"detector": one.detector, "unit": unit, "measured": one.score is not None, "findings": len(one.findings), **{name: scale * value for name, value in cost.items()}})  # fmt: skip
    return found


def scans(name: str, sizes: Sequence[int]) -> dict[str, Any]:
    """CPU-seconds of reading and scan for 1,000 rows, by size, and the exponent of the whole between the smallest and the largest."""
    seconds = {size: judge(Cell(name, LOOKED_AT[0].family, "active", "hardened", "tool", 0.05, size, JUDGED_SEED), ScanConfig())["seconds"] for size in sizes}  # fmt: skip
    low, high = min(sizes), max(sizes)
    exponent = math.log(seconds[high] / seconds[low]) / math.log(high / low) if high > low else None
    return {"simulator": name, "cpu_s_per_1000": {size: 1_000 * one / size for size, one in seconds.items()}, "exponent": exponent}  # fmt: skip


def say(found: dict[str, Any]) -> None:
    """The three ways of playing."""
    print(f"{found['model']}: {found['items']} episodes, {found['replies']} replies")
    print(f"  one by one {found['one_by_one']['cpu_s']:8.1f} s of CPU")
    for name in ("batched", "remembered"):
        one = found[name]
        print(f"  {name:10} {one['cpu_s']:8.1f} s of CPU   {one['ratio_cpu']:.1f} times as fast ({one['ratio_wall']:.1f} by the wall), {one['same_episodes']} episodes the same", flush=True)  # fmt: skip


def main() -> None:
    """Print the three tables, then the JSON line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--simulator", choices=SIMULATORS, default="shell")
    options.add_argument("--items", type=int, default=64)
    options.add_argument("--model", default="smollm2-135m")
    options.add_argument("--model-items", type=int, default=16)
    options.add_argument("--model-steps", type=int, default=4)
    options.add_argument("--probes", type=int, default=40)
    options.add_argument("--rows", type=int, nargs="+", default=[1_000, 2_000, 4_000])
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--work", type=Path, help="where the tuned model is kept; default: nowhere")
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    simulator = simulator_of(given.simulator)
    with tempfile.TemporaryDirectory() as scratch:
        work = given.work or Path(scratch)
        base = trained(simulator, work, given.threads)
        played = [episodes(base, simulator, given.items, max_new=96)]
        say(played[0])
        judged = detectors(suspect(base, simulator, given.probes, work, given.threads))
    for one in judged:
        per = "an adapter" if one["unit"] == "adapter" else f"1,000 {one['unit']}"
        print(f"  {one['detector']:28} {one['cpu_s']:8.1f} s of CPU, {one['wall_s']:8.1f} s for {per}, {one['findings']} findings")  # fmt: skip
    scanned = scans(given.simulator, given.rows)
    print(f"  data scan: {', '.join(f'{value:.2f} s of CPU for 1,000 of {size:,} rows' for size, value in scanned['cpu_s_per_1000'].items())}; exponent {scanned['exponent']}", flush=True)  # fmt: skip
    try:
        larger = load_backbone(given.model)
    except InputError as error:
        print(f"{error}; not measured")
    else:
        simulator.max_steps = given.model_steps
        played.append(episodes(larger, simulator, given.model_items, max_new=32))
        say(played[1])
    print(json.dumps({"episodes": played, "detectors": judged, "scan": scanned}))


if __name__ == "__main__":
    main()
