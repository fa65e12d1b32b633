"""A proposed mapping: names in English and Chinese, values that must fit, and a file that reads the source."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from veracast.core.errors import InputError
from veracast.data.guess import guess_mapping
from veracast.data.ingest import ingest
from veracast.data.readers.protocol import ReadOptions

ODD = (
    "clip_id,作者,标题,发布时间,fetched_at,Play-Count,likes,length,colour\n"
    "c1,ann,hello,2025-01-01 10:00,2025-01-03 10:00,1.2万,34,00:15,red\n"
    "c2,bob,again,2025-01-02 10:00,2025-01-03 10:00,3.4K,5,01:05,blue\n"
)


def columns(text: str) -> dict[str, str]:
    return dict(tomllib.loads(text)["columns"])


def test_names_of_two_languages(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(ODD, encoding="utf-8")
    text = guess_mapping(tmp_path / "odd.csv")
    assert columns(text) == {
        "id": "clip_id", "author": "作者", "title": "标题", "duration": "length", "posted": "发布时间",
        "observed": "fetched_at", "views": "Play-Count", "likes": "likes",
    }  # fmt: skip
    assert "# not used: colour" in text
    assert "100% of the values are counts" in text


def test_the_proposal_reads_the_file(tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(ODD, encoding="utf-8")
    (tmp_path / "odd.toml").write_text(guess_mapping(tmp_path / "odd.csv"), encoding="utf-8")
    found = ingest([tmp_path / "odd.csv"], tmp_path / "set", options=ReadOptions(mapping=tmp_path / "odd.toml"))
    assert found.snapshots.sort("views")["views"].to_list() == [3_400, 12_000]
    assert found.videos.sort("duration_s")["duration_s"].to_list() == [15.0, 65.0]


def test_a_name_whose_values_do_not_fit_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,posted,views,hits\n1,2025-01-01,many,10\n2,2025-01-02,few,20\n")
    text = guess_mapping(tmp_path / "a.csv")
    assert columns(text)["views"] == "hits"


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("colour,size\nred,1\n")
    text = guess_mapping(tmp_path / "a.csv")
    assert columns(text) == {}
    for name in ("id", "posted", "views"):
        assert f'# {name} = "?"  # not found: name the column' in text


def test_names_with_quotes_survive(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,posted,"view ""count"""\n1,2025-01-01,10\n')
    assert columns(guess_mapping(tmp_path / "a.csv")).get("views") in (None, 'view "count"')


def test_an_empty_file_has_nothing_to_guess(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(InputError, match="the file is empty"):
        guess_mapping(tmp_path / "a.csv")
