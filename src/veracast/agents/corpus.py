"""Many trajectories as arrays of hashed words on disk: what each agent was told, and what it then did.

    FOLDER/ words.u64   told to the agents, rows one after the other, BREAK between turns
            acts.bin    a record per feature of a call: its hash, its row, how many words of the row stood before it

A word is a run of letters and digits, one sign of a script without spaces, a run of one punctuation mark, or white space that is more than a
blank: triggers are made of all of these. Case is kept. What is held in memory is a few numbers a row and its id, whatever its text; words are read from disk
where they are asked for, and texts from their file again for what is shown.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from veracast.agents.actions import calls_of
from veracast.core.errors import InputError
from veracast.core.progress import SILENT, Progress
from veracast.core.spread import HERE, Spread
from veracast.core.trajectories import ToolCall, Trajectory, Turn
from veracast.data.trajectories import Row, read_trajectories

BREAK = np.uint64(0)
"""Stands between turns; no phrase crosses it."""
BLOCK, BLOCK_CHARS = (
    500,
    4_000_000,
)  # rows that are hashed as one piece of work, and characters from which on a piece takes no more
MOST_WORDS = 50_000  # of one row; what follows is counted as cut
MOST_CALL_WORDS = 96
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W{_CJK}]+|([^\w\s])\1*|[^\S \n\r]|[ ]{{2,}}")
_ACT = np.dtype([("feature", "<u8"), ("row", "<i4"), ("at", "<i4")])


class Source(NamedTuple):
    """Where a row of the corpus came from. file: place in the list of files; number: of the row in it, from 1."""

    file: int
    number: int
    id: str
    planted: bool


class Reject(NamedTuple):
    """A row that could not be read."""

    file: int
    number: int
    reason: str
    detail: str


@dataclass(frozen=True)
class Corpus:
    """words: file of uint64; starts (rows + 1,) int64: words of row i are those from starts[i] to starts[i + 1]; acts: records of _ACT, by row."""

    files: tuple[Path, ...]
    words: Path
    starts: np.ndarray
    acts: np.ndarray
    sources: tuple[Source, ...]
    rejects: tuple[Reject, ...]
    cut: int
    digest: str

    def __len__(self) -> int:
        return len(self.sources)

    def told(self, row: int, before: int | None = None) -> np.ndarray:
        """Words that an agent was told in a row, or the first `before` of them."""
        start, stop = self.starts[row], self.starts[row + 1]
        return self._words(start, stop if before is None else min(stop, start + before))

    def told_in(self, low: int, high: int) -> np.ndarray:
        """Words of the rows from low to high, one row after the other."""
        return self._words(self.starts[low], self.starts[high])

    def _words(self, start: int, stop: int) -> np.ndarray:
        return np.fromfile(self.words, dtype=np.uint64, count=stop - start, offset=8 * start)


def read_corpus(files: Sequence[Path], folder: Path, *, progress: Progress = SILENT, spread: Spread = HERE) -> Corpus:
    """Hash all rows of the files into a folder. spread: who hashes; the rows are read here. InputError where a file cannot be read, or no row of all could."""
    folder.mkdir(parents=True, exist_ok=True)
    sources: list[Source] = []
    rejects: list[Reject] = []
    lengths, cut, digest = [0], 0, hashlib.sha256()
    with (folder / "words.u64").open("wb") as words, (folder / "acts.bin").open("wb") as acts, progress.step("read trajectories") as advance:  # fmt: skip
        for block in spread.map(_hashed_block, ((rows,) for rows in _blocks(_rows(files)))):
            for one in block:
                if isinstance(one, Reject):
                    rejects.append(one)
                else:
                    cut += len(one.told) > MOST_WORDS
                    lengths.append(_write(one.told[:MOST_WORDS], one.done, len(sources), words, acts, digest))
                    sources.append(one.source)
            advance(len(block))
    if not sources:
        why = f"no row of {len(rejects):,} is a trajectory" if rejects else "holds no row"
        reasons = ", ".join(dict.fromkeys(one.reason for one in rejects))
        raise InputError(why + (f" ({reasons})" if reasons else ""), file=str(files[0]), remedy="AgentInstruct, ShareGPT or OpenAI messages, as .jsonl, .json or .parquet")  # fmt: skip
    starts = np.cumsum(np.array(lengths, dtype=np.int64))
    done_by = np.fromfile(folder / "acts.bin", dtype=_ACT)
    return Corpus(
        tuple(files), folder / "words.u64", starts, done_by, tuple(sources), tuple(rejects), cut, digest.hexdigest()
    )


def trajectories_at(corpus: Corpus, rows: Iterable[int]) -> Iterator[tuple[int, Trajectory]]:
    """Some rows with their texts, read again one at a time, in the order of the corpus."""
    wanted = {(corpus.sources[row].file, corpus.sources[row].number): row for row in rows}
    for place in sorted({place for place, _ in wanted}):
        left = sum(file == place for file, _ in wanted)
        for row in read_trajectories(corpus.files[place]):
            if (place, row.number) in wanted and row.trajectory is not None:
                yield wanted[place, row.number], row.trajectory
                left -= 1
            if not left:
                break


def hashed(one: Trajectory) -> tuple[np.ndarray, list[tuple[int, int]]]:
    """What an agent was told, as hashes of words with BREAK around every turn; and (feature, words before it) of what it did. Of turns that pass MOST_WORDS
    a few words more are returned, and no others."""
    told: list[int] = [int(BREAK)]
    done: list[tuple[int, int]] = []
    for turn in one.turns:
        if turn.role == "assistant":
            done += [(word_hash(name), len(told)) for name in features(turn)]
        else:
            told += map(word_hash, islice(words_of(turn.text), max(0, MOST_WORDS + 1 - len(told))))
            told.append(int(BREAK))
    return np.array(told, dtype=np.uint64), done


def words_of(text: str) -> Iterator[str]:
    """The words of a text."""
    return (match[0] for match in _WORD.finditer(text))


def spans_of(text: str) -> Iterator[tuple[int, int]]:
    """Where the words of a text stand."""
    return (match.span() for match in _WORD.finditer(text))


@lru_cache(maxsize=1 << 18)
def word_hash(word: str) -> int:
    """64 bits of a word, never those of BREAK; the same on every machine."""
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little") or 1


def features(turn: Turn) -> list[str]:
    """What an assistant's turn did: the tools it called, each whole call, and the words of its arguments; of a turn that calls nothing, its words."""
    calls = calls_of(turn)
    if not calls:
        return list(dict.fromkeys(f"say {word}" for word in words_of(turn.text[:20_000]) if word[0].isalnum()))
    return list(dict.fromkeys(name for call in calls for name in call_features(call)))


