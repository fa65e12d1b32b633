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
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, NamedTuple

import numpy as np
import polars as pl
import torch
from PIL import Image

from veracast.core.config import to_dict
from veracast.core.errors import ConfigError, NotMeasuredError
from veracast.core.files import cache_folder, code_behind, code_digest
from veracast.core.progress import SILENT, Progress
from veracast.core.records import Finding, Record, RunWriter
from veracast.core.schemas import PATCHES, RETRAINED
from veracast.data.images import FRAMES_PER_VIDEO, ImageSet, open_images, read_images
from veracast.poison.adapters import AdapterConfig, LoadedEncoder, load_encoder
from veracast.poison.attacks import Attack, plant, through_jpeg
from veracast.poison.augment import Augmentation
from veracast.poison.block_hash import EDGE_PX, Recurrence, recurring_blocks
from veracast.poison.controls import as_score, in_words, read_controls
from veracast.poison.demo_images import demo_images
from veracast.poison.effect import Effect
from veracast.poison.encoder import Encoder, spread
from veracast.poison.find import FindConfig, FoundPatch, PoisonFindings, find_config_for, find_patch_poisons
from veracast.poison.masking import unit
from veracast.poison.retrained import effects_in
from veracast.poison.ssl import RUNNING, SSLConfig, train_encoder
from veracast.report.page import write_report

KIND = "audit-images"
TECHNIQUE = "AML.T0020"  # MITRE ATLAS, Poison Training Data
COLLAPSED = 0.02  # spread of the features under which an encoder takes all images for one
SHOWN = 12  # images with a heat map
NAMED = 1_000  # images that a finding names; verdicts.parquet has all
MOST_BLOCKS = 20_000_000  # that step 0 holds at once, of 24 bytes; of more it keeps an even sample
KEPT_SETS = 4  # decoded sets of images that stay in the cache, beside the one that is asked for
COPIED = 4_096  # images in memory at once, where some are copied
TIMED_STEPS = 5  # of a training that is thrown away, to say how long the real one takes
SENSITIVE = SSLConfig(
    augmentation=Augmentation(least_area=0.7, brightness=0.2, contrast=0.2, saturation=0.0, hue=0.0, grey=0.0),
    optimizer="adam",
    lr=1e-3,
    average=0.99,
    batch_size=64,
)
"""A training that learns a patch soon: large crops that seldom cut it away, colours as they are (docs/decisions/0011)."""
DEMO_IMAGES, DEMO_ATTACK = 2_000, Attack(family="cells", edge_px=12, rate=0.06)
_HEAT = (213, 94, 0)  # the orange of the pages


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
    least_images: int = 500
    frames_per_video: int = FRAMES_PER_VIDEO
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


def run(config: Config, out: Path | None = None, *, progress: Progress = SILENT) -> Record:
    """Audit; the record's status is `findings` only for a patch that has an effect in the encoder. Raises InputError, ConfigError."""
    with RunWriter(KIND, out, config=to_dict(config), seed=config.seed) as writer:
        work, seconds = config.work or cache_folder(KIND), dict[str, float]()
        demo = _demo(config, work) if config.demo else None
        sources = (demo.source,) if demo else config.sources
        with _timed(seconds, "read"):
            images = _images(sources, config, work, progress)
        writer.input_digest("images", images.digest, sources=[path.name for path in sources], **(demo.marks if demo else {}))  # fmt: skip
        writer.table("rejects", "rejects", images.rejects)
        unknown = dict.fromkeys(
            ("poisoned", "patches", "overlays", "recurring", "in_shots", "shots", "encoder", "encoder_trained")
        )
        counts = {"images": len(images), "rejects": images.rejects.height, **unknown, "seconds": seconds, "work": str(work)}  # fmt: skip
        try:
            record = _audit(images, demo, config, work, counts, writer, progress)
        except NotMeasuredError as why:
            record = writer.finish(status="not_measured", verdict=f"Not measured: {why}", counts=counts)
        page = write_report(writer.folder)
    return replace(record, report=str(writer.target / page.name))


