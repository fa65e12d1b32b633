"""What retraining owes to the images that were removed: the clean control under the same triggers, with and without those images.

    python benchmarks/poison_after.py [--scale small]

The audit removes most of one class, the target. An encoder judged by its neighbours then has fewer of them to be mistaken for. So the control,
which never saw a trigger, is asked twice: with all of its images as neighbours, and with those alone that the audit kept. Reads the pieces of a
finished `veracast bench poison` (the same scale, code and cache) and trains nothing.
"""

from __future__ import annotations

import argparse

import numpy as np

from veracast.core.seeds import stream
from veracast.core.statistics import bootstrap_interval
from veracast.poison.trials import Trial, challenges, success_of
from veracast.recipes.bench_poison import Bench, Config, filled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", default="small", choices=("tiny", "small"))
    bench = Bench(filled(Config(scale=parser.parse_args().scale, groups=("main", "exact"))))
    gaps: dict[str, list[float]] = {"all": [], "kept": []}
    print("| set | removed | of the target's class | control, all images | control, kept images | retrained |")
    print("|---|---|---|---|---|---|")
    for trial in bench.trials:
        flagged = bench.flagged(trial)
        if not trial.attacks or flagged is None or not bench.piece(trial, "success 0").is_file():
            continue
        row = _line(bench, trial, np.array(flagged, dtype=np.int64))
        for name in gaps:
            gaps[name].append(100 * (row["retrained"] - row[name]))
        print(
            f"| {trial.name} | {len(flagged)} | {row['share']:.2f} | {row['all']:.3f} | {row['kept']:.3f} | {row['retrained']:.3f} |"
        )
    for name, found in gaps.items():
        interval = bootstrap_interval(np.array(found), rng=stream(0, "poison after", name))
        print(
            f"retrained less control, {name} images as neighbours: {np.mean(found):+.1f} points [{interval.low:+.1f}, {interval.high:+.1f}] over {len(found)} sets"
        )


def _line(bench: Bench, trial: Trial, flagged: np.ndarray) -> dict[str, float]:
    one, control = bench.draw(trial), bench.draw(trial.control)
    target = trial.attacks[0].target
    kept = np.setdiff1d(np.arange(len(control.labels)), flagged)
    clean, (asked,) = bench.encoder(trial.control), challenges(trial, bench.pool)
    images, labels = control.planted.images, control.labels
    return {
        "share": float((one.labels[flagged] == target).sum() / (one.labels == target).sum()),
        "all": success_of(clean, images, labels, bench.pool, asked).attack,
        "kept": success_of(clean, images[kept], labels[kept], bench.pool, asked).attack,
        "retrained": float(bench.read(trial, "success 0")["retrained_attack"]),
    }


if __name__ == "__main__":
    main()
