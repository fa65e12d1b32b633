"""Tables of any kind (CSV, TSV, JSON lines, Parquet) as text columns, and from text columns to a batch.

Readers of tabular sources only rename columns to the raw names below; parsing, validation and rejects are the same for all.

Raw columns (all text, all optional but `id` and `posted`): id platform author title description topic category language
url duration posted observed level followers views likes comments shares collects coins danmaku
hashtags music music_used list_position list_name
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from veracast.core.errors import InputError
from veracast.data import counts
from veracast.data.readers.protocol import Batch, ReadOptions
from veracast.data.schema import INDICATORS, LINKS, REJECTS, SNAPSHOTS, VIDEOS, empty

RAW = (
    "id", "platform", "author", "title", "description", "topic", "category", "language", "url", "duration", "posted",
    "observed", "level", "followers", *INDICATORS, "hashtags", "music", "music_used", "list_position", "list_name",
)  # fmt: skip
MAX_TEXT_CHARS = 20_000
_REMEDY = "mend or remove the row, or use --on-error skip"
_ENCODINGS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: Path) -> str:
    """The whole file as text: UTF-8 (with or without a mark) or UTF-16; anything else is a fault that names the line."""
    raw = path.read_bytes()
    encoding = next((name for mark, name in _ENCODINGS if raw.startswith(mark)), "utf-8")
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        message = f"byte {error.start} is not valid {encoding} (mixed encodings?)"
        raise InputError(message, file=str(path), record=f"line {line}", remedy="save the file as UTF-8") from error


def read_csv(path: Path, *, separator: str = ",") -> pl.DataFrame:
    """A CSV as text columns; rows of a wrong length are a fault that names the row."""
    text = read_text(path)
    if not text.strip():
        raise InputError("the file is empty", file=str(path), remedy="export it again")
    try:
        return pl.read_csv(io.BytesIO(text.encode()), infer_schema=False, separator=separator)
    except (pl.exceptions.ComputeError, pl.exceptions.SchemaError, pl.exceptions.NoDataError) as error:
        message = f"not a readable CSV ({str(error).splitlines()[0]})"
        raise InputError(message, file=str(path), remedy="check quotes and separators, or export it again") from error


def assemble(raw: pl.DataFrame, path: Path, options: ReadOptions, *, platform: str | None, zone: str) -> Batch:
    """A batch from raw text columns; `platform` is the constant used where there is no such column.

    Raises InputError at the first bad row under on_error="stop"; else bad rows become rejects.
    """
    raw = raw.cast(pl.String)  # a column that a source left wholly blank has no type of its own
    raw = raw.with_columns([pl.lit(None, pl.String).alias(name) for name in RAW if name not in raw.columns])
    raw = raw.with_row_index("source_row", offset=1).with_columns(pl.col("source_row").cast(pl.Int64))
    table = _parse(raw, platform, options.timezone or zone, options.observed_at)
    table = _judge(table)
    bad = table.filter(pl.col("reason").is_not_null())
    if bad.height and options.on_error == "stop":
        row = bad.row(0, named=True)
        message = f"{row['reason']}: {row['detail']}" if row["detail"] else row["reason"]
        raise InputError(message, file=str(path), record=f"row {row['source_row']}", remedy=_REMEDY)
    kept = table.filter(pl.col("reason").is_null())
    rejects = bad.select(
        file=pl.lit(path.name), record=pl.format("row {}", "source_row"), reason="reason", detail="detail"
    )
    return Batch(
        videos=kept.select([pl.col(name).cast(dtype) for name, dtype in VIDEOS.items()]),
        snapshots=kept.select([pl.col(name).cast(dtype) for name, dtype in SNAPSHOTS.items()]),
        links=_links(kept),
        rejects=rejects.select([pl.col(name).cast(dtype) for name, dtype in REJECTS.items()]),
        bytes_done=path.stat().st_size,
    )


def _parse(raw: pl.DataFrame, platform: str | None, zone: str, observed_at: datetime | None) -> pl.DataFrame:
    def text(name: str) -> pl.Expr:
        return pl.when(~counts.is_blank(pl.col(name))).then(pl.col(name).str.strip_chars())

    names = ("author", "title", "description", "topic", "category", "language", "url", "hashtags", "music", "list_name")
    given = pl.lit(observed_at).cast(pl.Datetime("us", "UTC")) if observed_at is not None else None
    observed = counts.time(pl.col("observed"), zone)
    table = raw.with_columns(
        *[text(name).alias(name) for name in names],
        native=text("id"),
        platform=pl.coalesce(text("platform").str.to_lowercase(), pl.lit(platform or "unknown")),
        posted_at=counts.time(pl.col("posted"), zone),
        observed_at=pl.coalesce(observed, given) if given is not None else observed,
        duration_s=counts.duration_s(pl.col("duration")),
        synthetic=pl.lit(value=False),
        **{
            f"{name}_n": counts.count(pl.col(name))
            for name in ("followers", *INDICATORS, "music_used", "list_position")
        },
        level_n=counts.count(pl.col("level")),
    )
    return table.with_columns(
        video_id=pl.concat_str(["platform", "native"], separator=":"), author_id="author", sentiment=pl.lit(None)
    )


def _judge(table: pl.DataFrame) -> pl.DataFrame:
    """Columns reason and detail: the first fault of each row, null where it has none. Counters take their parsed form."""
    counters = ("followers", *INDICATORS)
    garbled = [~counts.is_blank(pl.col(c)) & pl.col(f"{c}_n").is_null() for c in counters]
    blank = pl.all_horizontal([pl.col(f"{c}_n").is_null() for c in INDICATORS])
    texts = pl.max_horizontal(
        [pl.col(c).str.len_chars().fill_null(0) for c in ("title", "description", "url", "native")]
    )
    twice = (
        pl.struct("video_id", "observed_at").is_duplicated()
        & ~pl.struct("video_id", "observed_at", *[f"{c}_n" for c in INDICATORS]).is_duplicated()
    )
    checks: list[tuple[str, pl.Expr, str | None]] = [
        ("no video id", pl.col("native").is_null(), None),
        ("bad posting time", pl.col("posted_at").is_null(), "posted"),
        (
            "no crawl time, give --observed-at",
            pl.col("observed_at").is_null() & counts.is_blank(pl.col("observed")),
            None,
        ),
        ("bad crawl time", pl.col("observed_at").is_null(), "observed"),
        ("dates out of order", pl.col("observed_at") < pl.col("posted_at") - pl.duration(days=1), "observed"),
        *[(f"not a count in {c}", fault, c) for c, fault in zip(counters, garbled, strict=True)],
        *[(f"negative count in {c}", pl.col(f"{c}_n") < 0, c) for c in counters],
        *[(f"absurd count in {c}", pl.col(f"{c}_n") > counts.MAX_COUNT, c) for c in counters],
        ("level outside 0-9", pl.col("level_n").is_not_null() & ~pl.col("level_n").is_between(0, 9), "level"),
        ("negative duration", pl.col("duration_s") < 0, "duration"),
        ("text too long", texts > MAX_TEXT_CHARS, None),
        ("two different rows for one video and crawl", twice & ~blank, "native"),
    ]
    reason: Any
    detail: Any
    reason = detail = pl.when(pl.lit(value=False)).then(pl.lit(None, pl.String))
    for words, failed, column in checks:
        failed = failed.fill_null(value=False)
        reason = reason.when(failed).then(pl.lit(words))
        detail = detail.when(failed).then(pl.col(column).str.slice(0, 200) if column else pl.lit(""))
    judged = table.with_columns(reason=reason.otherwise(None), detail=detail.otherwise(None))
    parsed = [pl.col(f"{c}_n").alias(c) for c in (*counters, "music_used", "list_position", "level")]
    return judged.with_columns(parsed)


def _links(kept: pl.DataFrame) -> pl.DataFrame:
    """Hashtags, topic and category from posting on; music uses and list positions from the crawl on."""
    nothing = pl.lit(None, pl.Float64)
    tags = kept.filter(pl.col("hashtags").is_not_null()).select(
        "video_id",
        kind=pl.lit("hashtag"),
        target=pl.col("hashtags").str.to_lowercase().str.replace_all("#", " ").str.extract_all(r"[^\s,|;\[\]'\"]+"),
        value=nothing,
        observed_at="posted_at",
    )
    parts = [tags.explode("target").filter(pl.col("target").str.len_chars() > 0)]
    for kind, target, value, known in (
        ("topic", "topic", nothing, "posted_at"),
        ("category", "category", nothing, "posted_at"),
        ("music", "music", pl.col("music_used").cast(pl.Float64), "observed_at"),
        ("list_position", "list_name", pl.col("list_position").cast(pl.Float64), "observed_at"),
    ):
        rows = kept.filter(pl.col(target).is_not_null())
        parts.append(rows.select("video_id", kind=pl.lit(kind), target=target, value=value, observed_at=known))
    typed = [part.select([pl.col(name).cast(dtype) for name, dtype in LINKS.items()]) for part in parts]
    return pl.concat([empty("links"), *typed])


def need(path: Path, frame: pl.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError for columns that a source must have."""
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        message = f"missing columns {', '.join(missing)} (it has {', '.join(frame.columns[:20])})"
        raise InputError(message, file=str(path), remedy="export it again, or describe it by a mapping file")
