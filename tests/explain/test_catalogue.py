"""The packaged list against counts and places written out by hand, the survey's words, its source where that is at hand; searches with known answers."""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from veracast.core.errors import ConfigError
from veracast.explain import catalogue, units
from veracast.explain.catalogue import IMPLEMENTED, PACKAGED, SURVEY, Entry, entries, search
from veracast.explain.taxonomy import BY_ID

PLACES = {
    "visual/contribution/object": "MuRel VRANet VizWiz-VQA",
    "visual/contribution/grid": "FiLM ZS-SBIR",
    "visual/contribution/region-and-word": "InCrossMGs UnICLAM DIME MultiViz",
    "visual/relevance/text-frame": "X-Pool HBI",
    "visual/relevance/phrase-object": "SHAN IAIS SLAN",
    "visual/relevance/phrase-grid": "t-RNetAttn CRRN MMT",
    "textual/facts/generated": "NPN TAA VQA-E VQARC RAIC Img2LLM",
    "textual/facts/retrieved": "FVQA LKBR CKRM ECMRL",
    "textual/reasoning/concise-rationale": "Rationale_Transformer ViQAR",
    "textual/reasoning/chain-of-thought": "ScienceQA Multimodal-CoT T-SciQ",
    "textual/reasoning/self-questioning": "SOCRATIC",
    "graph/single-modal/scene": "LCGS ReGAT VSRN CFR",
    "graph/single-modal/knowledge-and-scene": "KM-net QAA",
    "graph/single-modal/text": "UnCoRd LG-Capsule",
    "graph/multi-modal/matching": "LCMCG HCGC CGMN",
    "graph/multi-modal/fusion": "KBGN Mucko CRLRR MuKEA",
    "symbol/logical-inference/probabilistic-soft": "PSLDVQ",
    "symbol/logical-inference/first-order": "MLIS LGREC SPACES LogicDM",
    "symbol/logical-inference/non-monotonic": "NLRIL",
    "symbol/logical-inference/propositional": "LOL",
    "symbol/program/specialised-modules": "NMN N2NMN NS-VQA SNMN NS3D",
    "symbol/program/meta-modules": "MNM ProTo",
    "symbol/program/hybrid-modules": "VisProg",
    "multimodal/independent/graph-and-text": "GoT",
    "multimodal/independent/graph-and-symbol": "XNMs",
    "multimodal/independent/visual-and-text": "PJ-X",
    "multimodal/joint/visual-and-text": "R2C FME REX",
}
SETS = {
    "visual": ["GridVQA-X"],
    "textual": ["FVQA", "VQA-E", "OK-VQA", "Mocheg", "ScienceQA", "HatReD", "WAX", "e-SNLI-VE", "MORE (MuSE)", "CLEVR-X", "MemeCap"],
    "graph": ["Visual Genome", "GQA", "KVQA"],
    "symbol": ["2D Minecraft"],
    "multimodal": ["GQA-REX", "VCR", "VQA-X", "ACT-X", "SME (FS-MEVQA)"],
}  # fmt: skip
MENDED = {
    "NPN": "authors", "FVQA": "authors", "CKRM": "authors", "GoT": "authors", "MLIS": "authors",
    "KM-net": "title", "MuKEA": "title", "Rationale Transformer": "title", "UnCoRd": "paper_url",
}  # fmt: skip
"""Where the packaged list differs from its source, other than in the words of a note."""


def names(found: list[Entry]) -> list[str]:
    return [entry.name for entry in found]


def one(name: str, kind: str = "method") -> Entry:
    return next(entry for entry in entries() if (entry.name, entry.kind) == (name, kind))


def test_69_methods_15_surveyed_and_6_later_data_sets() -> None:
    assert Counter((entry.kind, entry.in_survey) for entry in entries()) == {
        ("method", True): 69,
        ("dataset", True): 15,
        ("dataset", False): 6,
    }
    assert len({(entry.kind, entry.name) for entry in entries()}) == 90


def test_branches_have_the_surveys_counts() -> None:
    found = Counter((entry.kind, entry.branch) for entry in entries())
    assert [found["method", branch] for branch in catalogue.BRANCHES] == [17, 16, 15, 15, 6]
    assert [found["dataset", branch] for branch in catalogue.BRANCHES] == [1, 11, 3, 1, 5]


