"""Encoders from elsewhere behind one door: what `--encoder` takes.

    FOLDER               written by Encoder.save: an encoder that Veracast trained
    FILE.onnx            run by onnxruntime; reads float RGB in [0, 1], (n, 3, h, w) or (n, h, w, 3) as its input says
    module:function      a function of yours, images uint8 (n, h, w, 3) -> features (n, dim)
    timm:NAME            torchvision:NAME       open_clip:MODEL/WEIGHTS       with the weights and the normalisation of that library

`module:function` is imported from your own Python path and is the one kind that runs code of yours; nothing else does. A pickle is never
opened: it can run anything. The three libraries fetch what they are named, as they always do, and are kept from unpickling more than weights.
Whatever answers is asked in batches, and gives float32 (n, dim), finite, or an error that says what it gave.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn

from veracast.core.errors import ConfigError, InputError, UserError
from veracast.core.files import sha256_file
from veracast.models.checkpoints import weights_digest
from veracast.poison.backbones import DEVIATION, MEAN
from veracast.poison.encoder import Encoder, pixels
from veracast.poison.masking import Encode

PICKLES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle")
LIBRARIES = ("timm", "torchvision", "open_clip")
KINDS = f"a folder of Encoder.save, FILE.onnx, module:function, {', '.join(f'{name}:NAME' for name in LIBRARIES)}"
PROBED = 2  # images that an encoder is tried on when it is loaded
_HEADS = ("fc", "classifier", "heads", "head")  # what torchvision calls the layer after the features


@dataclass(frozen=True)
class AdapterConfig:
    """imagenet: normalise what an .onnx file reads by ImageNet's mean and deviation (libraries bring their own, functions get bytes).
    batch: images that are encoded at once; an .onnx file with a fixed batch has its own."""

    imagenet: bool = False
    batch: int = 256

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ConfigError([f"batch is {self.batch}, expected 1 or more"])


@dataclass(frozen=True)
class LoadedEncoder:
    """encode: images (n, h, w, 3) uint8, also from a memmap -> features (n, dim) float32. digest: of weights, file or source code.
    network: where it is one of torch. token_px: of a vision transformer, edge of the patches that it reads as tokens."""

    encode: Encode
    name: str
    digest: str
    network: nn.Module | None = None
    token_px: int | None = None


def load_encoder(name: str, *, edge_px: int, threads: int, config: AdapterConfig = AdapterConfig()) -> LoadedEncoder:
    """An encoder of images of edge_px x edge_px, tried once.

    InputError for what is not there, cannot be loaded or answers with something else than features; ConfigError for a library
    that is not installed.
    """
    path, (scheme, colon, rest) = Path(name), name.partition(":")
    torch.set_num_threads(threads)
    if path.suffix.lower() in PICKLES:
        raise InputError("is a pickle, which can run any code when it is opened", file=name, remedy="convert it to safetensors in a folder of Encoder.save, or to ONNX (torch.onnx.export)")  # fmt: skip
    if path.is_dir():
        encoder = Encoder.load(path)
        return _tried(encoder.encode, name, encoder.digest, edge_px, config, encoder.network)
    if path.suffix.lower() == ".onnx":
        return _onnx(path, edge_px, threads, config)
    if scheme in LIBRARIES and rest:
        network, normalise = {"timm": _timm, "torchvision": _torchvision, "open_clip": _open_clip}[scheme](rest)
        return _tried(_of_network(network, *normalise), name, weights_digest(network.state_dict()), edge_px, config, network)  # fmt: skip
    if colon and scheme and rest:
        function = _function(scheme, rest)
        return _tried(function, name, _source_digest(function, name), edge_px, config)
    raise InputError("is no encoder", file=name, remedy=f"name {KINDS}")


def _tried(compute: Callable[..., Any], name: str, digest: str, edge_px: int, config: AdapterConfig, network: nn.Module | None = None) -> LoadedEncoder:  # fmt: skip
    """In batches and checked, after a first try that says how many features there are."""
    grey = np.random.default_rng(0).integers(0, 256, (PROBED, edge_px, edge_px, 3), dtype=np.uint8)
    dim = _checked(compute, grey, name, None).shape[1]

    def encode(images: UInt8[np.ndarray, "n h w 3"]) -> Float32[np.ndarray, "n dim"]:
        found = np.empty((len(images), dim), dtype=np.float32)
        for low in range(0, len(images), config.batch):
            part = np.array(images[low : low + config.batch])
            found[low : low + len(part)] = _checked(compute, part, name, dim)
        return found

    return LoadedEncoder(encode, name, digest, network, token_px_of(network))


def token_px_of(network: nn.Module | None) -> int | None:
    """Edge of a vision transformer's patches: of ours, or as timm, torchvision and open_clip name it; None of what has none, or no square ones."""
    if network is None:
        return None
    for holder in (network, getattr(network, "patch_embed", None)):
        for name in ("patch_px", "patch_size"):
            size = getattr(holder, name, None)
            sides = set(size) if isinstance(size, tuple | list) else {size}
            if len(sides) == 1 and isinstance(side := sides.pop(), int) and side > 0:
                return side
    return None


