"""`veracast audit images`: which images of a training set carry a backdoor patch, and what it looks like.

    read the images -> blocks that recur exactly (step 0) -> encoder, given or trained here -> search (poison/find.py)
      -> verdicts, lists, pictures -> where asked, an encoder trained without what was found, and what the patches do in it -> page

Decoded images and the trained encoder stay in the work folder, each under a digest of all that decides it: an audit that was killed goes on
where it was when the same command is given again. A set that is too small, or an encoder that tells nothing apart, ends as `not_measured`,
and without a verdict there is no list of images to keep.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
from PIL import Image

from veracast.core.config import to_dict
from veracast.core.errors import ConfigError, InputError, NotMeasuredError
from veracast.core.files import cache_folder
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Record, RunWriter
from veracast.core.schemas.images import RETRAINED
from veracast.core.spread import HERE, Spread, blocks
from veracast.data.decoded_images import decoded_images
from veracast.data.images import FRAMES_PER_VIDEO, ImageSet
from veracast.explain.scorer import UnfitScorerError
from veracast.poison.adapters import AdapterConfig, LoadedEncoder, load_encoder
from veracast.poison.attacks import Attack, plant, through_jpeg
from veracast.poison.augment import Augmentation
from veracast.poison.block_hash import EDGE_PX, recurring_blocks
from veracast.poison.controls import as_score, in_words, read_controls
from veracast.poison.demo_images import demo_images
from veracast.poison.encoder import spread_of
from veracast.poison.evidence import (
    cluster_map,
    finding,
    heat,
    in_shots,
    moved,
    patch_table,
    suspicious,
    verdict_table,
)
from veracast.poison.find import FindConfig, PoisonFindings, find_config_for, find_patch_poisons
from veracast.poison.masking import Encode
from veracast.poison.retrained import effects_in
from veracast.poison.ssl import SSLConfig
from veracast.poison.train_once import at_once, trained_once
from veracast.recipes.audit_reasons import why_images
from veracast.recipes.explained import tables_of
from veracast.report.page import write_report
from veracast.report.text import plural

KIND = "audit-images"
BLOCK = 4096  # images that are encoded as one piece of work: a multiple of the batches of all encoders
COLLAPSED = 0.02  # spread of the features under which an encoder takes all images for one
MOST_BLOCKS = 20_000_000  # that step 0 holds at once, of 24 bytes; of more it keeps an even sample
SENSITIVE = SSLConfig(
    augmentation=Augmentation(least_area=0.7, brightness=0.2, contrast=0.2, saturation=0.0, hue=0.0, grey=0.0),
    optimizer="adam",
    lr=1e-3,
    average=0.99,
    batch_size=64,
)
"""A training that learns a patch soon: large crops that seldom cut it away, colours as they are (docs/decisions/0011)."""
DEMO_IMAGES, DEMO_ATTACK = 2_000, Attack(family="cells", edge_px=12, rate=0.06)


@dataclass(frozen=True)
class Config:
    """encoder: what poison/adapters.py loads; None = train one on the images. threads: 0 = as many as torch takes.

    edge_px: images are squeezed to such squares; the sizes in `find` are for `find.for_px` = 32 and grow with the images (poison/find.py).
    work: None = in the cache. retrain: where a patch was found, train again on the images that are kept.
    """

    sources: tuple[Path, ...] = ()
    encoder: str | None = None
    edge_px: int = 32
    find: FindConfig = FindConfig()
    train: SSLConfig = SENSITIVE
    adapter: AdapterConfig = AdapterConfig()
    work: Path | None = None
    least_images: int = 500  # fewer are too few for a recurrence to tell: the audit ends as not measured
    frames_per_video: int = FRAMES_PER_VIDEO  # at most, of a video among the sources, evenly spread over it
    demo: Literal["", "poisoned", "clean"] = ""
    retrain: bool = False
    threads: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        faults = []
        if bool(self.sources) == bool(self.demo):
            faults.append("give sources of images, or demo=poisoned or demo=clean, one of the two")
        if self.demo and self.edge_px != 32:
            faults.append(f"edge_px is {self.edge_px}, the images of the demo have 32")
        if self.retrain and self.encoder is not None:
            faults.append(
                "retrain trains as this audit does, not as your encoder was trained -> leave one of the two out; after your own training audit kept.txt with the new encoder"
            )
        fitted, factor = find_config_for(self.edge_px, self.find)
        least = max(EDGE_PX, fitted.mask.edge_px, *(factor * size for size in fitted.mask.windows_px))
        if self.edge_px < least:
            faults.append(f"edge_px is {self.edge_px}, expected {least} or more: masks and windows must fit (sizes in find are for images of find.for_px, {self.find.for_px})")  # fmt: skip
        if self.least_images < 2 or self.frames_per_video < 1 or self.threads < 0:
            faults.append(f"least_images {self.least_images}, frames_per_video {self.frames_per_video}, threads {self.threads}: expected 2, 1 and 0 or more")  # fmt: skip
        if faults:
            raise ConfigError(faults)


class _Demo(NamedTuple):
    """source: file of the generated images; poisoned (n,): which of them carry the patch; marks: of what was planted."""

    source: Path
    poisoned: np.ndarray
    marks: dict[str, Any]


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT, spread: Spread = HERE) -> Record:
    """Audit; spread: who encodes images. The record's status is `findings` only for a patch that has an effect in the encoder. Raises InputError, ConfigError."""
    with RunWriter(KIND, out, config=to_dict(config), seed=config.seed) as writer:
        work, seconds = config.work or cache_folder(KIND), dict[str, float]()
        demo = _demo(config, work) if config.demo else None
        sources = (demo.source,) if demo else config.sources
        with _timed(seconds, "read"):
            images = decoded_images(
                sources,
                work,
                edge_px=config.edge_px,
                frames_per_video=config.frames_per_video,
                sweep=config.work is None,
                progress=progress,
            )
        writer.input_digest("images", images.digest, sources=[path.name for path in sources], **(demo.marks if demo else {}))  # fmt: skip
        writer.table("rejects", "rejects", images.rejects)
        unknown = dict.fromkeys(
            ("poisoned", "patches", "overlays", "recurring", "in_shots", "shots", "encoder", "encoder_trained")
        )
        counts = {"images": len(images), "rejects": images.rejects.height, **unknown, "seconds": seconds, "work": str(work)}  # fmt: skip
        try:
            record = _audit(images, demo, config, work, counts, writer, progress, spread)
        except NotMeasuredError as why:
            record = writer.finish(status="not_measured", verdict=f"Not measured: {why}", counts=counts)
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