@pytest.mark.parametrize("leaf", PLACES)
def test_every_method_is_at_its_place(leaf: str) -> None:
    found = [entry for entry in entries() if entry.leaf == leaf]
    assert [entry.name.replace(" ", "_") for entry in found] == PLACES[leaf].split()
    assert {entry.branch for entry in found} == {BY_ID[leaf].branch}
    assert {entry.kind for entry in found} == {"method"}


def test_data_sets_have_a_branch_and_no_leaf() -> None:
    found = [entry for entry in entries() if entry.kind == "dataset"]
    assert {branch: [e.name for e in found if e.branch == branch] for branch in SETS} == SETS
    assert {entry.leaf for entry in found} == {None}
    assert all(entry.form for entry in found)


def test_further_places() -> None:
    assert {(e.name, e.kind): e.also for e in entries() if e.also} == {
        ("DIME", "method"): ("visual/relevance/phrase-grid",),
        ("MultiViz", "method"): ("visual/relevance/phrase-grid",),
        ("GQA", "dataset"): ("symbol",),
        ("FVQA", "dataset"): ("graph",),
    }


def test_the_survey_has_a_name_for_every_leaf_and_one_leaf_for_every_name() -> None:
    assert list(SURVEY) == list(BY_ID)
    assert len(set(SURVEY.values())) == 27
    levels = {(leaf.branch, leaf.kind, *SURVEY[leaf.id][:2]) for leaf in BY_ID.values()}
    assert len(levels) == len({ours[:2] for ours in levels}) == len({ours[2:] for ours in levels}) == 10


def test_links_are_plain_web_addresses() -> None:
    links = [link for entry in entries() for link in (entry.paper_url, entry.code_url) if link is not None]
    assert len(links) == 140  # 84 papers; 35 methods and 21 data sets with code or a page
    assert {urlsplit(link).scheme for link in links} == {"http", "https"}
    assert all(urlsplit(link).netloc and not re.search(r"[\s<>\"']", link) for link in links)


def test_what_is_wrong_with_an_entry_is_noted() -> None:
    assert {entry.name for entry in entries() if entry.note} == {
        "VRANet", "VizWiz-VQA", "MMT", "ECMRL", "Rationale Transformer", "CFR", "UnCoRd", "Mucko", "SPACES", "LOL", "WAX", "GridVQA-X",
    }  # fmt: skip
    assert "not to VRANet" in str(one("VRANet").note)
    assert "a data set's page" in str(one("VizWiz-VQA").note)


def test_a_size_says_how_it_is_known() -> None:
    sized = [entry for entry in entries() if entry.size is not None]
    assert len(sized) == 20
    assert {str(entry.size_basis).split()[0] for entry in sized} == {"verified:", "partly", "not"}
    assert all(entry.size_basis is None for entry in entries() if entry.size is None)


def test_the_file_has_an_entry_a_line_and_no_unknown_key() -> None:
    lines = PACKAGED.read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line.removesuffix(",")) for line in lines[1:-1]]
    assert len(rows) == 90
    assert {key for row in rows for key in row} <= set(Entry.__dataclass_fields__)
    assert not any(value in ("", []) for row in rows for value in row.values())


def test_the_wheel_takes_the_whole_package() -> None:
    build = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert build == {"targets": {"wheel": {"packages": ["src/veracast"]}}}


def test_the_packaged_list_is_its_source_placed_by_the_surveys_names(real_data: Path) -> None:
    leaves = {survey: leaf for leaf, survey in SURVEY.items()}
    source: list[dict[str, Any]] = json.loads((real_data / "icmr_catalogue.json").read_text(encoding="utf-8"))
    assert [(row["name"], row["kind"]) for row in source] == [(entry.name, entry.kind) for entry in entries()]
    for row, entry in zip(source, entries(), strict=True):
        if row["kind"] == "method":
            assert leaves[row["level1"], row["level2"], row["level3"]] == entry.leaf
        same = ("task", "year", "venue", "title", "authors", "paper_url", "code_url", "size")
        differ = {key for key in same if row.get(key) != getattr(entry, key)}
        assert differ <= {MENDED.get(entry.name)}, entry.name
        assert row["in_survey_readme"] == entry.in_survey


