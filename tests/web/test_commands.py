"""The command of each job, word for word; no value passes for an option."""

from __future__ import annotations

from pathlib import Path

import pytest

from veracast.web.commands import BY_NAME, TAKES_FILES, argv, checked, kind_of
from veracast.web.refusals import Refusal

RUNS, OUT = Path("/r"), Path("/r/new")


def words(kind: str, options: dict[str, str], *names: str, mapping: str | None = None) -> str:
    sources = [Path("/j/sources") / name for name in names]
    return " ".join(argv(BY_NAME[kind], options, runs=RUNS, out=OUT, sources=sources, mapping=Path(mapping) if mapping else None))  # fmt: skip


def test_every_kind_has_its_command() -> None:
    last = "--out=/r/new --json"
    assert words("run", {"horizon_days": "14", "alert_level": "5", "on_error": "skip", "audit": "whole"}, "a.csv", "b.csv", mapping="/j/m.toml") == (
        f"run /j/sources/a.csv /j/sources/b.csv --horizon-days=14 --set=alert_level=5 --on-error=skip --audit=whole --mapping=/j/m.toml {last}"
    )  # fmt: skip
    assert words("audit-agent-data", {}, "t.jsonl") == f"audit agent-data /j/sources/t.jsonl {last}"
    assert words("audit-images", {}, "t.tar") == f"audit images /j/sources/t.tar {last}"
    assert words("explain", {"run": "a", "video": "--help"}) == f"explain /r/a --video=--help {last}"
    assert words("explain-overall", {"run": "a"}) == f"explain /r/a --overall {last}"
    assert words("card", {"run": "a"}) == f"card /r/a --records=/r {last}"
    assert words("compare", {"a": "a", "b": "b"}) == f"runs compare /r/a /r/b {last}"
    assert [kind.name for kind in TAKES_FILES] == ["run", "audit-agent-data", "audit-images"]


def test_options_are_checked_and_empty_ones_left_out() -> None:
    given = {"as_of": "2025-01-10", "horizon_days": " 7.50 ", "alert_level": "0", "on_error": "", "timezone": "Asia/Ho_Chi_Minh", "observed_at": "2025-01-10T12:00", "audit": "miniature"}  # fmt: skip
    assert checked(BY_NAME["run"], given) == {"audit": "miniature", "as_of": "2025-01-10T00:00:00", "horizon_days": "7.5", "alert_level": "0", "timezone": "Asia/Ho_Chi_Minh", "observed_at": "2025-01-10T12:00:00"}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("as_of", "tomorrow"), ("as_of", "--help"), ("horizon_days", "0"), ("horizon_days", "-1"), ("horizon_days", "nan"), ("horizon_days", "inf"),
        ("horizon_days", "1e9"), ("alert_level", "10"), ("alert_level", "x"), ("on_error", "ignore"), ("audit", "--set=x"), ("timezone", "../etc/passwd"), ("observed_at", "x"),
        ("media", "/etc"), ("mapping", "/etc/passwd"), ("raters", "netgpt"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refusal) as caught:
        checked(BY_NAME["run"], {name: value})
    assert caught.value.status == 422 and caught.value.remedy


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Refusal, match="is no kind of job"):
        kind_of("rm")
