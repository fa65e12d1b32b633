"""Scores of siblings: computed once, and again where anything that decides them is another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.agents.test_adapters import saved
from veracast.agents.adapters import Adapter
from veracast.agents.detect.interface import Inspection, Need, Target
from veracast.agents.siblings import Asked, sibling_scores
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.trajectories import Turn
from veracast.models.backbones import load_backbone

CALLS: list[Target] = []


@dataclass(frozen=True)
class Ranks:
    """Scores the width of an adapter, times a factor."""

    factor: float = 1.0
    name: ClassVar[str] = "ranks"
    source: ClassVar[str] = "ours"
    needs: ClassVar[Sequence[Need]] = ("model", "reference", "adapter", "probes")

    def inspect(self, target: Target, *, seed: int = 0, progress: Progress = SILENT) -> Inspection:
        CALLS.append(target)
        return Inspection(self.name, self.factor * next(len(one) for key, one in (target.adapter or {}).items() if "lora_A" in key))  # fmt: skip


@dataclass(frozen=True)
class Blind(Ranks):
    name: ClassVar[str] = "blind"
    needs: ClassVar[Sequence[Need]] = ("rows",)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Asked:
    monkeypatch.setenv("VERACAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("veracast.agents.siblings._files", lambda detectors: [])
    CALLS.clear()
    base = load_backbone("tiny", texts=["a text of few words"] * 3, seed=0)
    target = Target(object(), base.tokenizer, reference=base.model, adapter={}, probes=[[Turn("user", "a")]], bank=[{}])
    return Asked(target, base, ("base", "probes", "rows"), (Ranks(), Blind()), 0)


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for rank in (2, 3):
        saved(tmp_path / f"rank{rank}", Adapter(rank=rank))
    return [tmp_path / "rank3", tmp_path / "rank2"]


def test_each_sibling_is_asked_once_with_its_own_model_and_adapter(asked: Asked, folders: list[Path]) -> None:
    found = sibling_scores(folders, asked)
    assert found == [{"ranks": 3.0, "blind": None}, {"ranks": 2.0, "blind": None}]
    assert all(one.model is not asked.base.model and one.reference is asked.base.model for one in CALLS)
    assert all(one.probes == asked.target.probes and not one.bank for one in CALLS)
    assert sibling_scores(folders[::-1], asked) == found[::-1]
    assert len(CALLS) == 2


@pytest.mark.parametrize("other", [{"digests": ("base", "other", "rows")}, {"detectors": (Ranks(2.0),)}, {"seed": 1}])
def test_what_decides_a_score_is_computed_again(other: dict[str, Any], asked: Asked, folders: list[Path]) -> None:
    sibling_scores(folders[:1], asked)
    sibling_scores(folders[:1], replace(asked, **other))
    assert len(CALLS) == 2


def test_other_code_computes_again(asked: Asked, folders: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    sibling_scores(folders[:1], asked)
    monkeypatch.setattr("veracast.agents.siblings.code_digest", lambda *files: "other")
    sibling_scores(folders[:1], asked)
    assert len(CALLS) == 2


def test_a_damaged_entry_is_named(asked: Asked, folders: list[Path], tmp_path: Path) -> None:
    sibling_scores(folders[:1], asked)
    (entry,) = (tmp_path / "cache" / "agent-siblings").iterdir()
    entry.write_text("{")
    with pytest.raises(InputError, match=r"is damaged .* delete it"):
        sibling_scores(folders[:1], asked)