def _audit(images: ImageSet, demo: _Demo | None, config: Config, work: Path, counts: dict[str, Any], writer: RunWriter, progress: Progress, over: Spread) -> Record:  # fmt: skip
    """From the images to the record. NotMeasuredError before anything that reads as a verdict is written."""
    if len(images) < config.least_images:
        raise NotMeasuredError(f"{len(images):,} images, fewer than the {config.least_images:,} that make a recurrence tell")  # fmt: skip
    seconds: dict[str, float] = counts["seconds"]
    with _timed(seconds, "blocks"), progress.step("blocks that recur exactly"):
        recurrence = recurring_blocks(images.pixels, kept=1 + len(images) * config.edge_px**2 // MOST_BLOCKS)
    with _timed(seconds, "encoder"):
        encoder = _encoder(images, config, work, writer, progress)
    counts |= {"encoder": encoder.name, "encoder_trained": config.encoder is None}
    writer.input_digest("encoder", encoder.digest, encoder=encoder.name)
    with _timed(seconds, "features"), progress.step("encode the images"):
        features = _features(encoder, images, over)
    if (width := spread_of(features)) < COLLAPSED:
        raise NotMeasuredError(f"the encoder takes all images for one (spread {width:.3f}, expected {COLLAPSED} or more) -> train it longer, or name another one")  # fmt: skip
    with _timed(seconds, "search"):
        find = replace(config.find, mask=replace(config.find.mask, token_px=_token_px(encoder, config)))
        found = find_patch_poisons(
            images.pixels, encoder.encode, find, features=features, seed=config.seed, progress=progress, over=over
        )
    with _timed(seconds, "write"), progress.step("write verdicts and pictures"):
        verdicts = verdict_table(images, found, recurrence)
        writer.table("verdicts", "verdicts", verdicts)
        writer.table("patches", "patches", patch_table(found))
        writer.table("cluster_map", "cluster_map", cluster_map(features, found, config.seed))
        _write_list(writer, "kept", verdicts.filter(~pl.col("poisoned")))
        _write_list(writer, "removed", verdicts.filter("poisoned"))
    with _timed(seconds, "explain"), progress.step("why these images"):
        explained = _explain(images, encoder, features, found, writer, counts, config.seed)
    with _timed(seconds, "draw"):
        _draw(images, found, explained, writer)
    after = None
    if config.retrain and found.backdoors:
        with _timed(seconds, "retrain"):
            after = _retrained(images, found, config, work, progress)
        writer.table("retrained", "retrained", after)
    patches, overlays = len(found.backdoors), len(found.patches) - len(found.backdoors)
    shots = in_shots(found)
    counts |= {"in_shots": int(shots.sum()), "shots": len(np.unique(found.groups[shots]))}
    counts |= {"poisoned": int(found.poisoned.sum()), "patches": patches, "overlays": overlays, "recurring": int(recurrence.flagged.sum()), "ratio": round(found.ratio, 3)}  # fmt: skip
    if demo:
        hit = int((found.poisoned & demo.poisoned).sum())
        counts |= {"planted": int(demo.poisoned.sum()), "planted_found": hit}
    return writer.finish(
        status="findings" if patches else "ok",
        verdict=_verdict(counts, after),
        counts=counts,
        scores=[as_score(read_controls())],
        findings=[finding(number, one, verdicts) for number, one in enumerate(found.patches, start=1)],
    )


def _retrained(images: ImageSet, found: PoisonFindings, config: Config, work: Path, progress: Progress) -> pl.DataFrame:
    """What the patches do in an encoder that was trained without their images (schema `retrained`)."""
    kept = np.flatnonzero(~found.poisoned)
    trained = trained_once(
        images.pixels,
        _training(config),
        digest=images.digest,
        work=work,
        seed=config.seed,
        kept=kept,
        progress=progress,
    )
    with progress.step("what the patches do in the new encoder"):
        encode = partial(trained.encode, batch=at_once(config.edge_px))
        effects = effects_in(encode, images.pixels, found, config.find.effect, seed=config.seed)
    numbers = [number for number, one in enumerate(found.patches, start=1) if one.kind == "backdoor"]
    rows = []
    for number, one, after in zip(numbers, found.backdoors, effects, strict=True):
        both = {f"{when}_{key}": value for when, effect in (("before", one.effect), ("after", after)) for key, value in moved(effect).items()}  # fmt: skip
        rows.append({"patch": number, "kept": len(kept), **both, "holds": after.holds(config.find.effect)})
    return pl.DataFrame(rows, schema=RETRAINED)


def _features(encoder: LoadedEncoder, images: ImageSet, over: Spread) -> np.ndarray:
    """Of all images, a block at a time."""
    shared = over.share(encoder.encode)
    return np.concatenate(list(over.map(_encoded, ((shared, np.asarray(images.pixels[low:high])) for low, high in blocks(len(images), BLOCK)))))  # fmt: skip


def _encoded(encode: Encode, pixels: np.ndarray) -> np.ndarray:
    return encode(pixels)


def _verdict(counts: dict[str, Any], after: pl.DataFrame | None) -> str:
    """One line for people."""
    n, poisoned, patches, overlays = (counts[key] for key in ("images", "poisoned", "patches", "overlays"))
    beside = f"; {plural(overlays, 'recurring overlay')} without an effect in the encoder" if overlays else ""
    if patches:
        said = f"{poisoned:,} of {n:,} images carry {'a backdoor patch' if patches == 1 else f'{patches} backdoor patches'}; kept.txt lists the rest{beside}"  # fmt: skip
    else:
        said = f"No backdoor patch found in {n:,} images{beside} ({in_words(read_controls())})"
    for row in after.iter_rows(named=True) if after is not None else ():
        said += f"; trained without them, pasting patch {row['patch']} moves {row['after_moved']:.1%} of other images ({row['before_moved']:.1%} before)"
    if "planted" in counts:
        other = poisoned - counts["planted_found"]
        said += f". Demo: {counts['planted_found']:,} of {counts['planted']:,} planted images found, {other:,} others flagged"
    return said


def _demo(config: Config, work: Path) -> _Demo:
    """Generated images, with and without planted patches, as a file like any other; both went through JPEG alike."""
    images, labels = demo_images(config.seed, count=DEMO_IMAGES)
    attack = replace(DEMO_ATTACK, seed=config.seed)
    if config.demo == "poisoned":
        planted = plant(images, labels, [attack])
        images, poisoned, marks = planted.images, planted.poisoned, planted.marks
    else:
        images, poisoned, marks = through_jpeg(images, attack.jpeg_quality), np.zeros(len(images), dtype=bool), {}
    path = work / f"demo-{config.demo}-{hashlib.sha256(images.tobytes()).hexdigest()[:12]}.npy"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}-{os.getpid()}.npy")
        np.save(temporary, images)
        os.replace(temporary, path)
    return _Demo(path, poisoned, marks)