def _audit(images: ImageSet, demo: _Demo | None, config: Config, work: Path, counts: dict[str, Any], writer: RunWriter, progress: Progress) -> Record:  # fmt: skip
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
        features = encoder.encode(images.pixels)
    if (width := spread(features)) < COLLAPSED:
        raise NotMeasuredError(f"the encoder takes all images for one (spread {width:.3f}, expected {COLLAPSED} or more) -> train it longer, or name another one")  # fmt: skip
    with _timed(seconds, "search"):
        encode = lambda shown: features if shown is images.pixels else encoder.encode(shown)  # noqa: E731
        find = replace(config.find, mask=replace(config.find.mask, token_px=_token_px(encoder, config)))
        found = find_patch_poisons(images.pixels, encode, find, seed=config.seed, progress=progress)
    with _timed(seconds, "write"), progress.step("write verdicts and pictures"):
        verdicts = _verdicts(images, found, recurrence)
        writer.table("verdicts", "verdicts", verdicts)
        writer.table("patches", "patches", _patches(found))
        writer.table("cluster_map", "cluster_map", _cluster_map(features, found, config.seed))
        _write_list(writer, "kept", verdicts.filter(~pl.col("poisoned")))
        _write_list(writer, "removed", verdicts.filter("poisoned"))
        _draw(images, found, writer)
    after = None
    if config.retrain and found.backdoors:
        with _timed(seconds, "retrain"):
            after = _retrained(images, found, config, work, progress)
        writer.table("retrained", "retrained", after)
    patches, overlays = len(found.backdoors), len(found.patches) - len(found.backdoors)
    in_shots = _in_shots(found)
    counts |= {"in_shots": int(in_shots.sum()), "shots": len(np.unique(found.groups[in_shots]))}
    counts |= {"poisoned": int(found.poisoned.sum()), "patches": patches, "overlays": overlays, "recurring": int(recurrence.flagged.sum()), "ratio": round(found.ratio, 3)}  # fmt: skip
    if demo:
        hit = int((found.poisoned & demo.poisoned).sum())
        counts |= {"planted": int(demo.poisoned.sum()), "planted_found": hit}
    return writer.finish(
        status="findings" if patches else "ok",
        verdict=_verdict(counts, after),
        counts=counts,
        scores=[as_score(read_controls())],
        findings=[_finding(number, one, verdicts) for number, one in enumerate(found.patches, start=1)],
    )


def _retrained(images: ImageSet, found: PoisonFindings, config: Config, work: Path, progress: Progress) -> pl.DataFrame:
    """What the patches do in an encoder that was trained without their images (schema `retrained`)."""
    kept = np.flatnonzero(~found.poisoned)
    trained = _trained(images.pixels, kept, images.digest, config, work, progress)
    with progress.step("what the patches do in the new encoder"):
        encode = partial(trained.encode, batch=_at_once(config.edge_px))
        effects = effects_in(encode, images.pixels, found, config.find.effect, seed=config.seed)
    numbers = [number for number, one in enumerate(found.patches, start=1) if one.kind == "backdoor"]
    rows = []
    for number, one, after in zip(numbers, found.backdoors, effects, strict=True):
        both = {f"{when}_{key}": value for when, effect in (("before", one.effect), ("after", after)) for key, value in _moved(effect).items()}  # fmt: skip
        rows.append({"patch": number, "kept": len(kept), **both, "holds": after.holds(config.find.effect)})
    return pl.DataFrame(rows, schema=RETRAINED)


def _moved(effect: Effect) -> dict[str, float]:
    return {"moved": effect.moved, "moved_low": effect.interval.low, "moved_high": effect.interval.high, "moved_by_windows": effect.by_windows}  # fmt: skip


def _verdict(counts: dict[str, Any], after: pl.DataFrame | None) -> str:
    """One line for people."""
    n, poisoned, patches, overlays = (counts[key] for key in ("images", "poisoned", "patches", "overlays"))
    beside = f"; {_plural(overlays, 'recurring overlay')} without an effect in the encoder" if overlays else ""
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


def _images(sources: Sequence[Path], config: Config, work: Path, progress: Progress) -> ImageSet:
    """Decoded once; read back where an earlier audit of the same files got so far."""
    digest = hashlib.sha256(f"{config.edge_px} {config.frames_per_video} {code_digest('data')}".encode())
    for stamp in (stamp for source in sources for stamp in _stamps(source)):
        digest.update(repr(stamp).encode())
    place = work / f"images-{digest.hexdigest()[:16]}"
    if config.work is None:
        _sweep(work, place)
    if (place / "images.json").is_file():
        os.utime(place)
        return open_images(place)
    return read_images(sources, place, edge_px=config.edge_px, frames_per_video=config.frames_per_video, progress=progress)  # fmt: skip


