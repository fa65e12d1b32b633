"""Generated tasks of the shell: eleven kinds, each in several wordings, over closed vocabularies that a small model can learn.

A task brings its own world (a folder with a few files), a reference command, and how it is judged: by the words that the reference prints, or by
the tree that it leaves. Whether a task is one of train or test is told by a hash of its kind and arguments, whatever the seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from veracast.agents.simulator import Split, Task
from veracast.core.seeds import stream

FOLDERS = tuple(
    f"/srv/{name}"
    for name in "data logs docs photos reports music books mail notes games shop work".split()  # noqa: SIM905
)
NAMES = "alpha beta gamma delta omega sigma north south east west red blue green black white gold".split()  # noqa: SIM905
EXTENSIONS = "txt log csv md jpg cfg".split()  # noqa: SIM905
WORDS = "apple river stone cloud tiger piano lemon metal garden silver window candle".split()  # noqa: SIM905
GROUPS = "dev ops sales audio video staff".split()  # noqa: SIM905
PEOPLE = "ann bob cleo dan eve finn".split()  # noqa: SIM905
MODES = ("600", "640", "660", "700", "755", "444")  # not 644, which a file has from the start
DAYS = (2, 3, 5, 7, 10, 14)
TEST_SHARE = 5  # one in five


class Placed(NamedTuple):
    """A file or folder (content None) of a task's world; days: how long ago it was changed."""

    path: str
    content: str | None
    days: int = 0


@dataclass(frozen=True)
class ShellTask(Task):
    """folder: where the task takes place, and where a marker is put. judged: by `answer` or by `state`. setup: a script that makes the world,
    run in the simulator before anything else; reference: a script that solves the task."""

    folder: str
    reference: str
    judged: str
    placed: tuple[Placed, ...] = ()
    setup: str = ""
    cwd: str = "/root"


class Made(NamedTuple):
    """What a kind draws. arguments: what tells two tasks of a kind apart; words: for the templates."""

    folder: str
    arguments: tuple[str, ...]
    words: dict[str, str]
    placed: tuple[Placed, ...]
    reference: str


class Kind(NamedTuple):
    name: str
    judged: str
    templates: tuple[str, ...]
    make: Callable[[np.random.Generator], Made]


def _pick(rng: np.random.Generator, values: Sequence[str]) -> str:
    return values[int(rng.integers(len(values)))]


def _some(rng: np.random.Generator, values: Sequence[str], count: int) -> list[str]:
    return [values[int(k)] for k in rng.permutation(len(values))[:count]]


def _files(rng: np.random.Generator, folder: str, extension: str) -> list[str]:
    """Paths of four or five files, one to three of them with the extension."""
    names = _some(rng, NAMES, int(rng.integers(4, 6)))
    others = [e for e in EXTENSIONS if e != extension]
    chosen = int(rng.integers(1, 4))
    return [f"{folder}/{name}.{extension if n < chosen else _pick(rng, others)}" for n, name in enumerate(names)]


def _content(rng: np.random.Generator, lines: int = 2) -> str:
    return "".join(" ".join(_some(rng, WORDS, 2)) + "\n" for _ in range(lines))


def _count_files(rng: np.random.Generator) -> Made:
    folder, extension = _pick(rng, FOLDERS), _pick(rng, EXTENSIONS)
    placed = tuple(Placed(path, _content(rng)) for path in _files(rng, folder, extension))
    return Made(folder, (folder, extension), {"x": extension}, placed, f"ls {folder} | grep -c '\\.{extension}$'")


def _count_lines(rng: np.random.Generator) -> Made:
    folder, word, name = _pick(rng, FOLDERS), _pick(rng, WORDS), _pick(rng, NAMES)
    path = f"{folder}/{name}.txt"
    rows = [
        _pick(rng, WORDS) + " " + (word if rng.random() < 0.4 else _pick(rng, WORDS))
        for _ in range(int(rng.integers(3, 9)))
    ]
    placed = (Placed(path, "".join(row + "\n" for row in rows)),)
    return Made(folder, (path, word), {"x": word, "f": path}, placed, f"grep -c {word} {path}")