def _encoder(images: ImageSet, config: Config, work: Path, writer: RunWriter, progress: Progress) -> LoadedEncoder:
    """The one that was named, or one trained on the images; a training that was killed goes on."""
    if config.encoder is not None:
        threads = config.threads or torch.get_num_threads()
        with progress.step("load the encoder"):
            return load_encoder(config.encoder, edge_px=config.edge_px, threads=threads, config=config.adapter)
    trained = trained_once(
        images.pixels, _training(config), digest=images.digest, work=work, seed=config.seed, progress=progress
    )
    writer.table("encoder_curve", "encoder_curve", trained.curve)
    encode = partial(trained.encode, batch=at_once(config.edge_px))
    return LoadedEncoder(encode, f"{config.train.method}, trained on these images", trained.digest, trained.network, config.train.backbone.patch_px)  # fmt: skip


def _training(config: Config) -> SSLConfig:
    return replace(config.train, threads=config.threads or torch.get_num_threads())


def _token_px(encoder: LoadedEncoder, config: Config) -> int:
    """Of the encoder's tokens, where the config does not say; 1 where there are none, or they do not divide the images."""
    given, known = config.find.mask.token_px, encoder.token_px or 1
    return given if given > 1 or config.edge_px % known else known


def _write_list(writer: RunWriter, name: str, rows: pl.DataFrame) -> None:
    """`source/name` of each image, one a line; as a JSON string where it holds what does not print or begins like one."""
    path = writer.folder / f"{name}.txt"
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for source, image in rows.select("source", "name").iter_rows():
            line = f"{source}/{image}"
            plain = line.isprintable() and not line.startswith('"')
            out.write(f"{line if plain else json.dumps(line)}\n")
    writer.file(name, "image_list", path, "text/plain")


