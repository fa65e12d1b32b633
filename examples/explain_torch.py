"""Explain a PyTorch classifier of a picture and a text: it fires where a bright square stands in the picture and the text says so."""

import numpy as np
import torch
from torch import nn

from veracast.explain.item import explain_item
from veracast.explain.told import lines
from veracast.explain.units import Frames, Words

WORDS = ["square", "circle", "look", "here", "now"]


def tensors(pictures, texts):
    """Channels first; which words are there."""
    held = [[float(word in text.split()) for word in WORDS] for text in texts]
    return torch.tensor(np.array(pictures)).permute(0, 3, 1, 2).float(), torch.tensor(held)


def main():
    rng, _ = np.random.default_rng(0), torch.manual_seed(0)
    pictures, texts = rng.uniform(0, 0.3, (256, 16, 16, 3)), [" ".join(rng.choice(WORDS, 3, replace=False)) for _ in range(256)]  # fmt: skip
    pictures[::2, 2:8, 8:14] = 1.0
    truth = torch.tensor([k % 2 == 0 and "square" in text for k, text in enumerate(texts)]).float()
    see = nn.Sequential(nn.Conv2d(3, 8, 5), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(8, 1), nn.Sigmoid())  # fmt: skip
    read, (seen, held) = nn.Sequential(nn.Linear(5, 1), nn.Sigmoid()), tensors(pictures, texts)
    optimizer = torch.optim.Adam([*see.parameters(), *read.parameters()], lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy((see(seen) * read(held))[:, 0], truth).backward()
        optimizer.step()

    @torch.no_grad()
    def score(items):
        one, other = tensors([item["frames"][0] for item in items] or np.zeros((0, 16, 16, 3)), [item["text"] for item in items])  # fmt: skip
        return (see(one) * read(other.reshape(-1, 5)))[:, 0].numpy()

    item = {"frames": pictures[:1], "text": "look square now"}
    return list(lines(explain_item(score, item, [Frames(rows=2, columns=2), Words()], unit="probability")))


if __name__ == "__main__":
    print("\n".join(main()))
