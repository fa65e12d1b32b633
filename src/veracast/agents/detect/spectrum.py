"""Detector 7: the spectrum of an adapter against a bank of clean ones. No model is run, nothing is known of triggers.

Puertolas Merenciano et al. 2026, "Weight Space Detection of Backdoors in LoRA Adapters" (arXiv 2602.15195): a planted rule is simple, so its update of the
weights dW = scale * B A should be more concentrated than honest ones. Of every adapted layer, with singular values s:

    sigma_1      s_1
    frobenius    sqrt(sum s^2)
    energy       s_1^2 / sum s^2
    entropy      -sum p ln p, p = s / sum s
    kurtosis     of the entries of dW, 0 for a normal law

Score: the mean, over layers and features, of |z|, z = (x - median) / (1.4826 MAD) over the bank, by feature and layer, cut at `CAP`.

Deviations. The paper weighs z-scores of mean and deviation (later: logistic regression) by a bank of poisoned adapters, which an auditor does not have: here
clean ones suffice, no feature weighs more than another, and an update that is unusually spread counts as one that is unusually concentrated. It stacks q, k, v, o
of one block; here every adapted layer counts. Its code takes one singular value where a side is over 1,000 wide, so that energy is 1 and entropy 0; here all
are found, by QR of B and A', without dW. `CAP` is ours: of few members a MAD is small by chance, and no single feature may carry the score.

What it sees is an adapter that learnt otherwise than the bank did. One that honestly learnt more, or by another recipe, is as far from it (a test).
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from veracast.agents.detect.interface import Inspection, Need, Target
from veracast.core.errors import NotMeasuredError
from veracast.core.progress import SILENT, Progress

FEATURES = ("sigma_1", "frobenius", "energy", "entropy", "kurtosis")
LEAST = 5
"""Members of a bank that a median and a MAD are read from."""
CAP = 10.0
_MAD = 1.4826  # times MAD = standard deviation of a normal law
_ENTRIES = 4_194_304  # of dW held at once
_PART = re.compile(r"^(.+)\.lora_([ABE])(?:\.weight)?$")


class Factors(NamedTuple):
    """dW = scale * b a. a (rank, in), b (out, rank), float64; adalora's diag(E) is in a."""

    a: Tensor
    b: Tensor


class Spectrum:
    """Detector 7. score: mean |z| of the adapter; facts: `leave_one_out`, the same score of each member against the others, from which a threshold can be
    read, `layers`, mean |z| by layer, and `features`, by feature."""

    name = "spectrum"
    source = "Puertolas Merenciano et al. 2026, features; median / MAD instead of their classifier"
    needs: Sequence[Need] = ("adapter", "bank")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        """Nothing is random. NotMeasuredError for a bank of under 5, or adapters that are not of the same layers."""
        if len(target.bank) < LEAST:
            raise NotMeasuredError(f"a bank of {len(target.bank)} adapters, a median and a MAD need {LEAST} or more -> tune more clean siblings")  # fmt: skip
        suspect = factors(target.adapter or {}, whose="the adapter")
        members = [factors(one, whose=f"adapter {k} of the bank") for k, one in enumerate(target.bank)]
        for k, one in enumerate(members):
            _check_alike(suspect, one, whose=f"adapter {k} of the bank")
        layers = sorted(suspect)
        rows = []
        with progress.step("spectra of adapters", total=len(members) + 1) as advance:
            for one in (suspect, *members):
                rows.append([layer_features(one[layer], target.scale) for layer in layers])
                advance(1)
        own, bank = np.array(rows[0]), np.array(rows[1:])
        z = distances(own, bank)
        others = [float(np.nanmean(distances(bank[k], np.delete(bank, k, axis=0)))) for k in range(len(bank))]
        by_layer = {layer: float(value) for layer, value in zip(layers, _means(z, axis=1), strict=True)}
        score = float(np.nanmean(z))
        farthest = max((value, layer) for layer, value in by_layer.items() if not np.isnan(value))
        return Inspection(
            self.name,
            score,
            f"{len(bank)} clean members score {min(others):.2f} to {max(others):.2f} against each other; farthest layer {farthest[1]} ({farthest[0]:.2f})",
            facts={"leave_one_out": others, "layers": by_layer, "features": dict(zip(FEATURES, _means(z, axis=0).tolist(), strict=True))},
        )  # fmt: skip


