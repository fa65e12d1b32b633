"""Pictures for a vision-language backbone of the Qwen2-VL kind: patches in the layout that its vision tower reads.

The processor is transformers' own, in its PIL variant (the torch variant wants torchvision). Every picture is first made
a square of `tokens` x `tokens` image tokens, so that all prompts of a template have the same shape.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor


class Pictures(NamedTuple):
    """patches (all patches, channels x time x height x width), grid (pictures, 3): time, height, width in patches."""

    patches: Float[Tensor, "patches dim"]
    grid: Int[Tensor, "pictures 3"]


class PictureReader:
    """JPEG bytes -> patches, for the vision config of one backbone. tokens: image tokens along a side of a picture."""

    def __init__(self, vision: Any, *, tokens: int = 4) -> None:
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        self.side = tokens * vision.patch_size * vision.spatial_merge_size
        self.per_picture = tokens * tokens
        size = {"shortest_edge": self.side**2, "longest_edge": self.side**2}
        self.processor = Qwen2VLImageProcessorPil(
            size=size, patch_size=vision.patch_size, temporal_patch_size=vision.temporal_patch_size, merge_size=vision.spatial_merge_size
        )  # fmt: skip

    def read(self, jpegs: Sequence[bytes]) -> Pictures:
        """Patches of pictures, one after the other."""
        if not jpegs:
            return Pictures(torch.zeros(0, 0), torch.zeros(0, 3, dtype=torch.long))
        images = [self._square(data) for data in jpegs]
        found = self.processor(images=images, return_tensors="pt")
        return Pictures(found["pixel_values"].float(), found["image_grid_thw"].long())

    def _square(self, data: bytes) -> Image.Image:
        with Image.open(io.BytesIO(data)) as picture:
            return picture.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC)


def together(parts: Sequence[Pictures]) -> Pictures | None:
    """The pictures of several prompts, in their order; None where there are none."""
    kept = [part for part in parts if len(part.grid)]
    if not kept:
        return None
    return Pictures(torch.cat([part.patches for part in kept]), torch.cat([part.grid for part in kept]))
