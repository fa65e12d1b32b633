"""Texts: themes show in their words and nowhere else, in both languages; topics have names."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy.stats import binomtest

from veracast.data.merge import REPOST_MIN_CHARS, find_reposts
from veracast.data.world_text import (
    _FILLERS,
    _TEMPLATES,
    COMMENTS,
    EN,
    PLACES,
    SENTENCES,
    THEME_EFFECT,
    THEMES,
    ZH,
    ZH_SHARE,
    Texts,
    category_of,
    near_copy,
    tag_name,
    topic_name,
    write_texts,
)  # fmt: skip

N = 600
TOPICS = np.arange(N) % 40


def made(*, parent: np.ndarray | None = None) -> tuple[np.ndarray, Texts]:
    rng = np.random.default_rng(0)
    theme, source = rng.integers(0, len(THEMES), N), np.arange(N) if parent is None else parent
    tags = [[k, k + 50] if k % 2 else [] for k in range(N)]
    return theme[source], write_texts(theme[source], TOPICS[source], tags, source, rng.random(N) < 0.2, rng)


def themes_in(text: str) -> set[int]:
    """Themes whose words occur, by plain search, as a reader would."""
    low = text.lower()
    return {k for k, theme in enumerate(THEMES) if any(word in low for words in theme for word in words)}


def is_chinese(text: str) -> bool:
    return any("一" <= c <= "鿿" for c in text)


def test_theme_effects_are_standardised() -> None:
    assert THEME_EFFECT.mean() == pytest.approx(0, abs=1e-12)
    assert THEME_EFFECT.std() == pytest.approx(1)


def test_every_text_shows_its_own_theme_and_no_other() -> None:
    theme, texts = made()
    for kind, title, description in zip(theme.tolist(), texts.titles, texts.descriptions, strict=True):
        assert themes_in(description) == {kind}
        assert title is None or themes_in(title) == {kind}


def test_nothing_but_theme_words_speaks_of_a_theme() -> None:
    neutral = [*COMMENTS, *map(tag_name, range(3000)), *(topic_name(k, lang) for k in range(3000) for lang in (EN, ZH))]
    for lang in (EN, ZH):
        neutral += [*PLACES[lang], *_FILLERS[lang], *(t.format(w="", p="") for t in _TEMPLATES[lang])]
    assert [text for text in neutral if themes_in(text)] == []
    assert themes_in("A KITTEN at the river") == {4}  # the search does notice


def test_both_languages_carry_every_theme() -> None:
    theme, texts = made()
    seen = {(kind, lang) for kind, lang in zip(theme.tolist(), texts.languages, strict=True)}
    assert seen == {(kind, lang) for kind in range(len(THEMES)) for lang in ("en", "zh")}
    for lang, description in zip(texts.languages, texts.descriptions, strict=True):
        assert is_chinese(description) == (lang == "zh")
    low, high = binomtest(texts.languages.count("zh"), N).proportion_ci(0.9999, method="exact")
    assert low <= ZH_SHARE <= high


def test_titles_name_the_topic_in_their_own_language() -> None:
    assert (topic_name(0, EN), topic_name(0, ZH), category_of(0)) == ("harbour fair", "港口集市", "culture")
    _, texts = made()
    for subject, lang, title in zip(TOPICS.tolist(), texts.languages, texts.titles, strict=True):
        if title is not None:
            assert title.startswith(topic_name(subject, ZH if lang == "zh" else EN))


def test_texts_have_the_defects_of_real_ones() -> None:
    shown = [title for title in made()[1].titles if title]
    assert any(ord(c) > 0xFFFF for title in shown for c in title)
    assert any("\n" in title for title in shown)
    assert any("\t" in title for title in shown)
    longest = max(map(len, made()[1].descriptions))
    assert 190 < longest <= 200


def test_a_blank_title_is_blank_and_no_other() -> None:
    rng = np.random.default_rng(1)
    blank = rng.random(N) < 0.5
    texts = write_texts(np.zeros(N, int), TOPICS, [[]] * N, np.arange(N), blank, rng)
    assert [title is None for title in texts.titles] == blank.tolist()


def test_names_are_unlimited_unique_and_in_one_language() -> None:
    for lang in (EN, ZH):
        names = [topic_name(k, lang) for k in range(6000)]
        assert len(set(names)) == 6000
        assert all(is_chinese(name) == (lang == ZH) for name in names)
    tags = [tag_name(k) for k in range(6000)]
    assert len(set(tags)) == 6000
    assert all(tag == tag.lower() and " " not in tag for tag in tags)
    assert len({category_of(k) for k in range(100)}) == 7
    assert all(category_of(k) == category_of(k + 460) for k in range(100))  # spring or not, the affair is the same


def test_hashtags_stand_behind_the_title() -> None:
    _, texts = made()
    for k, title in enumerate(texts.titles):
        if title is not None:
            assert title.endswith(f"#{tag_name(k)} #{tag_name(k + 50)}") == (k % 2 == 1)


@pytest.mark.parametrize("way", [0, 1, 2])
def test_near_copies_are_found_as_reposts(way: int) -> None:
    posted = pl.Series([1, 2]).cast(pl.Datetime("us", "UTC"))
    for first in ("滨海台风：镜头在车站拍到救援，第598627条", "harbour fair: the hero, no. 598627 #daily"):
        assert near_copy(first, way) != first or (way == 1 and is_chinese(first))
        rows = {"video_id": ["a:1", "b:2"], "title": [first, near_copy(first, way)], "description": ["", ""]}
        assert find_reposts(pl.DataFrame(rows).with_columns(posted_at=posted)).height == 1
    other = {"video_id": ["a:1", "b:2"], "title": ["harbour fair: no. 598627", "harbour fair: no. 598628"], "description": ["", ""]}  # fmt: skip
    assert find_reposts(pl.DataFrame(other).with_columns(posted_at=posted)).height == 0


def test_a_repost_nearly_repeats_its_parents_words() -> None:
    parent = np.arange(N)
    parent[300:] = parent[:300]
    texts = made(parent=parent)[1]

    def letters(text: str | None) -> str:
        return "".join(c for c in (text or "").lower() if c.isalnum())

    for i in range(300, N):
        assert letters(texts.titles[i]) == letters(texts.titles[i - 300])
        assert letters(texts.descriptions[i])[:150] == letters(texts.descriptions[i - 300])[:150]
        assert texts.languages[i] == texts.languages[i - 300]
    assert sum(texts.titles[i] != texts.titles[i - 300] for i in range(300, N)) > 100


def test_texts_are_long_enough_and_different_enough_to_tell_videos_apart() -> None:
    _, texts = made()
    keys = ["".join(c for c in (t or d[:40]).lower() if c.isalnum()) for t, d in zip(texts.titles, texts.descriptions, strict=True)]  # fmt: skip
    assert min(map(len, keys)) >= REPOST_MIN_CHARS
    assert len(set(keys)) == N


def test_sentences_are_ready_for_all_themes() -> None:
    assert {len(table) for theme in SENTENCES for table in theme} == {4 * 3 * 8}