@pytest.mark.parametrize(
    ("words", "filters", "found"),
    [
        ("sarcasm", {}, ["MORE (MuSE)", "InCrossMGs"]),  # both in title and task: the newer first
        ("NOEL", {}, ["X-Pool"]),
        ("noël vouitsis", {}, ["X-Pool"]),
        ("marasovic", {}, ["Rationale Transformer"]),
        ("self-questioning", {}, ["SOCRATIC"]),
        ("probabilistic soft logic", {}, ["PSLDVQ"]),  # the survey's name of its leaf
        ("third-party", {}, []),
        ("VQA", {"branch": "symbol", "year": 2018}, ["NS-VQA", "PSLDVQ", "SNMN"]),  # in the name, then in the task
        ("", {"task": "Image-Text Retrieval"}, ["CGMN", "IAIS"]),
        ("", {"branch": "symbol", "kind": "dataset"}, ["GQA", "2D Minecraft"]),  # symbol is a further place of GQA
        ("", {"year": 2016}, ["NMN"]),
        ("?!", {}, []),
    ],
)
def test_searches_with_known_answers(words: str, filters: dict[str, Any], found: list[str]) -> None:
    assert names(search(words, **filters)) == found


def test_a_whole_word_in_a_name_comes_first() -> None:
    # fvqa: method and data set by name (16); nothing else has the word
    assert [(e.name, e.kind) for e in search("fvqa")] == [("FVQA", "method"), ("FVQA", "dataset")]
    # visual: whole in a name 16, before many newer titles that have it whole, 8
    assert names(search("visual"))[0] == "Visual Genome"
    # grid: part of a name 8, whole in the place 4
    assert names(search("grid"))[0] == "GridVQA-X"
    assert set(names(search("grid"))[1:]) == {"ZS-SBIR", "FiLM", "MMT", "CRRN", "t-RNetAttn"}


def test_no_words_find_everything_the_newest_first() -> None:
    found = search()
    assert len(found) == 90
    assert [entry.year for entry in found] == sorted((entry.year for entry in entries()), reverse=True)


def test_every_word_must_occur() -> None:
    both = {(e.kind, e.name) for e in search("retrieval video")}
    assert both == {("method", "X-Pool"), ("method", "HBI"), ("method", "HCGC")}
    assert both == {(e.kind, e.name) for e in search("video")} & {(e.kind, e.name) for e in search("retrieval")}


def test_unknown_filters_are_refused_all_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        search("vqa", branch="vis", kind="paper")
    assert caught.value.faults == (
        "unknown branch 'vis' -> one of visual, textual, graph, symbol, multimodal",
        "unknown kind 'paper' -> one of method, dataset",
    )


def test_words_that_no_entry_has_are_told_with_the_nearest() -> None:
    found = catalogue.unknown_words("visaul retrieval qqqqqq")
    assert list(found) == ["visaul", "qqqqqq"]
    assert found["visaul"][0] == "visual"
    assert found["qqqqqq"] == []
    assert catalogue.nearest_tasks("vidoe retreival")[0] in ("text-video retrieval", "video-text retrieval")


def test_folding() -> None:
    assert catalogue.folded("Noël's  X-Pool_3D") == "noel s x pool 3d"


@pytest.mark.parametrize("leaf", IMPLEMENTED)
def test_what_implements_a_leaf_exists(leaf: str) -> None:
    assert leaf in BY_ID
    said = IMPLEMENTED[leaf]
    modules = re.findall(r"\w+\.py", said)
    assert modules
    folder = PACKAGED.parent
    assert [name for name in modules if not (folder / name).is_file()] == []
    assert all(hasattr(units, name) for name in re.findall(r"Frames|Words|Edges", said))


def test_all_leaves_are_implemented_but_those_that_need_objects_or_scenes() -> None:
    lacking = {"visual/contribution/object", "visual/relevance/phrase-object", "graph/single-modal/scene", "graph/single-modal/knowledge-and-scene"}  # fmt: skip
    assert set(BY_ID) - set(IMPLEMENTED) == lacking
