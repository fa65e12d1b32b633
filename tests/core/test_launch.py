"""What torchrun's variables mean, and what is told where they mean nothing."""

from __future__ import annotations

import pytest

from veracast.core.errors import ConfigError
from veracast.core.launch import Launch, launch


def given(patch: pytest.MonkeyPatch, **values: str) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        patch.delenv(name, raising=False)
    for name, value in values.items():
        patch.setenv(name, value)


def test_a_process_of_torchrun_knows_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, RANK="5", WORLD_SIZE="8", LOCAL_RANK="1")
    assert launch() == Launch(rank=5, world=8, local=1) and not launch().first


@pytest.mark.parametrize("values", [{}, {"WORLD_SIZE": "4"}, {"RANK": "3"}])
def test_without_torchrun_it_is_alone(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    given(monkeypatch, **values)
    assert launch() == Launch(rank=0, world=1, local=0) and launch().first


@pytest.mark.parametrize(
    ("rank", "world", "told"),
    [("x", "2", "RANK=x.*expected whole numbers"), ("2", "2", "expected 0 <= RANK < WORLD_SIZE"), ("0", "0", "expected 0 <=")],
)  # fmt: skip
def test_variables_that_make_no_sense_are_named(
    monkeypatch: pytest.MonkeyPatch, rank: str, world: str, told: str
) -> None:
    given(monkeypatch, RANK=rank, WORLD_SIZE=world, LOCAL_RANK="0")
    with pytest.raises(ConfigError, match=told):
        launch()
