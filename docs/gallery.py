"""Draws the pictures of the gallery: pages of finished runs through a headless Chromium, as small PNG files.

    veracast demo --out RUNS/demo
    veracast explain RUNS/demo --out RUNS/why
    veracast explain RUNS/demo --overall --out RUNS/overall
    veracast audit images --demo poisoned --retrain --out RUNS/images
    veracast audit agent-data --demo planted --out RUNS/rows
    veracast catalogue --html RUNS/catalogue/report.html
    python docs/gallery.py RUNS

Needs the programs chromium or google-chrome, and pillow. Emoji in titles need a font that has them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image

HERE = Path(__file__).parent
WIDTH_PX, COLOURS, MOST_BYTES = 1180, 96, 250_000
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Shot(NamedTuple):
    """run: folder under RUNS whose report.html is drawn; to: file under docs/; height_px of the page from its top."""

    run: str
    to: str
    height_px: int


SHOTS = (
    Shot("demo", "report.png", 1500),
    Shot("why", "gallery/explanation.png", 1500),
    Shot("overall", "gallery/overall.png", 1200),
    Shot("images", "gallery/images.png", 1500),
    Shot("rows", "gallery/agent-data.png", 1500),
    Shot("demo-card", "gallery/card.png", 1300),
    Shot("catalogue", "gallery/catalogue.png", 1100),
)


def main(runs: Path) -> None:
    """Draw every page that is there; SystemExit where one is missing or its picture is too large."""
    browser = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if browser is None:
        raise SystemExit(f"no browser: expected one of {', '.join(BROWSERS)} -> install chromium")
    for shot in SHOTS:
        page, target = runs / shot.run / "report.html", HERE / shot.to
        if not page.is_file():
            raise SystemExit(f"{page}: no such page -> make the runs at the head of this file")
        target.parent.mkdir(exist_ok=True)
        draw(browser, page.resolve(), target, shot.height_px)
        size = target.stat().st_size
        sys.stdout.write(f"{target} {size:,} bytes\n")
        if size > MOST_BYTES:
            raise SystemExit(f"{target}: {size:,} bytes, expected {MOST_BYTES:,} at most -> show less of the page")


def draw(browser: str, page: Path, target: Path, height_px: int) -> None:
    """One picture, its colours reduced: pages have few."""
    with tempfile.TemporaryDirectory() as place:
        raw = Path(place) / "page.png"
        command = [
            browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={place}/profile",
            f"--window-size={WIDTH_PX},{height_px}", f"--screenshot={raw}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        with Image.open(raw) as picture:
            reduced = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            reduced.save(target, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("python docs/gallery.py RUNS")
    main(Path(sys.argv[1]))
