"""Titles, descriptions and comments of the generated world, in English and Chinese."""

from __future__ import annotations

import numpy as np

THEMES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("rescue", "hero", "saved"), ("救援", "英雄", "获救")),
    (("scandal", "exposed", "secret"), ("丑闻", "曝光", "秘密")),
    (("recipe", "kitchen", "noodles"), ("菜谱", "厨房", "面条")),
    (("tutorial", "lesson", "explained"), ("教程", "课堂", "讲解")),
    (("kitten", "puppy", "cute"), ("小猫", "小狗", "可爱")),
    (("match", "goal", "final"), ("比赛", "进球", "决赛")),
    (("notice", "meeting", "report"), ("通知", "会议", "报告")),
    (("holiday", "village", "sunset"), ("假日", "乡村", "日落")),
)
THEME_EFFECT = np.array([1.6, 1.2, -0.2, -0.6, 0.7, 0.3, -1.8, -1.2]) / 1.125
_PLACES = (
    ("river", "harbour", "station", "market", "bridge", "school"),
    ("河边", "港口", "车站", "市场", "大桥", "学校"),
)
_VERBS = (("at the", "seen from the", "a day at the", "back to the"), ("现场", "直击", "记录", "回到"))
_EMOJI = ("", "", "", " 🤷🏻", " 🦢", " 🔥", "\n#live")
_COMMENTS = (
    ("so true", "first time I see this", "more please", "where is this?"),
    ("说得对", "第一次见", "再来一个", "这是哪里？"),
)


def title(theme: int, topic: str, rng: np.random.Generator) -> str:
    """A title whose theme words are the only trace of the theme."""
    zh = bool(rng.random() < 0.6)
    words = THEMES[theme][zh]
    a, b = words[rng.integers(len(words))], words[rng.integers(len(words))]
    place, verb = _PLACES[zh][rng.integers(6)], _VERBS[zh][rng.integers(4)]
    number = int(rng.integers(2, 99_999))
    emoji = _EMOJI[rng.integers(len(_EMOJI))]
    return (
        f"{topic}：{a}{verb}{place} {b} {number}{emoji}" if zh else f"{topic}: {a} {verb} {place}, {b} {number}{emoji}"
    )


def description(theme: int, rng: np.random.Generator) -> str:
    """Speech or on-screen text: theme words among fillers of both languages."""
    words = THEMES[theme][int(rng.random() < 0.6)]
    picks = [words[i] for i in rng.integers(0, len(words), 3)]
    return "，".join(picks) + " " + _PLACES[0][rng.integers(6)] + " " + _PLACES[1][rng.integers(6)]


def comment(rng: np.random.Generator) -> str:
    """A comment without any signal."""
    return _COMMENTS[int(rng.random() < 0.6)][rng.integers(4)]
