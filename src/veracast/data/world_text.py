"""Titles, descriptions, comments and names of the generated world, in English and Chinese, from templates.

A theme shows in its words only; topics, tags, places, templates and fillers say nothing about it. Everything is picked
from tables of ready sentences, because half a million samples must be written in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np

EN, ZH = 0, 1
LANGUAGES = ("en", "zh")
ZH_SHARE = 0.6
DESCRIPTION_CHARS = 200  # the release cuts its descriptions there
THEMES: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("rescue", "hero", "saved lives"), ("救援", "英雄", "获救")),
    (("scandal", "exposed lies", "cover-up"), ("丑闻", "曝光", "内幕")),
    (("recipe", "kitchen", "noodles"), ("菜谱", "厨房", "面条")),
    (("tutorial", "lesson", "exercise"), ("教程", "课堂", "练习")),
    (("kitten", "puppy", "panda cub"), ("小猫", "小狗", "熊猫幼崽")),
    (("derby", "penalty", "trophy"), ("比赛", "点球", "奖杯")),
    (("committee", "regulation", "by-law"), ("委员会", "条例", "细则")),
    (("holiday", "sunset", "countryside"), ("假日", "日落", "乡村")),
)
"""Per theme its words in English and in Chinese; the two lists mean the same."""
_EFFECT = np.array([1.6, 1.2, -0.2, -0.6, 0.7, 0.3, -1.8, -1.2])
THEME_EFFECT: np.ndarray = (_EFFECT - _EFFECT.mean()) / _EFFECT.std()
PLACES = (
    ("river", "harbour", "station", "market", "bridge", "school", "square", "old town"),
    ("河边", "港口", "车站", "市场", "大桥", "学校", "广场", "老城"),
)
_TEMPLATES = (
    ("{w} at the {p}", "what the {w} at the {p} looked like", "near the {p}: {w}", "{w} again, this time by the {p}"),
    ("{p}现场，{w}全过程", "镜头在{p}拍到{w}", "{p}附近居民谈{w}", "没想到{p}也有{w}"),
)
_FILLERS = (
    (
        "Filmed on a phone, without cuts.", "More in the next part.", "Thanks to everybody who sent pictures.",
        "We went there twice this week.", "It was colder than it looks.", "Sound on, please.",
    ),
    (
        "以上画面由网友用手机拍摄，未经剪辑。", "更多内容请看下一集，感谢大家一直以来的支持与关注。", "当天气温比看上去要低很多。",
        "我们这个星期一共去了两次，路上花了不少时间。", "建议打开声音观看，结尾有补充说明。", "感谢每一位提供画面的朋友，辛苦了。",
    ),
)  # fmt: skip
SENTENCES: tuple[tuple[tuple[str, ...], ...], ...] = tuple(
    tuple(
        tuple(t.format(w=w, p=p) for t, w, p in product(_TEMPLATES[lang], theme[lang], PLACES[lang]))
        for lang in (EN, ZH)
    )
    for theme in THEMES
)
_EMOJI = ("", "", "", " 🤷🏻", " 🦢", " 🔥", " 👩‍🚒", "\n👇", "\t🎬")
# topics: an affair somewhere, in the spring or again; a category is the affair's
_AFFAIRS = (
    ("fair", "集市", "culture"), ("power cut", "停电", "society"), ("marathon", "马拉松", "sport"),
    ("cold spell", "降温", "weather"), ("lantern show", "灯会", "culture"), ("metro works", "地铁施工", "transport"),
    ("job fair", "招聘会", "economy"), ("music festival", "音乐节", "culture"), ("typhoon", "台风", "weather"),
    ("night market", "夜市", "food"), ("boat race", "龙舟赛", "sport"), ("library", "图书馆", "culture"),
    ("heavy snow", "大雪", "weather"), ("bus strike", "公交停运", "transport"), ("fruit harvest", "水果丰收", "food"),
    ("house prices", "房价", "economy"), ("first school day", "开学", "society"), ("flower show", "花展", "culture"),
    ("ferry", "渡轮", "transport"), ("fog", "大雾", "weather"), ("football cup", "足球杯", "sport"),
    ("fish auction", "鱼市", "food"), ("clean-up day", "清洁日", "society"),
)  # fmt: skip
_TOWNS = (
    ("harbour", "港口"), ("riverside", "河畔"), ("hilltop", "山顶"), ("old-town", "古城"), ("east-lake", "东湖"),
    ("north-gate", "北门"), ("white-sand", "白沙"), ("long-bridge", "长桥"), ("jade-spring", "玉泉"), ("red-rock", "红岩"),
    ("pine-wood", "松林"), ("clear-creek", "清溪"), ("twin-tower", "双塔"), ("new-ferry", "新渡"), ("south-bank", "南岸"),
    ("cloud-ridge", "云岭"), ("stone-mill", "石磨"), ("west-grove", "西林"), ("gold-field", "金田"), ("island", "海岛"),
)  # fmt: skip
_SEASONS = (("", ""), ("spring ", "春季"), ("summer ", "夏季"), ("autumn ", "秋季"), ("winter ", "冬季"))
_TAGS = (
    ("street", "街头"), ("bestof", "精选"), ("live", "直播"), ("daily", "日常"), ("local", "本地"), ("weekend", "周末"),
    ("slowmotion", "慢动作"), ("original", "原创"), ("throwback", "回忆"), ("fromabove", "航拍"), ("newhere", "新人"),
)  # fmt: skip
COMMENTS = (
    "so true", "first time I see this 👀", "more please", "where is this?", "I was there too", "who filmed it? 🎥",
    "说得对", "第一次见", "再来一个👏", "这是哪里？", "我也在现场\n真的", "支持一下", "拍得真清楚，辛苦了", "转发给朋友们看看 🙏", "评论区的朋友们怎么看？",
    "路过留个名\t明天再来", "这条街我每天都走，从来没有注意过", "前排",
)  # fmt: skip
PROVINCES = ("北京", "广东", "浙江", "四川", "山东", "江苏", "湖北", "辽宁")


@dataclass(frozen=True)
class Texts:
    """Texts of one block of videos, lists of length n; a blank title is None."""

    titles: list[str | None]
    descriptions: list[str]
    languages: list[str]


@lru_cache(maxsize=4096)
def topic_name(number: int, lang: int = ZH) -> str:
    """The name of a topic, another one for every number: "harbour fair" or "港口集市"."""
    return _named(number, lang, _AFFAIRS, gap=" ")


@lru_cache(maxsize=4096)
def tag_name(number: int) -> str:
    """A hashtag without its sign, lower case and in one word; every second one is Chinese."""
    return _named(number // 2, EN + number % 2, _TAGS, gap="").replace(" ", "").replace("-", "")


def _named(number: int, lang: int, kinds: tuple[tuple[str, ...], ...], *, gap: str) -> str:
    """Place and kind, both new with every number (their counts have no common factor), then the season, then a count."""
    years, pair = divmod(number, len(_TOWNS) * len(kinds))
    again, season = divmod(years, len(_SEASONS))
    town, kind = _TOWNS[pair % len(_TOWNS)][lang], kinds[pair % len(kinds)][lang]
    name = _SEASONS[season][lang] + town + (gap if lang == EN else "") + kind
    return f"{name}{gap if lang == EN else ''}{again + 1}" if again else name


def category_of(topic: int) -> str:
    """Category of a topic: culture, sport, weather ..."""
    return _AFFAIRS[topic % (len(_TOWNS) * len(_AFFAIRS)) % len(_AFFAIRS)][2]


def write_texts(
    theme: np.ndarray, topic: np.ndarray, tags: list[list[int]], parent: np.ndarray, blank: np.ndarray, rng: np.random.Generator
) -> Texts:  # fmt: skip
    """Texts of n videos: theme, topic and parent (n,) ints, numbers of their tags, blank (n,) whether the title is missing.

    parent: place in the block of the video that is reposted, or the video's own; a repost nearly repeats its words.
    """
    n = len(theme)
    chance = rng.random((n, 14))  # one draw: more videos do not change the first ones
    lang = (chance[:, 12] < ZH_SHARE).astype(int).tolist()
    serial = (100 + chance[:, 13] * 1e6).astype(int).tolist()
    picks, missing = chance.tolist(), blank.tolist()
    titles: list[str | None] = []
    descriptions: list[str] = []
    for i, (kind, subject, source) in enumerate(zip(theme.tolist(), topic.tolist(), parent.tolist(), strict=True)):
        if source != i:
            told = titles[source]
            titles.append(None if told is None else near_copy(told, int(picks[i][0] * 3)))
            descriptions.append(near_copy(descriptions[source], int(picks[i][1] * 3))[:DESCRIPTION_CHARS])
            lang[i] = lang[source]
            continue
        sentences = SENTENCES[kind][lang[i]]
        said = _title(sentences, topic_name(subject, lang[i]), lang[i], serial[i], picks[i])
        titles.append(None if missing[i] else said + "".join(f" #{tag_name(tag)}" for tag in tags[i]))
        descriptions.append(_description(sentences, lang[i], serial[i], picks[i]))
    return Texts(titles, descriptions, [LANGUAGES[k] for k in lang])


def _title(sentences: tuple[str, ...], topic: str, lang: int, serial: int, picks: list[float]) -> str:
    said = sentences[int(picks[0] * len(sentences))]
    emoji = _EMOJI[int(picks[1] * len(_EMOJI))]
    return f"{topic}：{said} 第{serial}条{emoji}" if lang == ZH else f"{topic}: {said}, no. {serial}{emoji}"


def _description(sentences: tuple[str, ...], lang: int, serial: int, picks: list[float]) -> str:
    """Sentences of the theme among fillers, cut as in the release."""
    fillers = _FILLERS[lang]
    parts = [f"编号{serial}" if lang == ZH else f"Clip {serial}"]
    for k in range(3, 8 + int(picks[2] * 5)):
        table = sentences if k % 2 else fillers
        parts.append(table[int(picks[k] * len(table))])
    told = ("。" if lang == ZH else ". ").join(parts).replace("。。", "。").replace("..", ".")
    return told[:DESCRIPTION_CHARS].rstrip()


def near_copy(text: str, way: int) -> str:
    """What a repost makes of a text: other marks, other case or an emoji behind; its letters and digits stay in place."""
    if way == 0:
        return text.replace("：", "|").replace(": ", "| ").replace("，", " ")
    return text.upper() if way == 1 else f"{text} 🔁"
