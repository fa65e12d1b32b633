"""Values by hand, and those of the libraries called directly; what cannot be measured says why. On MuSE where its files are at hand."""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from veracast.core.errors import ConfigError
from veracast.explain.metrics.cider import words
from veracast.explain.metrics.texts import text_metrics

sacrebleu, rouge_scorer = pytest.importorskip("sacrebleu"), pytest.importorskip("rouge_score.rouge_scorer")
pytest.importorskip("nltk")

REFERENCES = [["a cat sleeps", "the cat sleeps"], ["a dog runs"], ["a bird sings"]]


def test_two_items_by_hand() -> None:
    """told a b c d e | a b; references a b c d x | a b.

    BLEU      n-grams found: 6 of 7, 4 of 5, 2 of 3, 1 of 2; as long as the references
    ROUGE-L   4 of 5 words, F .8, and 1
    stems     4 of 5 words in one chunk, and 2 of 2
    chrF      blanks left out: abcde|ab and abcdx|ab: 6/7, 4/5, 2/3, 1/2, 0/1; no run of six; P = R, so their mean over five lengths
    """
    found = text_metrics(["a b c d e", "a b"], [["a b c d x"], ["a b"]])
    assert found.items == 2
    assert found.bleu.value == pytest.approx(100 * (6 / 7 * 4 / 5 * 2 / 3 * 1 / 2) ** (1 / 4))
    assert found.chrf.value == pytest.approx(100 * (6 / 7 + 4 / 5 + 2 / 3 + 1 / 2 + 0) / 5)
    assert found.rouge_l.value == pytest.approx((0.8 + 1) / 2)
    assert found.meteor_exact_stem.value == pytest.approx((0.8 * (1 - 0.5 / 64) + 15 / 16) / 2)


def test_cider_is_the_mean_of_the_items_worked_by_hand() -> None:
    """As in test_cider.py: the first item, and 7.5 for a perfect answer of three words."""
    found = text_metrics(["a cat runs", "a dog runs", "a bird sings"], REFERENCES)
    first = 10 * ((0.5 + 1 / math.sqrt(6)) / 2 + 0.25) / 4
    assert found.cider.value == pytest.approx((first + 7.5 + 7.5) / 3)
    assert found.cider.signature == "CIDEr|n:1-4|stem:no|clip:no|refs:mean|corpus:3"


def test_references_in_other_numbers_are_those_of_the_libraries() -> None:
    told = ["A cat sleeps on the roof.", "The dog runs home.", "nothing of it"]
    references = [["The cat sleeps on a roof.", "A cat sleeps on the old roof."], ["A dog runs home."], ["Birds sing at dawn.", "It dawns.", "All sing."]]  # fmt: skip
    streams = [[each[k] if k < len(each) else None for each in references] for k in range(3)]
    found = text_metrics(told, references)
    assert found.bleu.value == sacrebleu.corpus_bleu(told, streams).score
    assert found.chrf.value == sacrebleu.corpus_chrf(told, streams).score
    assert found.bleu.signature.startswith("BLEU|nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:2.")
    assert found.chrf.signature.startswith("chrF2|nrefs:var|case:mixed|eff:yes|nc:6|nw:0|space:no|version:2.")
    assert found.rouge_l.items is not None and found.rouge_l.items[0] == pytest.approx(2 * 6 / (6 + 7))  # the second


def test_an_answer_that_is_the_reference_has_the_largest_value() -> None:
    texts = ["the author is tired of the rain", "nobody likes to wait in a line"]
    found = text_metrics(texts, [[text] for text in texts])
    assert (found.bleu.value, found.chrf.value, found.rouge_l.value) == (pytest.approx(100), 100, 1)
    assert found.cider.value == pytest.approx(10) and found.meteor_exact_stem.value == pytest.approx(1 - 0.5 / 7**3)


def test_a_blank_answer_is_one_and_scores_nothing() -> None:
    found = text_metrics(["", " "], [["a b c d"], ["e f g h"]])
    values = (found.bleu, found.chrf, found.rouge_l, found.meteor_exact_stem, found.cider)
    assert [(one.value, one.lacking) for one in values] == [(0, None)] * 5


def test_of_one_item_no_word_is_rare() -> None:
    found = text_metrics(["a b c d"], [["a b c d"]])
    assert (found.cider.value, found.cider.lacking, found.cider.unmeasured) == (None, "one item: how rare a word is needs a corpus of two or more", 1)  # fmt: skip
    assert found.bleu.value == pytest.approx(100)