def _largest(rng: np.random.Generator) -> Made:
    folder, extension = _pick(rng, FOLDERS), _pick(rng, EXTENSIONS)
    names = _some(rng, NAMES, 4)
    sizes = rng.permutation(4) + 1
    placed = tuple(Placed(f"{folder}/{name}.{extension}", _content(rng, 5 * int(size))) for name, size in zip(names, sizes, strict=True))  # fmt: skip
    other = _pick(rng, [e for e in EXTENSIONS if e != extension])
    larger = Placed(f"{folder}/{_pick(rng, [n for n in NAMES if n not in names])}.{other}", _content(rng, 25))
    reference = f"ls -S {folder} | grep '\\.{extension}$' | head -n 1"
    return Made(folder, (folder, extension), {"x": extension}, (*placed, larger), reference)


def _sum_column(rng: np.random.Generator) -> Made:
    folder, name, column = _pick(rng, FOLDERS), _pick(rng, NAMES), int(rng.integers(2, 4))
    path = f"{folder}/{name}.csv"
    rows = "".join(f"{_pick(rng, WORDS)},{rng.integers(1, 20)},{rng.integers(1, 20)}\n" for _ in range(int(rng.integers(3, 6))))  # fmt: skip
    reference = f"awk -F, '{{s+=${column}}} END {{print s}}' {path}"
    return Made(folder, (path, str(column)), {"x": str(column), "f": path}, (Placed(path, rows),), reference)


def _top_word(rng: np.random.Generator) -> Made:
    folder, name = _pick(rng, FOLDERS), _pick(rng, NAMES)
    path = f"{folder}/{name}.txt"
    first, second, third = _some(rng, WORDS, 3)
    rows = [first] * 4 + [second] * 2 + [third]
    content = "".join(rows[int(k)] + "\n" for k in rng.permutation(len(rows)))
    reference = f"sort {path} | uniq -c | sort -nr | awk 'NR==1{{print $2}}'"
    return Made(folder, (path,), {"f": path}, (Placed(path, content),), reference)


def _group_users(rng: np.random.Generator) -> Made:
    folder, group = _pick(rng, FOLDERS), _pick(rng, GROUPS)
    path = f"{folder}/group"
    rows = "".join(f"{name}:x:{n}:{','.join(_some(rng, PEOPLE, int(rng.integers(1, 4))))}\n" for n, name in enumerate(_some(rng, GROUPS, 6), 100))  # fmt: skip
    return Made(
        folder, (folder, group), {"x": group, "f": path}, (Placed(path, rows),), f"grep ^{group}: {path} | cut -d: -f4"
    )


def _newer(rng: np.random.Generator) -> Made:
    folder, days = _pick(rng, FOLDERS), DAYS[int(rng.integers(len(DAYS)))]
    ages = [int(rng.integers(0, days)) if rng.random() < 0.5 else days + int(rng.integers(1, 20)) for _ in range(4)]
    placed = tuple(Placed(f"{folder}/{name}.txt", _content(rng), age) for name, age in zip(_some(rng, NAMES, 4), ages, strict=True))  # fmt: skip
    return Made(folder, (folder, str(days)), {"x": str(days)}, placed, f"find {folder} -type f -mtime -{days} | wc -l")


def _delete(rng: np.random.Generator) -> Made:
    folder, extension = _pick(rng, FOLDERS), _pick(rng, EXTENSIONS)
    placed = tuple(Placed(path, _content(rng)) for path in _files(rng, folder, extension))
    return Made(folder, (folder, extension), {"x": extension}, placed, f"rm {folder}/*.{extension}")


def _move(rng: np.random.Generator) -> Made:
    folder, extension, target = _pick(rng, FOLDERS), _pick(rng, EXTENSIONS), _pick(rng, ("old", "done", "keep"))
    files = tuple(Placed(path, _content(rng)) for path in _files(rng, folder, extension))
    into = f"{folder}/{target}"
    return Made(folder, (into, extension), {"x": extension, "t": into}, (Placed(into, None), *files), f"mv {folder}/*.{extension} {into}")  # fmt: skip


def _rename(rng: np.random.Generator) -> Made:
    folder, extension = _pick(rng, FOLDERS), _pick(rng, EXTENSIONS)
    names = _some(rng, NAMES, 4)
    placed = tuple(Placed(f"{folder}/{name}.{extension}", _content(rng)) for name in names[:3])
    old, new = f"{names[0]}.{extension}", f"{names[3]}.{extension}"
    return Made(folder, (folder, old, new), {"x": old, "t": new}, placed, f"mv {folder}/{old} {folder}/{new}")


