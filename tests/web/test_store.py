"""The index follows the folder: new, changed, removed and damaged records; who cites whom; names are looked up."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from veracast.core.files import sha256_file
from veracast.core.records import Finding, RunWriter
from veracast.web.refusals import Refusal
from veracast.web.store import Store


def record(folder: Path, kind: str = "run", *, verdict: str = "v", cites: Path | None = None) -> None:
    with RunWriter(kind, folder, config={}, seed=0) as writer:
        if cites:
            writer.input(cites / "record.json", of="run")
        writer.finish(status="ok", verdict=verdict, counts={"open": 4, "video_id": ["not", "text"]})


def store(root: Path) -> Store:
    found = Store(root, record_bytes=1 << 20)
    found.refresh(now=True)
    return found


def test_only_what_changed_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a")
    record(tmp_path / "b")
    found, read = store(tmp_path), []
    original = Store._read
    monkeypatch.setattr(Store, "_read", lambda self, name, size: read.append(name) or original(self, name, size))
    found.refresh(now=True)
    assert read == []
    record(tmp_path / "b", verdict="another verdict")
    record(tmp_path / "c")
    found.refresh(now=True)
    assert sorted(read) == ["b", "c"] and found.get("b").verdict == "another verdict"
    shutil.rmtree(tmp_path / "a")
    found.refresh(now=True)
    assert [entry.id for entry in found.entries()] == ["c", "b"]
    with pytest.raises(Refusal, match="There is no run called “a”"):
        found.get("a")


def test_an_entry_holds_what_a_list_shows(tmp_path: Path) -> None:
    record(tmp_path / "a")
    entry = store(tmp_path).get("a")
    assert (entry.kind, entry.open, entry.video_id, entry.digest) == ("run", 4, None, sha256_file(tmp_path / "a" / "record.json"))  # fmt: skip


def test_citations_are_found_by_digest_and_by_model(tmp_path: Path) -> None:
    record(tmp_path / "a")
    (tmp_path / "a" / "model").mkdir()
    (tmp_path / "a" / "model" / "model.json").write_text("{}")
    record(tmp_path / "e", "explain", cites=tmp_path / "a")
    with RunWriter("card", tmp_path / "c", config={}, seed=0) as writer:
        writer.input(tmp_path / "a" / "model" / "model.json")
        writer.finish(status="ok", verdict="v", counts={})
    record(tmp_path / "other")
    found = store(tmp_path)
    assert [entry.id for entry in found.citing(found.get("a"))] == ["c", "e"]
    assert found.citing(found.get("other")) == []
    assert [entry.id for entry in found.cited(found.get("e").cites)] == ["a"]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "not a record"),
        ("[]", "not a record"),
        ('{"kind": 1}', "not a record"),
        ("\xff\xfe", "not a record"),
        ("[" * 100_000, "not a record"),
        (json.dumps({"kind": "run", "status": "ok", "verdict": "", "started_at": "", "ended_at": "", "schema_version": 9}), "version 9"),
        (json.dumps({"kind": "run", "status": "fine", "verdict": "", "started_at": "", "ended_at": "", "schema_version": 1}), "'fine'"),
        (" " * (1 << 21), "2,097,152 bytes, at most 1,048,576 are read"),
    ],
)  # fmt: skip
def test_a_damaged_record_is_told_and_the_others_are_listed(tmp_path: Path, body: str, why: str) -> None:
    record(tmp_path / "good")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "record.json").write_text(body, encoding="latin-1")
    found = store(tmp_path)
    listing = found.listing()
    assert [entry.id for entry in listing.entries] == ["good"] and [name for name, _ in listing.damaged] == ["bad"]
    with pytest.raises(Refusal, match="cannot be read") as caught:
        found.get("bad")
    assert why in caught.value.detail and caught.value.status == 422


@pytest.mark.parametrize("name", ["../good/record.json", "..", "/etc/passwd", "good", ".", "", "record.json/../record.json", "nothing"])  # fmt: skip
def test_a_name_that_is_no_file_of_the_record_is_nothing(tmp_path: Path, name: str) -> None:
    record(tmp_path / "good")
    found = store(tmp_path)
    with pytest.raises(Refusal, match="There is no file called"):
        found.file(found.get("good"), name)
    assert found.file(found.get("good"), "record.json") == (tmp_path / "good" / "record.json", "application/json")


def test_a_hidden_folder_and_one_without_a_record_are_no_runs(tmp_path: Path) -> None:
    record(tmp_path / ".hidden")
    (tmp_path / "empty").mkdir()
    assert store(tmp_path).entries() == [] and store(tmp_path / "none").entries() == []


def test_cards_with_findings_warn_what_used_their_model(tmp_path: Path) -> None:
    """The run that kept it, what was rated with it, and an explanation of either; not the audit, and not after the card is gone."""
    record(tmp_path / "a")
    (tmp_path / "a" / "model").mkdir()
    model = tmp_path / "a" / "model" / "model.json"
    model.write_text("{}")
    record(tmp_path / "e", "explain", cites=tmp_path / "a")
    for name, kind, status in (("c", "card", "findings"), ("clean", "card", "ok"), ("r", "rate", "ok"), ("i", "audit-images", "findings")):  # fmt: skip
        with RunWriter(kind, tmp_path / name, config={}, seed=0) as writer:
            writer.input(model)
            findings = [Finding("f", "high", "t", "e", {})] if status == "findings" else []
            writer.finish(status=status, verdict="v", counts={}, findings=findings)
    record(tmp_path / "other")
    found = store(tmp_path)
    assert {name: [card.id for card in found.warned(found.get(name))] for name in ("a", "e", "r", "i", "other", "c")} == {
        "a": ["c"], "e": ["c"], "r": ["c"], "i": [], "other": [], "c": [],
    }  # fmt: skip
    shutil.rmtree(tmp_path / "c")
    found.refresh(now=True)
    assert found.warned(found.get("r")) == []
