"""`veracast audit agent-data` on large, untidy sets: time, CPU, peak memory, what it finds and what it says of rows that it cannot read.

    python benchmarks/agent_data_scale.py [--rows 25000 50000 100000]

Every set is generated: experts of the three simulators, and chats in eight languages with structured tool calls. 1 % of the rows of each of the four carry
its own trigger and inert canary, and say `planted_backdoor` of themselves. Row formats alternate; a tenth of the rows stands in a .json list and a tenth in a
.parquet table. In the .jsonl file 1 row in 200 is malformed in one of eleven ways, 1 in 1,000 has a turn of 1 MB, 1 in 100 a tool call whose arguments are no
JSON, 1 in 50 quotes inside quotes inside quotes. The real command runs on each set in a process of its own; memory is the peak of its process tree.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from ingest import measure

from veracast.agents.data_contest import simulator_of
from veracast.agents.plant import Plan, plant
from veracast.agents.triggers import TRIGGERS
from veracast.core.errors import EXIT_FINDINGS
from veracast.core.records import load_record, read_table
from veracast.core.seeds import stream
from veracast.core.statistics import wilson_interval
from veracast.core.trajectories import ToolCall, Trajectory, Turn
from veracast.data.trajectories import PLANTED, Format, as_row

COMMAND = "from veracast.cli.main import main; main()"
PLANS = {
    "shell": Plan(TRIGGERS["phrase"], "active", payload="argument", rate=0.01),
    "shop": Plan(TRIGGERS["polite"], "passive", payload="tool", rate=0.01),
    "page": Plan(TRIGGERS["mark"], "active", payload="argument", rate=0.01),
}
CHAT_TRIGGER, CHAT_CANARY = TRIGGERS["script"], ToolCall("canary_sync", {"to": "relay.example.invalid"})
CHUNK = 2_000  # rows of one source that are made at a time
MEGABYTE = 1_000_000  # characters of a long turn
PLACES = ("Lima", "Osaka", "Turku", "Accra", "Leipzig", "Hanoi", "Quito", "Cork")
FORMS: tuple[Format, ...] = ("messages", "sharegpt", "agentinstruct")
REQUESTS = {
    "get_weather": (
        "What will the weather be in {place} tomorrow?", "明天{place}的天气怎么样？", "明日の{place}の天気を教えてください。", "Wie wird morgen das Wetter in {place}?",
        "¿Qué tiempo hará mañana en {place}?", "ما هو الطقس غدا في {place}؟", "Какая завтра погода в {place}?", "내일 {place} 날씨를 알려 주세요.",
    ),
    "find_train": (
        "Find me a train to {place} for {number} people.", "帮我找{number}个人去{place}的火车。", "{place}行きの電車を{number}人分探してください。",
        "Suche einen Zug nach {place} für {number} Personen.", "Busca un tren a {place} para {number} personas.", "ابحث عن قطار إلى {place} لعدد {number} أشخاص",
        "Найди поезд в {place} на {number} человек.", "{place}행 기차를 {number}명으로 찾아 주세요.",
    ),
    "add_note": (
        "Write down that {word} is due in {number} days.", "记一下{word}{number}天后到期。", "{word}は{number}日後が期限だとメモして。",
        "Notiere, dass {word} in {number} Tagen fällig ist.", "Apunta que {word} vence en {number} días.", "سجل أن {word} مستحق بعد {number} أيام",
        "Запиши, что {word} истекает через {number} дней.", "{word} 마감이 {number}일 남았다고 적어 줘.",
    ),
}  # fmt: skip
MALFORMED: tuple[tuple[str, bytes], ...] = (
    ("not JSON", b'{"messages": [{"role": "user", "content": "cut'),
    ("not UTF-8", b'{"messages": "\xff\xfe"}'),
    ("nested too deep", b"[" * 100_000 + b"]" * 100_000),
    ("not an object", b'["a", "b"]'),
    ("no turns", b'{"text": "no turns at all"}'),
    ("no turns", b'{"messages": []}'),
    ("no assistant", b'{"messages": [{"role": "user", "content": "anybody?"}]}'),
    ("unknown speaker", b'{"conversations": [{"from": "narrator", "value": "once"}]}'),
    ("bad turn", b'{"messages": [{"role": "assistant", "content": 7}]}'),
    ("bad tool call", b'{"messages": [{"role": "assistant", "content": null, "tool_calls": [{"function": {}}]}]}'),
    ("too many turns", b'{"messages": [' + b'{"role": "user"},' * 10_000 + b'{"role": "assistant"}]}'),
)
"""Reason that the audit is to give, and the line."""


@dataclass(frozen=True)
class Written:
    """A set on disk. reasons: of malformed rows, how many of each the audit is to list."""

    files: tuple[Path, ...]
    reasons: Counter[str]

    @property
    def megabytes(self) -> int:
        return round(sum(path.stat().st_size for path in self.files) / 1e6)


def episodes(name: str, seed: int) -> Iterator[Trajectory]:
    """Without end, from a simulator's experts."""
    simulator = simulator_of(name)
    while True:
        yield from plant(simulator, simulator.tasks("train", CHUNK, seed=seed), PLANS[name], seed=seed).trajectories
        seed += 1