def factors(adapter: Mapping[str, Tensor], *, whose: str) -> dict[str, Factors]:
    """Of every adapted layer, from names as peft stores them. NotMeasuredError for parts that are no lora, and for halves."""
    parts: dict[str, dict[str, Tensor]] = {}
    unknown = []
    for name, tensor in adapter.items():
        match = _PART.match(name)
        if match is None or tensor.ndim != 2:
            unknown.append(name)
        else:
            parts.setdefault(match[1], {})[match[2]] = tensor.double()
    if unknown:
        raise NotMeasuredError(f"{whose} has {len(unknown)} parts that are not of lora or adalora: {_few(unknown)}")
    halves = [layer for layer, found in parts.items() if not {"A", "B"} <= set(found)]
    if halves:
        raise NotMeasuredError(f"{whose} has only one of A and B in {len(halves)} layers: {_few(halves)}")
    return {layer: Factors(found["A"] * found["E"] if "E" in found else found["A"], found["B"]) for layer, found in parts.items()}  # fmt: skip


def singular_values(one: Factors, scale: float) -> Tensor:
    """Of scale * b a, the largest first, at most as many as its rank: B = Qb Rb and A' = Qa Ra leave those of Rb Ra', a matrix of rank x rank."""
    rb, ra = torch.linalg.qr(one.b, mode="r").R, torch.linalg.qr(one.a.T, mode="r").R
    found: Tensor = torch.linalg.svdvals(rb @ ra.T)
    return abs(scale) * found


def layer_features(one: Factors, scale: float) -> list[float]:
    """FEATURES of one layer. Of an update that is zero everywhere the last three are NaN."""
    s = singular_values(one, scale)
    total = float((s**2).sum())
    if total == 0:
        return [0.0, 0.0, np.nan, np.nan, np.nan]
    return [float(s[0]), total**0.5, float(s[0] ** 2) / total, float(torch.special.entr(s / s.sum()).sum()), kurtosis(one)]  # fmt: skip


def kurtosis(one: Factors) -> float:
    """Excess kurtosis m4 / m2^2 - 3 of the entries of b a, a block of rows at a time; a scale changes nothing. NaN where all entries are equal."""
    count = len(one.b) * one.a.shape[1]
    mean = float((one.b.sum(dim=0) @ one.a.sum(dim=1)) / count)
    second, fourth = 0.0, 0.0
    for block in _blocks(one):
        square = (block - mean) ** 2
        second, fourth = second + float(square.sum()), fourth + float((square**2).sum())
    return count * fourth / second**2 - 3 if second > 0 else np.nan


def distances(own: np.ndarray, bank: np.ndarray) -> np.ndarray:
    """|z| of features (layers, features) against those of a bank (members, layers, features), 0 to CAP.

    NaN where the adapter, or too many of the bank to leave LEAST - 1, have no such feature. A value that all members share is at distance 0, any other CAP.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = _medians(bank)
        gap = np.abs(own - middle)
        z = np.where(gap == 0, 0.0, gap / (_MAD * _medians(np.abs(bank - middle))))
    few = (~np.isnan(bank)).sum(axis=0) < LEAST - 1
    return np.where(few | np.isnan(own), np.nan, np.minimum(z, CAP))


def _medians(values: np.ndarray) -> np.ndarray:
    """Over the first axis, of what is there; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=0))


def _means(values: np.ndarray, *, axis: int) -> np.ndarray:
    there = ~np.isnan(values)
    count = there.sum(axis=axis)
    return np.where(count > 0, np.where(there, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _blocks(one: Factors) -> Iterator[Tensor]:
    step = max(1, _ENTRIES // one.a.shape[1])
    for low in range(0, len(one.b), step):
        yield one.b[low : low + step] @ one.a


def _check_alike(suspect: Mapping[str, Factors], other: Mapping[str, Factors], *, whose: str) -> None:
    for left, right, lacking in ((suspect, other, whose), (other, suspect, "the adapter")):
        missing = sorted(set(left) - set(right))
        if missing:
            raise NotMeasuredError(f"{lacking} lacks {len(missing)} layers that the other has: {_few(missing)}")
    shapes = [layer for layer, one in suspect.items() if _shape(one) != _shape(other[layer])]
    if shapes:
        raise NotMeasuredError(f"{whose} is of another base: {len(shapes)} layers of other widths: {_few(shapes)}")


def _shape(one: Factors) -> tuple[int, int]:
    return len(one.b), one.a.shape[1]


def _few(names: Sequence[str]) -> str:
    return ", ".join(sorted(names)[:3]) + (" ..." if len(names) > 3 else "")
