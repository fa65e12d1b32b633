"""FSDP2 around the language model: the loss of one process, whatever is frozen, in bf16, recomputed or shown to some rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.models.test_loop import CONFIG, Line, model
from veracast.models.loop import _Step
from veracast.models.sharding import Whole, spread

TASK = """
import json, sys
from pathlib import Path
import numpy as np, torch
from torch.distributed.tensor import DTensor
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from tests.models.conftest import TEXTS, facts_of
from veracast.models.backbones import Backbone, load_backbone
from veracast.models.checkpoints import weights_digest
from veracast.models.graph_language import GraphLanguageModel, Lora, Source, collate
from veracast.models.loop import LoopConfig, LossSum, _Run, fit
from veracast.models.pictures import Pictures, together
from veracast.models.processes import joined, rank
from veracast.models.prompts import Slots, template
from veracast.models.tokenizer import VISION_TOKENS, train_tokenizer

kind, folder = sys.argv[1], Path(sys.argv[2])
PICTURED = train_tokenizer(TEXTS, more=(*VISION_TOKENS, "<|video_pad|>"))
IDS = {f"{name}_token_id": PICTURED.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
IDS |= {f"{name}_token_id": PICTURED.convert_tokens_to_ids(f"<|{name}_pad|>") for name in ("image", "video")}
sizes = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2)


def backbone(kind):
    if kind != "vision":
        return load_backbone("tiny", texts=TEXTS, seed=1)
    torch.manual_seed(4)
    words = PICTURED
    text = dict(sizes, vocab_size=len(words), rope_parameters={"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]})
    tower = dict(depth=2, embed_dim=32, hidden_size=32, num_heads=2, patch_size=4, mlp_ratio=2, in_channels=3)
    model = Qwen2VLForConditionalGeneration(Qwen2VLConfig(text_config=text, vision_config=tower, **IDS)).eval()
    return Backbone("v", model, words, "vision")


class Says:
    '''Twelve prompts, the level as text; of "vision" only the even ones have a picture.'''

    def __init__(self, base):
        vision = base.kind == "vision"
        made = template(base.tokenizer, system="s", question="q", slots=Slots(graph=2, image=4 if vision else 0))
        counts = [1 - i % 2 for i in range(12)] if vision else None
        self.encoded = made.encode(facts_of(12), answers=[str(i % 10) for i in range(12)], pictures=counts)
        draw = torch.Generator().manual_seed(0)
        self.soft = torch.randn(12, 3, generator=draw)
        shape = (16, 3 * 2 * 4 * 4)
        nothing = Pictures(torch.zeros(0, 0), torch.zeros(0, 3, dtype=torch.long))
        shown = [Pictures(torch.randn(shape, generator=draw), torch.tensor([[1, 4, 4]])) for _ in range(12)]
        self.pictures = [p if i % 2 == 0 else nothing for i, p in enumerate(shown)] if vision else None

    def loss(self, net, rows):
        shown = together([self.pictures[i] for i in rows]) if self.pictures else None
        batch = collate([self.encoded[i] for i in rows], {"graph": self.soft[rows]}, pictures=shown)
        return LossSum(*net.answer_loss(batch))

    def validation_loss(self, net):
        found = self.loss(net, np.arange(8, 12))
        return found.loss.item() / found.weight


with joined():
    base = backbone(kind)
    torch.manual_seed(2)
    tuning, precision = ("full", "fp32") if kind == "full" else ("lora", "bf16" if kind == "bf16" else "fp32")
    net = GraphLanguageModel(base, {"graph": Source(3, 2)}, tuning=tuning, lora=Lora(dropout=0.0), precision=precision)
    if kind in ("full", "bf16"):
        net.recompute()
    frozen = weights_digest({n: p for n, p in net.named_parameters() if not p.requires_grad})
    config = LoopConfig(epochs=2, batch_size=5, micro_batch=1, lr=1e-2, weight_decay=0.1, clip_norm=0.5, evaluate_every=1, sharding="fsdp")
    run = {}
    whole = sum(p.numel() for p in net.parameters())
    started = _Run.go

    def watched(self, advance):
        # what lies in this process while it trains: its share of every weight, frozen ones too, and a hollow original
        run["here"] = sum(p.to_local().numel() if isinstance(p, DTensor) else p.numel() for p in self.model.parameters())
        run["given"] = sum(p.numel() for p in self.given.parameters())
        started(self, advance)

    _Run.go = watched
    found = fit(net, Says(base), 12, config, folder=folder, stage="s", seed=0)
    after = weights_digest({n: p for n, p in net.named_parameters() if not p.requires_grad})
    plain = not any(isinstance(p, DTensor) for p in net.parameters())
    with torch.no_grad():
        said = float(Says(base).validation_loss(net.eval()))
    if rank() == 0:
        print(json.dumps({"loss": found.curve["loss"].to_list(), "frozen": [frozen, after], "plain": plain, "said": said, "whole": whole, "best": found.best_loss, **run}))
"""


def told(folder: Path, kind: str, processes: int) -> dict[str, object]:
    script = folder / "task.py"
    script.write_text(TASK)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    root = Path(__file__).parents[2]
    places = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [*launch, str(script), kind, str(folder / str(processes))], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": places},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, object] = json.loads(done.stdout[done.stdout.index("{") :])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "within"), [("full", 1e-5), ("lora", 1e-5), ("vision", 1e-5), ("bf16", 2e-2)])
def test_a_sharded_language_model_learns_as_a_whole_one(tmp_path: Path, kind: str, within: float) -> None:
    """bf16 products round by the shape of a batch, so that only a tolerance of that precision can be asked for there."""
    one, two = told(tmp_path, kind, 1), told(tmp_path, kind, 2)
    np.testing.assert_allclose(two["loss"], one["loss"], atol=within, rtol=0)
    assert one["loss"][0] != one["loss"][2]  # it learnt something
    assert two["frozen"][0] == two["frozen"][1] == one["frozen"][0]
    assert two["plain"] and abs(two["said"] - two["best"]) < within  # whole again, with the best weights
    assert two["given"] == 0 and 0.5 * two["whole"] <= two["here"] < 0.52 * two["whole"]


def test_one_process_needs_no_sharding() -> None:
    net = model()
    found = spread(_Step(net, Line()), "fsdp")
    assert isinstance(found, Whole) and found.model is net and (found.rank, found.world) == (0, 1)
    tensor = torch.ones(2)
    assert found.placed("x", tensor) is tensor and found.whole({"x": tensor})["x"] is tensor
    assert CONFIG.sharding == "ddp"