def _sweep(work: Path, asked: Path) -> None:
    """In the cache the sets of decoded images that were used last stay; of other folders their owner is the master."""
    sets = sorted((one for one in work.glob("images-*") if one != asked), key=lambda one: one.stat().st_mtime, reverse=True)  # fmt: skip
    for old in sets[KEPT_SETS:]:
        shutil.rmtree(old, ignore_errors=True)


def _stamps(source: Path) -> Iterator[tuple[bytes, int, int]]:
    """Path, size and time of change of every file of a source, those that a list names too: cheap to ask, and no content is read."""
    files = sorted(source.rglob("*")) if source.is_dir() else [source]
    if source.suffix.lower() == ".txt" and source.is_file():
        lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
        files += [source.parent / line.strip() for line in lines if line.strip() and not line.startswith("#")]
    for path in files:
        with contextlib.suppress(OSError, ValueError):  # what cannot be asked cannot be read either
            known = path.stat()
            yield os.fsencode(path.absolute()), known.st_size, known.st_mtime_ns


def _encoder(images: ImageSet, config: Config, work: Path, writer: RunWriter, progress: Progress) -> LoadedEncoder:
    """The one that was named, or one trained on the images; a training that was killed goes on."""
    if config.encoder is not None:
        threads = config.threads or torch.get_num_threads()
        with progress.step("load the encoder"):
            return load_encoder(config.encoder, edge_px=config.edge_px, threads=threads, config=config.adapter)
    trained = _trained(images.pixels, None, images.digest, config, work, progress)
    writer.table("encoder_curve", "encoder_curve", trained.curve)
    encode = partial(trained.encode, batch=_at_once(config.edge_px))
    return LoadedEncoder(encode, f"{config.train.method}, trained on these images", trained.digest, trained.network, config.train.backbone.patch_px)  # fmt: skip


def _trained(pixels: np.ndarray, kept: np.ndarray | None, digest: str, config: Config, work: Path, progress: Progress) -> Encoder:  # fmt: skip
    """On all images, or on those that are kept, which are then copied into the work folder; one that was killed goes on."""
    settings = replace(config.train, threads=config.threads or torch.get_num_threads())
    decides = {key: value for key, value in to_dict(settings).items() if key not in RUNNING}
    which = [] if kept is None else [hashlib.sha256(kept.tobytes()).hexdigest()]
    code = code_digest(*code_behind("poison/ssl.py", within=("poison", "models")))
    facts = json.dumps([digest, decides, config.seed, code, *which], sort_keys=True)
    name = f"encoder-{hashlib.sha256(facts.encode()).hexdigest()[:16]}"
    place = work / name
    if kept is not None:
        pixels = _copied(pixels, kept, work / f"{name}.npy")
    if not place.is_dir():
        with progress.step("time a few steps of training"):
            minutes = _training_seconds(pixels, settings, config.seed) / 60
        why = "no encoder given" if kept is None else "once more without what was found"
        words = f"{why}: {settings.method} on {len(pixels):,} images, {settings.epochs} epochs, takes about {minutes:.1f} minutes (measured)"  # fmt: skip
        with progress.step(words):
            pass  # to be read before the wait, not after it
    return train_encoder(pixels, settings, folder=place, seed=config.seed, progress=progress)


def _copied(pixels: np.ndarray, kept: np.ndarray, place: Path) -> np.ndarray:
    """Some images as a file of their own, a chunk in memory at a time; read where it was written before."""
    if not place.is_file():
        temporary = place.with_name(f".{place.name}-{os.getpid()}.npy")
        copy = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=(len(kept), *pixels.shape[1:]))
        for low in range(0, len(kept), COPIED):
            copy[low : low + COPIED] = pixels[kept[low : low + COPIED]]
        copy.flush()
        os.replace(temporary, place)
    return np.asanyarray(np.load(place, mmap_mode="r", allow_pickle=False))