def _explain(images: ImageSet, encoder: LoadedEncoder, features: np.ndarray, found: PoisonFindings, writer: RunWriter, counts: dict[str, Any], seed: int) -> list[int]:  # fmt: skip
    """Tables of why, and the rows of the images that they speak of; an encoder that cannot be explained is said in counts."""
    try:
        every = why_images(
            images.pixels, encoder.encode, features, found, encoder=encoder.name, seed=seed, network=encoder.network
        )
    except (UnfitScorerError, InputError) as fault:  # an encoder may refuse a blanked picture
        counts["unexplained"] = str(fault)
        return []
    for kind, frame in tables_of(every).items():
        writer.table(kind, kind, frame)
    return [int(one.rows["explained"][0]["video_id"].removeprefix("image-")) for one in every]


def _draw(images: ImageSet, found: PoisonFindings, explained: list[int], writer: RunWriter) -> None:
    """evidence/: patch-N.png with its mask as alpha; image-ROW.png and heat-ROW.png, to be laid on it, of the most suspicious; image-ROW.png of those
    that are explained. Native size."""
    (writer.folder / "evidence").mkdir()

    def save(name: str, pixels: np.ndarray) -> None:
        path = writer.folder / "evidence" / f"{name}.png"
        Image.fromarray(pixels).save(path)
        writer.file(f"evidence-{name}", "picture", path, "image/png")

    for number, one in enumerate(found.patches, start=1):
        alpha = one.patch.mask[..., None] * 255.0
        save(
            f"patch-{number}", np.rint(np.concatenate([one.patch.pixels.clip(0, 255), alpha], axis=2)).astype(np.uint8)
        )
    for place in suspicious(found):
        row = int(found.looked_at[place])
        save(f"image-{row}", np.asarray(images.pixels[row]))
        save(f"heat-{row}", heat(found.maps[place], *images.pixels.shape[1:3]))
    drawn = {int(found.looked_at[place]) for place in suspicious(found)}
    for row in dict.fromkeys(explained):
        if row not in drawn:
            save(f"image-{row}", np.asarray(images.pixels[row]))


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """How long a step took, also one that failed."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(time.monotonic() - began, 2)