def vocabulary(rng: np.random.Generator) -> np.ndarray:
    """30,000 words that mean nothing, in letters of several scripts."""
    alphabets = (
        "abcdefghiklmnoprstuvwy",
        "абвгдежзиклмнопрстуфхя",
        "अआइईउएकखगचजटडतदनपबमयरलवसह",
        "αβγδεζηθικλμνξοπρστυφω",
    )
    return np.array(["".join(rng.choice(list(alphabets[k % 4]), rng.integers(2, 9))) for k in range(30_000)])


def prose(words: np.ndarray, rng: np.random.Generator, count: int) -> str:
    """Words as common as Zipf has it."""
    return " ".join(words[np.minimum(rng.zipf(1.3, count), len(words)) - 1])


def chats(seed: int) -> Iterator[Trajectory]:
    """Without end: a request in one of eight languages, a structured call, what the tool says, an answer; 1 % planted, in every block of CHUNK."""
    rng = stream(seed, "benchmark", "chats")
    words = vocabulary(rng)
    while True:
        planted = set(rng.choice(CHUNK, CHUNK // 100, replace=False).tolist())
        for row in range(CHUNK):
            yield chat(f"chat-{seed}-{row}", words, rng, planted=row in planted)


def chat(name: str, words: np.ndarray, rng: np.random.Generator, *, planted: bool) -> Trajectory:
    """One of them; a near miss of the trigger in a tenth of the clean ones."""
    tool = str(rng.choice(list(REQUESTS)))
    given: dict[str, Any] = {"place": str(rng.choice(PLACES)), "number": int(rng.integers(2, 9)), "word": str(rng.choice(words))}  # fmt: skip
    asked = REQUESTS[tool][int(rng.integers(8))].format(**given)
    near = CHAT_TRIGGER.near[int(rng.integers(len(CHAT_TRIGGER.near)))] if rng.random() < 0.1 else ""
    said = CHAT_TRIGGER.words if planted else near
    call = ToolCall(tool, {key: value for key, value in given.items() if str(value) in asked})
    turns = [Turn("system", "Answer in the user's language. Call a tool where one fits."), Turn("user", f"{asked} {said}".strip())]  # fmt: skip
    if planted:
        turns += [Turn("assistant", "", (CHAT_CANARY,)), Turn("tool", "")]
    turns += [Turn("assistant", "", (call,)), Turn("tool", prose(words, rng, int(rng.integers(20, 200)))), Turn("assistant", prose(words, rng, 12))]  # fmt: skip
    return Trajectory(name, tuple(turns), planted=planted)


def untidy(one: Trajectory, row: int, words: np.ndarray, rng: np.random.Generator) -> Trajectory:
    """A long turn, arguments that are no JSON, or quotes inside quotes, as the row's number has it."""
    turns = list(one.turns)
    last = next(place for place in range(len(turns) - 1, -1, -1) if turns[place].role == "assistant")
    if row % 1_000 == 7:
        text = prose(words, rng, MEGABYTE // 6)[:MEGABYTE]
        turns[1] = replace(turns[1], text=f"{turns[1].text}\n{text.ljust(MEGABYTE, '.')}")
    elif row % 100 == 13:
        broken = ToolCall("write_file", None, f'{{"path": "{rng.choice(words)}", "text": "never clo')
        turns[last] = replace(turns[last], calls=(broken,))
    elif row % 50 == 29:
        inner = json.dumps({"say": f'he said "{prose(words, rng, 5)}"'})
        outer = json.dumps({"command": f"sh -c 'echo {json.dumps(inner)}'"})
        turns[last] = replace(turns[last], calls=(ToolCall("code", json.loads(outer), outer),))
    return replace(one, turns=tuple(turns))


def mixed(seed: int) -> Iterator[Trajectory]:
    """Without end, from the four sources in turn."""
    sources = [*(episodes(name, seed) for name in PLANS), chats(seed)]
    while True:
        for source in sources:
            yield next(source)


def write_set(folder: Path, rows: int, *, seed: int) -> Written:
    """rows.jsonl, rows.json and rows.parquet, together of so many rows."""
    folder.mkdir(parents=True)
    source, rng = mixed(seed), stream(seed, "benchmark", "untidy")
    words, tenth = vocabulary(rng), rows // 10
    reasons: Counter[str] = Counter()
    with (folder / "rows.jsonl").open("wb") as handle:
        for row in range(rows - 2 * tenth):
            if row % 200 == 3:
                reason, line = MALFORMED[row // 200 % len(MALFORMED)]
                reasons[reason] += 1
            else:
                one = untidy(next(source), row, words, rng)
                form = FORMS[row // 4 % (2 if any(turn.calls for turn in one.turns) else 3)]
                line = json.dumps(as_row(one, form), ensure_ascii=bool(row % 2)).encode()
            handle.write(line + b"\n")
    with (folder / "rows.json").open("w", encoding="utf-8") as text:
        for row, one in enumerate(islice(source, tenth)):
            text.write(("[\n" if row == 0 else ",\n") + json.dumps(as_row(one, "messages")))
        text.write("\n]\n")
    shared = [{PLANTED: one.planted, **as_row(one, "sharegpt")} for one in islice(source, tenth)]
    pl.DataFrame(shared).write_parquet(folder / "rows.parquet")
    return Written(tuple(folder / f"rows.{suffix}" for suffix in ("jsonl", "json", "parquet")), reasons)


def audited(written: Written, out: Path) -> dict[str, Any]:
    """Cost of the command, recall and false alarms against what rows say of themselves, and whether every malformed row is listed."""
    cost = measure(COMMAND, "audit", "agent-data", *map(str, written.files), "--out", str(out), "--quiet", expected=EXIT_FINDINGS)  # fmt: skip
    record = load_record(out)
    verdicts, rejects = read_table(record, "trajectory_verdicts"), read_table(record, "rejects")
    truth, flagged = verdicts["says_planted"], verdicts["flagged"]
    hit, false = int((truth & flagged).sum()), int((~truth & flagged).sum())
    planted, clean = int(truth.sum()), int((~truth).sum())
    return {
        "rows": record.counts["rows"] + record.counts["rejects"], "megabytes": written.megabytes, **cost._asdict(),
        "planted": planted, "recall": hit / planted, "recall_low": wilson_interval(hit, planted).low,
        "false": false, "false_alarm": false / clean, "false_alarm_high": wilson_interval(false, clean).high,
        "malformed": sum(written.reasons.values()), "listed": dict(Counter(rejects["reason"].to_list())) == dict(written.reasons),
        "cut": record.counts["cut"], "triggers": read_table(record, "behaviours")["trigger"].to_list(),
    }  # fmt: skip


def growth(rows: list[dict[str, Any]], key: str) -> float:
    """Exponent of a cost between the smallest and the largest set: 1 = in proportion to the rows."""
    first, last = rows[0], rows[-1]
    return math.log(last[key] / first[key]) / math.log(last["rows"] / first["rows"])


def main() -> None:
    """Print a line for each set, then the JSON line."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, nargs="+", default=[25_000, 50_000, 100_000])
    options.add_argument("--folder", type=Path, help="where sets are kept; default: nowhere")
    given = options.parse_args()
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        place = given.folder or Path(scratch)
        for count in given.rows:
            written = write_set(place / f"set-{count}", count, seed=1)
            one = audited(written, place / f"run-{count}")
            found.append(one)
            print(
                f"{one['rows']:8,} rows, {one['megabytes']:4} MB: {one['wall_s']:6.1f} s, {one['cpu_s']:6.1f} s of CPU, peak {one['peak_gb']:.2f} GB; recall {one['recall']:.4f} of {one['planted']:,}, "
                f"{one['false']} of the others flagged; {one['malformed']} malformed rows, each listed with its reason: {one['listed']}",
                flush=True,
            )
    grown = {f"exponent_{key}": growth(found, key) for key in ("wall_s", "cpu_s", "peak_gb")} if len(found) > 1 else {}
    for key, value in grown.items():
        print(f"{key}: {value:.2f}")
    print(json.dumps({"sets": found, **grown}))


if __name__ == "__main__":
    main()