def _at_once(edge_px: int) -> int:
    """Images that are encoded together: as much memory as 512 of 64 px take."""
    return max(1, min(512, 512 * 64**2 // edge_px**2))


def _token_px(encoder: LoadedEncoder, config: Config) -> int:
    """Of the encoder's tokens, where the config does not say; 1 where there are none, or they do not divide the images."""
    given, known = config.find.mask.token_px, encoder.token_px or 1
    return given if given > 1 or config.edge_px % known else known


def _training_seconds(images: np.ndarray, config: SSLConfig, seed: int) -> float:
    """What a training will take, from a few steps of it that are thrown away; the first one, which warms up, does not count."""
    batch = min(config.batch_size, len(images))
    with TemporaryDirectory() as place:
        few = train_encoder(images[: TIMED_STEPS * batch], replace(config, epochs=1), folder=Path(place), seed=seed)
    seconds = few.curve["seconds"].to_list()
    per_step = (seconds[-1] - seconds[0]) / (len(seconds) - 1) if len(seconds) > 1 else seconds[0]
    return float(per_step * (len(images) // batch) * config.epochs)


def _verdicts(images: ImageSet, found: PoisonFindings, recurrence: Recurrence) -> pl.DataFrame:
    """A row per image (schema `verdicts`)."""
    n = len(images)
    patch, boxes, kinds = np.zeros(n, dtype=np.int64), np.zeros((n, 4), dtype=np.int64), np.full(n, "", dtype="<U8")
    for number, one in enumerate(found.patches, start=1):
        patch[one.images], boxes[one.images], kinds[one.images] = number, one.boxes, one.kind
    masked = np.zeros(n, dtype=bool)
    masked[found.looked_at] = True
    places = dict(zip(("left", "top", "width", "height"), boxes.T, strict=True))
    columns = {"patch": patch, "kind": kinds, **places}
    holds = pl.Series(patch > 0)
    return images.table.select(
        pl.int_range(pl.len()).alias("row"), "name", "source",
        pl.Series("poisoned", found.poisoned),
        *(pl.when(holds).then(pl.Series(name, values)).alias(name) for name, values in columns.items()),
        pl.Series("likeness", _likeness(found), dtype=pl.Float64),
        pl.Series("cluster", found.clusters.own),
        pl.Series("recurring", recurrence.images),
        pl.Series("masked", masked),
        pl.when(pl.Series(_in_shots(found))).then(pl.Series("shot", found.groups)).alias("shot"),
    )  # fmt: skip


def _in_shots(found: PoisonFindings) -> np.ndarray:
    """Which images have others of the same shot, (n,) bool."""
    return np.asarray(np.bincount(found.groups)[found.groups] > 1)


def _likeness(found: PoisonFindings) -> np.ndarray | list[None]:
    """Of every image to the patch it holds, or to the nearest one; nothing where no patch was found."""
    if not found.patches:
        return [None] * len(found.scores)
    return np.where(found.scores > 0, found.scores, np.max([one.by_image for one in found.patches], axis=0))


def _patches(found: PoisonFindings) -> pl.DataFrame:
    """A row per patch (schema `patches`)."""
    n, rows = len(found.scores), []
    for number, one in enumerate(found.patches, start=1):
        effect, (height, width) = one.effect, one.patch.mask.shape
        rows.append({
            "patch": number, "kind": one.kind, "images": len(one.images), "share": len(one.images) / n,
            "threshold": one.threshold.likeness, "decoys": one.threshold.decoys, "ratio": one.ratio,
            "clusters": list(effect.clusters), **_moved(effect), "effect_images": effect.images, "width_px": width, "height_px": height,
            "apart": effect.apart.share, "apart_at_most": effect.apart.at_most,
        })  # fmt: skip
    return pl.DataFrame(rows, schema=PATCHES)


def _cluster_map(features: np.ndarray, found: PoisonFindings, seed: int) -> pl.DataFrame:
    """The first two principal components of the unit features; 0 for one that there is not."""
    from sklearn.decomposition import PCA  # type: ignore[import-untyped]

    count = min(2, *features.shape)
    plane = np.zeros((len(features), 2))
    plane[:, :count] = PCA(count, random_state=seed).fit_transform(unit(features))
    columns = {"x": plane[:, 0], "y": plane[:, 1], "cluster": found.clusters.own, "poisoned": found.poisoned}
    return pl.DataFrame({"row": np.arange(len(features)), **columns})


def _finding(number: int, one: FoundPatch, verdicts: pl.DataFrame) -> Finding:
    """A patch with an effect is a finding of weight, one without is told and no more."""
    order = np.argsort(-one.likeness, kind="stable")
    names = verdicts["name"].gather(one.images[order][:NAMED]).to_list()
    effect, (height, width) = one.effect, one.patch.mask.shape
    backdoor = one.kind == "backdoor"
    what = "Backdoor patch" if backdoor else "Recurring overlay, no backdoor effect,"
    into = f"{effect.moved:.0%} (95 % interval {effect.interval.low:.0%} to {effect.interval.high:.0%}) of {effect.images:,} other images among those that hold it"  # fmt: skip
    apart = f"with it hidden these differ from others by {effect.apart.share:.3f} of the variance (as many others at most {effect.apart.at_most:.3f})"
    evidence = (
        f"It stands in {len(one.images):,} of {verdicts.height:,} images, with a likeness of {one.threshold.likeness:.2f} or more; "
        f"pasting it moves {into}, 19 of 20 pieces of images at most {effect.by_windows:.0%}; {apart}"
    )
    if len(one.images) > NAMED:
        evidence += f". The first {NAMED:,} images are named here, all of them in verdicts.parquet"
    return Finding(
        id=f"patch-{number}",
        severity="high" if backdoor else "info",
        title=f"{what} of {width} x {height} pixels in {_plural(len(one.images), 'image')}",
        evidence=evidence,
        where={"file": "verdicts.parquet", "rows": names, "box": one.boxes[order[0]].tolist()},
        technique=TECHNIQUE if backdoor else None,
    )


def _write_list(writer: RunWriter, name: str, rows: pl.DataFrame) -> None:
    """`source/name` of each image, one a line; as a JSON string where it holds what does not print or begins like one."""
    path = writer.folder / f"{name}.txt"
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for source, image in rows.select("source", "name").iter_rows():
            line = f"{source}/{image}"
            plain = line.isprintable() and not line.startswith('"')
            out.write(f"{line if plain else json.dumps(line)}\n")
    writer.file(name, "image_list", path, "text/plain")


def _draw(images: ImageSet, found: PoisonFindings, writer: RunWriter) -> None:
    """evidence/: patch-N.png with its mask as alpha; image-ROW.png and heat-ROW.png, to be laid on it, of the most suspicious. Native size."""
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
    for place in _suspicious(found):
        row = int(found.looked_at[place])
        save(f"image-{row}", np.asarray(images.pixels[row]))
        save(f"heat-{row}", _heat(found.maps[place], *images.pixels.shape[1:3]))


def _suspicious(found: PoisonFindings) -> list[int]:
    """Places in `looked_at`: those most like each patch in turn, then those where hiding one window changed most."""
    place_of = {int(row): place for place, row in enumerate(found.looked_at)}
    by_patch = [
        [int(row) for row in one.images[np.argsort(-one.likeness, kind="stable")] if int(row) in place_of]
        for one in sorted(found.patches, key=lambda one: one.kind)  # backdoors first
    ]
    rest = found.looked_at[np.argsort(-found.strength, kind="stable")]
    first = (row for turn in zip_longest(*by_patch) for row in turn if row is not None)
    return [place_of[int(row)] for row in islice(dict.fromkeys([*first, *rest.tolist()]), SHOWN)]


def _heat(activation: np.ndarray, height: int, width: int) -> np.ndarray:
    """One colour, the more opaque the stronger, (height, width, 4) uint8; nothing where the map is flat."""
    if activation.shape != (height, width):  # of the working copy
        scaled = Image.fromarray(activation).resize((width, height), Image.Resampling.BILINEAR)
        activation = np.asarray(scaled)
    low, high = float(activation.min()), float(activation.max())
    share = (activation - low) / (high - low) if high > low else np.zeros_like(activation)
    colour = np.broadcast_to(np.array(_HEAT, dtype=np.uint8), (*activation.shape, 3))
    return np.concatenate([colour, np.rint(share * 217).astype(np.uint8)[..., None]], axis=2)


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """How long a step took, also one that failed."""
    began = time.monotonic()
    try:
        yield
    finally:
        seconds[name] = round(time.monotonic() - began, 2)


def _plural(count: int, name: str) -> str:
    return f"{count:,} {name}{'' if count == 1 else 's'}"