def test_what_a_metric_cannot_see_is_empty_and_counted() -> None:
    found = text_metrics(["好 好", "a b", "a"], [["好 好"], ["a b"], ["a"]])
    assert (found.bleu.value, found.bleu.lacking) == (None, "no reference has four words")
    assert found.rouge_l.items is not None and np.isnan(found.rouge_l.items).tolist() == [True, False, False]
    assert (found.rouge_l.value, found.rouge_l.unmeasured) == (1, 1)
    assert found.rouge_l.lacking == "1 of 3 items: references without a letter a-z or a digit, all that ROUGE-L reads"
    same = text_metrics(["a b", "a b"], [["a b"], ["a b"]]).cider
    assert (same.value, same.lacking) == (None, "2 of 2 items: references without a word that is not in those of all items")  # fmt: skip
    icons = text_metrics(["a b", "!!!"], [["a b"], ["!!!"]]).meteor_exact_stem
    assert (icons.value, icons.lacking) == (15 / 16, "1 of 2 items: references without a word")


def test_chinese_is_read_by_its_tokenizer() -> None:
    texts = ["今天天气很好", "猫在屋顶上睡觉"]
    assert text_metrics(texts, [[text] for text in texts]).bleu.value is None  # one word each
    found = text_metrics(texts, [[text] for text in texts], tokenize="zh")
    assert found.bleu.value == pytest.approx(100) and "tok:zh" in found.bleu.signature
    with pytest.raises(ConfigError, match="tokenize 'spm': choose from 13a, zh, char, intl"):
        text_metrics(texts, [[text] for text in texts], tokenize="spm")


@pytest.mark.parametrize("missing", ["sacrebleu.metrics.bleu", "rouge_score.rouge_scorer", "nltk.stem.porter"])
def test_a_missing_package_and_faults_are_named(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    with pytest.raises(ConfigError, match="2 texts told and references for 1 items"):
        text_metrics(["a", "b"], [["a"]])
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"{missing.split('.')[0]}.* -> pip install 'veracast\[explain\]'"):
        text_metrics(["a", "b"], [["a"], ["b"]])


def muse(folder: Path, part: str) -> tuple[list[str], list[list[str]]]:
    """Captions, said as if they explained themselves, beside what people wrote of them."""
    with (folder / f"muse_{part}.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    return [row[1] for row in rows], [[row[2]] for row in rows]


def dense_cider(told: list[str], references: list[list[str]]) -> np.ndarray:
    """The formula of Vedantam et al. 2015 once more, with whole matrices, for one reference an item."""
    total = np.zeros(len(told))
    for n in range(1, 5):
        bags = [[Counter(zip(*(words(text)[k:] for k in range(n)), strict=False)) for text in texts] for texts in (told, [each[0] for each in references])]  # fmt: skip
        vocabulary = {gram: k for k, gram in enumerate(sorted({gram for side in bags for bag in side for gram in bag}))}
        tables = np.zeros((2, len(told), len(vocabulary)))
        for side, row in product((0, 1), range(len(told))):
            for gram, count in bags[side][row].items():
                tables[side, row, vocabulary[gram]] = count / bags[side][row].total()
        tables *= np.log(len(told) / np.maximum(1, (tables[1] > 0).sum(axis=0)))
        norms = np.linalg.norm(tables, axis=2)
        both = norms[0] * norms[1]
        total += np.where(both > 0, np.einsum("ik,ik->i", *tables) / np.where(both > 0, both, 1), 0)
    return np.asarray(10 * total / 4)


@pytest.mark.parametrize("part", ["val", "test"])
def test_on_muse_they_are_those_of_the_libraries(real_data: Path, part: str) -> None:
    told, references = muse(real_data, part)
    found = text_metrics(told, references)
    flat = [each[0] for each in references]
    assert found.items == {"val": 175, "test": 352}[part]
    assert found.bleu.value == sacrebleu.corpus_bleu(told, [flat], force=True).score
    assert found.chrf.value == sacrebleu.corpus_chrf(told, [flat]).score
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    theirs = [scorer.score(reference, text)["rougeL"].fmeasure for text, reference in zip(told, flat, strict=True)]
    assert found.rouge_l.value == pytest.approx(np.mean(theirs), abs=1e-12)
    assert found.cider.items is not None
    np.testing.assert_allclose(found.cider.items, dense_cider(told, references), atol=1e-9)
    assert [one.unmeasured for one in (found.rouge_l, found.meteor_exact_stem, found.cider)] == [0, 0, 0]


def test_on_muse_captions_explain_themselves_better_than_each_other(real_data: Path) -> None:
    """Every caption beside the explanation of the next one is a planted failure that all metrics must notice."""
    told, references = muse(real_data, "test")
    right, wrong = (text_metrics(told, each) for each in (references, [*references[1:], references[0]]))
    for name in ("bleu", "chrf", "rouge_l", "meteor_exact_stem", "cider"):
        good, bad = getattr(right, name).value, getattr(wrong, name).value
        assert good > 3 * bad, name