def _checked(compute: Callable[..., Any], images: np.ndarray, name: str, dim: int | None) -> Float32[np.ndarray, "n dim"]:  # fmt: skip
    """Features of a batch; InputError where it fails, or gives another shape or numbers that are not finite."""
    shown = f"images of {images.shape[2]} x {images.shape[1]}"
    try:
        given = compute(images)
        found: np.ndarray = np.asarray(
            given.detach().cpu() if isinstance(given, torch.Tensor) else given, dtype=np.float32
        )
    except UserError:
        raise
    except Exception as error:  # it is not our code: whatever it raises is a fault of what was named
        message = f"failed on {shown} ({type(error).__name__}: {error})"
        raise InputError(message, file=name, remedy="mend it, or give the size that it reads by --edge-px") from error
    if found.ndim > 2 and found.size == found.shape[0] * found.shape[1]:
        found = found.reshape(found.shape[:2])  # maps of 1 x 1
    expected = f"({len(images)}, {'dim' if dim is None else dim})"
    if found.ndim != 2 or len(found) != len(images) or not found.shape[1] or found.shape[1] != (dim or found.shape[1]):
        raise InputError(f"gave features of shape {found.shape} for {shown}, expected {expected}", file=name, remedy="one row of features per image")  # fmt: skip
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).any(axis=1).sum())
        raise InputError(f"gave features that are not finite for {bad} of {len(images)} {shown}", file=name, remedy="look at its weights and at what it divides by")  # fmt: skip
    return found


def _onnx(path: Path, edge_px: int, threads: int, config: AdapterConfig) -> LoadedEncoder:
    """By onnxruntime on the CPU; operators that are not its own are refused by it."""
    if not path.is_file():
        raise InputError("no such file", file=str(path), remedy="check the path")
    onnxruntime = _library("onnxruntime", str(path), "'veracast[poison]'")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads, options.log_severity_level = threads, 1, 4
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own kinds of error, which have no common root
        raise InputError(f"cannot be loaded ({_first_line(error)})", file=str(path), remedy="export it again with torch.onnx.export") from error  # fmt: skip
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in ("tensor(float)", "tensor(float16)"):
        got = ", ".join(f"{one.name}: {one.type}" for one in inputs)
        raise InputError(f"reads {got or 'nothing'}, expected one float tensor of images", file=str(path), remedy="export the image tower alone")  # fmt: skip
    shape = inputs[0].shape
    channels_first = _channels_first(shape, edge_px, path)
    kind = np.float16 if inputs[0].type == "tensor(float16)" else np.float32
    at_once = shape[0] if isinstance(shape[0], int) and shape[0] > 0 else 0
    mean, deviation = (np.array(x, dtype=np.float32) for x in (MEAN, DEVIATION))

    def compute(images: np.ndarray) -> np.ndarray:
        given = images.astype(np.float32) / 255
        given = (given - mean) / deviation if config.imagenet else given
        given = np.ascontiguousarray(given.transpose(0, 3, 1, 2) if channels_first else given).astype(kind)
        step = at_once or len(given)
        parts = []
        for low in range(0, len(given), step):
            part = given[low : low + step]
            whole = np.concatenate([part, np.repeat(part[-1:], step - len(part), axis=0)])
            parts.append(np.atleast_1d(session.run(None, {inputs[0].name: whole})[0])[: len(part)])
        return np.concatenate(parts)

    return _tried(compute, str(path), sha256_file(path), edge_px, config)


def _channels_first(shape: Sequence[Any], edge_px: int, path: Path) -> bool:
    """Which way round an input lies; names and None in its shape stand for any size."""
    if len(shape) != 4:
        raise InputError(f"reads a tensor of shape {shape}, expected 4 axes", file=str(path), remedy="export it for images")  # fmt: skip
    for first, sides in ((True, shape[2:]), (False, shape[1:3])):
        if shape[1 if first else 3] == len(MEAN):
            other = [side for side in sides if isinstance(side, int) and side != edge_px]
            if other:
                raise InputError(f"reads images of {sides[1]} x {sides[0]}, not of {edge_px} x {edge_px}", file=str(path), remedy=f"--edge-px {other[0]}")  # fmt: skip
            return first
    raise InputError(f"reads a tensor of shape {shape}, expected 3 channels on axis 1 or 3", file=str(path), remedy="export it for RGB images, with the number of channels fixed")  # fmt: skip


