"""Configs: defaults, TOML, overrides, and all faults at once."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from veracast.core.config import load_config, to_dict
from veracast.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    depth: int = 3


@dataclass(frozen=True)
class Config:
    horizon_days: float = 7.0
    fans: Literal["off", "lagged"] = "off"
    raters: tuple[str, ...] = ("a",)
    as_of: dt.datetime | None = None
    out: Path = Path("runs")
    strict: bool = False
    inner: Inner = Inner()


def test_later_sources_win(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('horizon_days = 14\nfans = "lagged"\n[inner]\ndepth = 5\n')
    found = load_config(Config, file=file, overrides=["inner.depth=6", "raters=x, y"], given={"horizon_days": 3})
    assert found == Config(horizon_days=3.0, fans="lagged", raters=("x", "y"), inner=Inner(6))


@dataclass(frozen=True)
class Middle:
    inner: Inner = Inner(9)
    width: int = 1


@dataclass(frozen=True)
class Outer:
    middle: Middle = Middle(Inner(20), width=2)
    other: Inner | None = Inner(4)


def test_of_nested_configs_only_what_is_given_changes(tmp_path: Path) -> None:
    """What an outer config sets as the default of an inner one stays where the inner one is touched."""
    assert load_config(Outer, overrides=["middle.width=5"]) == Outer(Middle(Inner(20), width=5))
    assert load_config(Outer, overrides=["middle.inner.depth=7"]) == Outer(Middle(Inner(7), width=2))
    file = tmp_path / "c.toml"
    file.write_text("[middle.inner]\n[other]\n")
    assert load_config(Outer, file=file) == Outer()


def test_a_date_alone_is_the_end_of_that_day() -> None:
    assert load_config(Config, overrides=["as_of=2025-01-10"]).as_of == dt.datetime(
        2025, 1, 10, 23, 59, 59, tzinfo=dt.UTC
    )


def test_all_faults_are_told_at_once_with_the_nearest_key() -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(Config, overrides=["horizn_days=3", "fans=logged", "strict=perhaps", "nonsense", "inner.dept=1"])
    told = "\n".join(caught.value.faults)
    assert len(caught.value.faults) == 5
    assert "did you mean horizon_days?" in told
    assert "nearest: lagged" in told
    assert "expected true or false, got 'perhaps'" in told
    assert "'nonsense': expected key=value" in told
    assert "did you mean inner.depth?" in told


def test_a_config_survives_its_own_dict() -> None:
    config = Config(as_of=dt.datetime(2025, 1, 10, tzinfo=dt.UTC), raters=("x", "y"), inner=Inner(9))
    assert load_config(Config, given=to_dict(config)) == config