def call_features(call: ToolCall) -> Iterator[str]:
    """Of one call, from the general to the special: `tool NAME`, `word NAME WORD`, `call NAME ARGUMENTS`."""
    yield f"tool {call.name}"
    given = [call.raw] if call.arguments is None else list(_strings(call.arguments))
    for word in _argument_words(given):
        yield f"word {call.name} {word}"
    yield f"call {call.name} {' '.join(' '.join(given).split())[:400]}"


def _argument_words(given: Sequence[str]) -> list[str]:
    """Words of arguments as a shell or an address has them: whole, up to marks, and in their parts, such as the domain of hosts that differ."""
    found: dict[str, None] = {}
    for text in given:
        for chunk in text[:20_000].split():
            found |= dict.fromkeys(
                (chunk.strip("'\"`,;()"), *re.findall(r"[\w.-]*\w", chunk), *re.findall(r"\w+", chunk))
            )
    return [word for word in found if word][:MOST_CALL_WORDS]


def _strings(value: Any) -> Iterator[str]:
    """Every text inside arguments, in the order of their keys."""
    if isinstance(value, Mapping):
        for key in sorted(value, key=str):
            yield from _strings(value[key])
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        for part in value:
            yield from _strings(part)
    else:
        yield str(value)


class _Hashed(NamedTuple):
    """A row as `hashed` has it."""

    source: Source
    told: np.ndarray
    done: list[tuple[int, int]]


def _hashed_block(rows: Sequence[tuple[int, Row]]) -> list[_Hashed | Reject]:
    """Rows with the place of their file."""
    found: list[_Hashed | Reject] = []
    for place, row in rows:
        if row.trajectory is None:
            found.append(Reject(place, row.number, row.reason, row.detail))
        else:
            source = Source(place, row.number, row.trajectory.id, row.trajectory.planted)
            found.append(_Hashed(source, *hashed(row.trajectory)))
    return found


def _blocks(rows: Iterator[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    """Pieces of work: a row may hold megabytes, and no more than a few of those are held at once."""
    block: list[tuple[int, Row]] = []
    size = 0
    for place, row in rows:
        block.append((place, row))
        size += sum(len(turn.text) for turn in row.trajectory.turns) if row.trajectory is not None else 0
        if len(block) >= BLOCK or size >= BLOCK_CHARS:
            yield block
            block, size = [], 0
    if block:
        yield block


def _rows(files: Sequence[Path]) -> Iterator[tuple[int, Row]]:
    for place, file in enumerate(files):
        for row in read_trajectories(file):
            yield place, row


def _write(told: np.ndarray, done: Sequence[tuple[int, int]], row: int, words: IO[bytes], acts: IO[bytes], digest: Any) -> int:  # fmt: skip
    """One row to both files; how many words it has."""
    first: dict[int, int] = {}
    for feature, at in done:
        first.setdefault(feature, at)
    records = np.array([(feature, row, min(at, len(told))) for feature, at in first.items()], dtype=_ACT)
    for handle, part in ((words, told), (acts, records)):
        raw = part.tobytes()
        handle.write(raw)
        digest.update(raw)
    return len(told)