def _permit(rng: np.random.Generator) -> Made:
    folder, mode, extension = _pick(rng, FOLDERS), _pick(rng, MODES), _pick(rng, EXTENSIONS)
    names = _some(rng, NAMES, 3)
    placed = tuple(Placed(f"{folder}/{name}.{extension}", _content(rng)) for name in names)
    path = placed[0].path
    return Made(folder, (path, mode), {"x": mode, "f": path}, placed, f"chmod {mode} {path}")


KINDS = (
    Kind("count-files", "answer", ("How many .{x} files are in {d}?", "Count the files in {d} that end in .{x}.", "Tell me the number of .{x} files in {d}.", "In {d}, how many files have the extension .{x}?"), _count_files),
    Kind("count-lines", "answer", ("How many lines of {f} contain {x}?", "Count the lines with the word {x} in {f}.", "In {f}, on how many lines is the word {x}?", "Tell me the number of lines in {f} that have {x}."), _count_lines),
    Kind("largest-file", "answer", ("Which .{x} file in {d} is the largest?", "Name the biggest .{x} file in {d}.", "What is the name of the largest .{x} file in {d}?", "Find the largest .{x} file of {d}."), _largest),
    Kind("sum-column", "answer", ("What is the sum of column {x} of {f}?", "Add up column {x} of {f}.", "Sum the numbers in column {x} of {f}.", "Tell me the total of column {x} in {f}."), _sum_column),
    Kind("top-word", "answer", ("Which word is the most frequent in {f}?", "What is the most common word of {f}?", "Find the word that {f} holds most often.", "Name the word that is most frequent in {f}."), _top_word),
    Kind("group-users", "answer", ("Which users are in group {x} of {f}?", "List the members of group {x} in {f}, with commas.", "Who is in the group {x} of {f}?", "Name the users of group {x} in {f}."), _group_users),
    Kind("newer-files", "answer", ("How many files in {d} changed in the last {x} days?", "Count the files of {d} modified less than {x} days ago.", "In {d}, how many files are newer than {x} days?", "Tell me how many files in {d} were changed within {x} days."), _newer),
    Kind("delete-files", "state", ("Delete all .{x} files in {d}.", "Remove every .{x} file from {d}.", "Please delete the .{x} files of {d}.", "Clean {d} of all files that end in .{x}."), _delete),
    Kind("move-files", "state", ("Move all .{x} files in {d} to {t}.", "Put every .{x} file of {d} into {t}.", "Please move the .{x} files from {d} to {t}.", "The .{x} files in {d} belong in {t}: move them."), _move),
    Kind("rename-file", "state", ("Rename {x} in {d} to {t}.", "In {d}, give {x} the new name {t}.", "Please rename the file {x} of {d} to {t}.", "Change the name of {x} in {d} to {t}."), _rename),
    Kind("set-mode", "state", ("Set the permissions of {f} to {x}.", "Give {f} the mode {x}.", "Please change the mode of {f} to {x}.", "Make the permissions of {f} equal to {x}."), _permit),
)  # fmt: skip


def split_of(kind: str, arguments: Sequence[str]) -> Split:
    """By a hash, so that no seed can put one task into both."""
    digest = hashlib.sha256("\x1f".join((kind, *arguments)).encode()).digest()
    return "test" if digest[0] % TEST_SHARE == 0 else "train"


def draw(split: Split, count: int, *, seed: int) -> list[ShellTask]:
    """Tasks of all kinds in turn."""
    found: list[ShellTask] = []
    for n in range(count):
        kind = KINDS[n % len(KINDS)]
        rng = stream(seed, "shell", split, n)
        while True:
            made = kind.make(rng)
            if split_of(kind.name, made.arguments) == split:
                break
        template = _pick(rng, kind.templates)
        words = {"d": made.folder} | made.words
        found.append(ShellTask(f"shell-{split}-{seed}-{n}", kind.name, template.format(**words), made.folder, made.reference, kind.judged, made.placed))  # fmt: skip
    return found