def _function(module: str, name: str) -> Callable[..., Any]:
    """A function of the user's own; importing its module runs it."""
    place = f"{module}:{name}"
    try:
        found = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise InputError(f"its module needs {error.name}, which is not installed", file=place, remedy=f"pip install {error.name}") from error  # fmt: skip
        raise InputError(f"no module {error.name} on your Python path", file=place, remedy="run from another place, or name its folder: PYTHONPATH=FOLDER veracast ...") from error  # fmt: skip
    except Exception as error:  # the user's code
        message = f"importing its module failed ({type(error).__name__}: {error})"
        raise InputError(message, file=place, remedy="mend the module") from error
    function = getattr(found, name, None)
    if function is None:
        near = difflib.get_close_matches(name, dir(found), n=1, cutoff=0.0)
        raise InputError(f"module {module} has no {name}", file=place, remedy=f"did you mean {near[0]}?" if near else "name a function of it")  # fmt: skip
    if not callable(function):
        raise InputError(f"is {type(function).__name__}, expected a function", file=place, remedy="images uint8 (n, h, w, 3) -> features (n, dim)")  # fmt: skip
    return function  # type: ignore[no-any-return]


def _source_digest(function: Callable[..., Any], name: str) -> str:
    """Of the file that a function stands in and of its name; of the name alone where there is no file. What it loads does not count."""
    try:
        file = inspect.getsourcefile(function if inspect.isroutine(function) else type(function))
    except TypeError:
        file = None
    body = Path(file).read_bytes() if file and Path(file).is_file() else b""
    return hashlib.sha256(name.encode() + b"\0" + body).hexdigest()


Normalise = tuple[Sequence[float], Sequence[float]]


def _timm(name: str) -> tuple[nn.Module, Normalise]:
    timm, data = (_library(module, f"timm:{name}", "timm") for module in ("timm", "timm.data"))
    with _weights_alone(f"timm:{name}"):
        network: nn.Module = timm.create_model(name, pretrained=True, num_classes=0)
    says = data.resolve_model_data_config(network)
    return network, (says["mean"], says["std"])


def _torchvision(name: str) -> tuple[nn.Module, Normalise]:
    models = _library("torchvision.models", f"torchvision:{name}", "torchvision")
    with _weights_alone(f"torchvision:{name}"):
        weights = models.get_model_weights(name).DEFAULT
        network: nn.Module = models.get_model(name, weights=weights)
        says = weights.transforms()
    head = next((part for part in _HEADS if isinstance(getattr(network, part, None), nn.Module)), None)
    if head is None:
        raise InputError(f"has none of the heads {', '.join(_HEADS)}", file=f"torchvision:{name}", remedy="wrap it in a function of your own and name module:function")  # fmt: skip
    setattr(network, head, nn.Identity())
    return network, (says.mean, says.std)


def _open_clip(name: str) -> tuple[nn.Module, Normalise]:
    open_clip = _library("open_clip", f"open_clip:{name}", "open_clip_torch")
    model, slash, tag = name.partition("/")
    if name.startswith("hf-hub:"):
        model, slash, tag = name, "/", ""
    if not slash:
        raise InputError("names no weights", file=f"open_clip:{name}", remedy="open_clip:MODEL/WEIGHTS, such as open_clip:ViT-B-32/laion2b_s34b_b79k")  # fmt: skip
    with _weights_alone(f"open_clip:{name}"):
        both = open_clip.create_model(model, pretrained=tag or None)
    visual: nn.Module = both.visual
    return visual, (visual.image_mean, visual.image_std)  # type: ignore[return-value]


def _of_network(network: nn.Module, mean: Sequence[float], deviation: Sequence[float]) -> Callable[[np.ndarray], torch.Tensor]:  # fmt: skip
    """In eval mode, without gradients."""
    network.eval().float()
    middle, scale = (torch.tensor(x)[:, None, None] for x in (mean, deviation))

    def compute(images: np.ndarray) -> torch.Tensor:
        with torch.no_grad():
            found: torch.Tensor = network((pixels(images) - middle) / scale)
        return found

    return compute


@contextlib.contextmanager
def _weights_alone(name: str) -> Iterator[None]:
    """In the block torch.load opens nothing but tensors, whatever the library asks for; its errors are one line."""
    key = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    except Exception as error:  # the library's own
        raise InputError(f"cannot be loaded ({_first_line(error)})", file=name, remedy="see the names that the library lists, and whether it can reach its weights") from error  # fmt: skip
    finally:
        os.environ.pop(key)
        if before is not None:
            os.environ[key] = before


def _library(module: str, name: str, package: str) -> Any:
    """A library that not everybody has."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError([f"{name} needs {error.name or module} -> pip install {package}"]) from error


def _first_line(error: Exception) -> str:
    said = str(error).strip().splitlines()
    return f"{type(error).__name__}: {said[0][:200]}" if said else type(error).__name__
