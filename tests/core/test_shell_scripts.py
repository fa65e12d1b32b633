"""Programs of awk and sed: ordinary ones are read, those that start others or write files are in doubt."""

from __future__ import annotations

import pytest

from veracast.core.shell_scripts import awk_doubt, sed_doubt
from veracast.core.shell_words import read_shell


def doubts(text: str) -> bool:
    (one,) = read_shell(text)
    return ({"awk": awk_doubt, "sed": sed_doubt}[one.words[0].text])(one.words[1:]) is not None


@pytest.mark.parametrize(
    "text",
    [
        "awk -F, '{print $2 > 3}' f", "awk '{ print $1 | \"sort\" }' f", "awk 'BEGIN { system(\"a\") }'", "awk '{ \"a\" | getline x }' f", "awk '@include \"x\"' f",
        "awk '/\"/ { print 1 }' f", "awk 'BEGIN { return /\"/ }'", "awk --file=x f", "awk -v x=1 -f p f", "awk \"$x\" f", "awk '# a' f", "awk 'BEGIN { printf(\"x\") >\"f\" }'", "awk '\"a\\' f",
    ],
)  # fmt: skip
def test_awk_in_doubt(text: str) -> None:
    assert doubts(text)


@pytest.mark.parametrize(
    "text",
    [
        "awk -F: -v n=2 '$3 >= n && $4 / 2 < 9 {print $1 / 2, $2}' f", "awk '/a[|]b|c/ {n++} END {print n+0}' f", "awk '$1 ~ /^x/ || $2 !~ /y$/' f",
        "awk '{a[$1]++} END {for (k in a) print k, a[k]}' f", "awk '{print \"a|b > c\"}' f", "awk 'length > 80' f", "awk", "awk '!seen[$0]++' f", "awk 'NR>1 {s+=$2} END {printf \"%.2f\\n\", s}' f",
    ],
)  # fmt: skip
def test_awk_that_is_read(text: str) -> None:
    assert not doubts(text)


@pytest.mark.parametrize(
    "text",
    [
        "sed 's/a/b/e' f", "sed 's/a/b/ge' f", "sed 's/a/b/w f' g", "sed 'e' f", "sed '1e ls' f", "sed 'w x' f", "sed '/a/w x' f", "sed 'r x' f", "sed -f x f", "sed --file=x f", "sed 's/a/b/;e' f",
        "sed -e p -e e f", "sed '{p;e}' f", "sed 's/a/b' f", "sed 'a\\\nx' f", "sed --expression=e f", "sed -ne e f", "sed \"s/$x/b/\" f", "sed -nep f", "sed 'y/a/b/e' f", "sed 's;a;b;e' f", "sed 's/[/]/e/e' f",
    ],
)  # fmt: skip
def test_sed_in_doubt(text: str) -> None:
    assert doubts(text)


@pytest.mark.parametrize(
    "text",
    [
        "sed 's/a/b/' f", "sed -E 's|(a)|\\1|g;s#x#y#2' f", "sed -n '1,5p' f", "sed -n '$p' f", "sed '/a/,/b/d' f", "sed '1~2d' f", "sed -e 1d -e '$d' f", "sed -ne '/x/{p;q}' f", "sed '/a/!d' f",
        "sed 'y/abc/xyz/' f", "sed '=' f", "sed -n '/a/{ s/a/b/; p }' f", "sed -i.bak 's/a/b/' f", "sed p f", "sed --quiet p f",
    ],
)  # fmt: skip
def test_sed_that_is_read(text: str) -> None:
    assert not doubts(text)
