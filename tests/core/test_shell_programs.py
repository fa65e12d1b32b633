"""What programs run by themselves, by hand."""

from __future__ import annotations

import pytest

from veracast.core.shell_programs import acts_of, doubt_of
from veracast.core.shell_words import read_shell


def split(text: str) -> tuple[str, tuple]:
    (one,) = read_shell(text)
    return one.words[0].text, one.words[1:]


@pytest.mark.parametrize(
    "text",
    [
        "bash -c ls", "bash", "sh x", "python3", "python3 -", "python3 -c x", "python3 -Ic x", "python3 $x", "perl -e x", "perl -ne x", "node --eval=x", "node -p x", "ruby -e x", "eval x", "source x",
        "alias a=b", "set -o history", "vim x", "ssh h", "git -c a=b log", "git config x y", "git clone -u x y", "git clone -c x=y z", "git grep -Ox y", "git fetch --upload-pack=x", "git $x",
        "tar -I x f", "tar cIf x", "tar --use-comp=x f", "rsync -ave x a b", "zip -T x", "less +x f", "find $x", 'find "$x"', "make SHELL=x", "make --eval=x", "export PATH=x", "export FOO=x",
        "read PATH", "read $x", "declare -n a=b", "printf -v a b", "test -v a", "[ -v a ]", "tar cf *", "man -P x ls", "curl --conf x", "go run x", "rpm --eval x",
    ],
)  # fmt: skip
def test_in_doubt(text: str) -> None:
    assert doubt_of(*split(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "ls -la", "python3 x.py -c y", "python3 --version", "bash --version", "git log", "git -C x status", "git --no-pager diff", "git commit -c HEAD", "git add -u", "tar -xzf x", "rsync -av a b",
        "less f", "find . -name x", 'find . -name "*$x"', "make all", "set -e", "read -r x", "printf '%s' \"$x\"", "test -f a", "export LANG=C", "export", "declare x=1", "sort -k1 \"$x\"", "curl https://a.org",
    ],
)  # fmt: skip
def test_not_in_doubt(text: str) -> None:
    assert doubt_of(*split(text)) is None


@pytest.mark.parametrize(
    ("text", "acts"),
    [
        ("find . -delete", ["-delete"]),
        ("find . -name x", []),
        ("sed -i s/a/b/ f", ["-i"]),
        ("sed -ni.bak p f", ["-i"]),
        ("sed --in-pl p f", ["-i"]),
        ("sort -uo f", ["-o"]),
        ("git push --force", ["push"]),
        ("curl -sSo x y", ["-o"]),
        ("curl --outp=x y", ["-o"]),
        ("git log --outp=x", ["--output"]),
        ("ls -i -o", []),
    ],
)
def test_acts_are_named(text: str, acts: list[str]) -> None:
    assert acts_of(*split(text)) == acts
