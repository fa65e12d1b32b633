"""Every kind of encoder gives what it says, or an error that tells what to do; no pickle is opened."""

from __future__ import annotations

import pickle
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.poison.test_encoder import encoder, images
from veracast.core.errors import ConfigError, InputError
from veracast.poison.adapters import LIBRARIES, AdapterConfig, LoadedEncoder, load_encoder, token_px_of
from veracast.poison.backbones import DEVIATION, MEAN, BackboneConfig

onnx = pytest.importorskip("onnx")
MODULE = """
import numpy as np
calls = []
def colours(images):
    calls.append(images.shape)
    return images.mean(axis=(1, 2))
def one_row(images): return images.mean(axis=(0, 1, 2))[None]
def maps(images): return images.transpose(0, 3, 1, 2)
def empty(images): return np.zeros((len(images), 0))
def lost(images): return np.full((len(images), 3), np.nan)
def dark_is_lost(images): return np.log(images.mean(axis=(1, 2)))
def varies(images): return np.ones((len(images), 3 if len(images) > 1 else 4))
def breaks(images): raise RuntimeError("no such\\nlayer")
number = 3
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_encoders.py").write_text(MODULE)
    (tmp_path / "my_broken.py").write_text("1 / 0")
    (tmp_path / "my_needy.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("my_encoders", "my_broken", "my_needy"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def load(name: str | Path, *, edge_px: int = 32, config: AdapterConfig = AdapterConfig()) -> LoadedEncoder:
    return load_encoder(str(name), edge_px=edge_px, threads=1, config=config)


def write_onnx(path: Path, shape: list[Any], *, per_channel: bool = True, kind: int = onnx.TensorProto.FLOAT, inputs: int = 1) -> Path:  # fmt: skip
    """A network that gives the mean of every channel; of everything where not per_channel."""
    names = [f"x{k}" for k in range(inputs)]
    axes = ([2, 3] if shape[1] == 3 else [1, 2]) if per_channel else []
    axes_of = onnx.helper.make_tensor("axes", onnx.TensorProto.INT64, [len(axes)], axes)
    node = onnx.helper.make_node("ReduceMean", [names[0], "axes"], ["y"], keepdims=0)
    given = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in names]
    out = [onnx.helper.make_tensor_value_info("y", kind, None)]
    graph = onnx.helper.make_graph([node], "means", given, out, [axes_of])
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9), path)
    return path


def test_a_folder_gives_its_own_features_and_network(tmp_path: Path) -> None:
    saved = encoder()
    saved.save(tmp_path / "encoder")
    found = load(tmp_path / "encoder")
    assert np.array_equal(found.encode(images()), saved.encode(images()))
    assert found.digest == saved.digest and isinstance(found.network, nn.Module)
    with pytest.raises(InputError, match="no encoder"):
        load(tmp_path)


@pytest.mark.parametrize("shape", [["n", 3, "h", "w"], ["n", "h", "w", 3], [None, 3, 32, 32], [2, 32, 32, 3]])
def test_an_onnx_file_either_way_round_and_of_any_batch(tmp_path: Path, shape: list[Any]) -> None:
    path = write_onnx(tmp_path / "a.onnx", shape)
    given = images(7)
    means = given.mean(axis=(1, 2)) / 255
    found = load(path, config=AdapterConfig(batch=3))
    features = found.encode(given)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, means, atol=1e-5)
    normal = load(path, config=AdapterConfig(imagenet=True)).encode(given)
    np.testing.assert_allclose(normal, (means - MEAN) / DEVIATION, atol=1e-5)
    assert found.network is None and len(found.digest) == 64


def test_half_precision_is_given_what_it_reads(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", ["n", 3, 32, 32], kind=onnx.TensorProto.FLOAT16)
    features = load(path).encode(images())
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, images().mean(axis=(1, 2)) / 255, atol=2e-3)


def test_onnx_files_that_do_not_fit_say_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "missing.onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(InputError, match="cannot be loaded"):
        load(tmp_path / "text.onnx")
    with pytest.raises(InputError, match=r"reads images of 224 x 224, not of 32 x 32 -> --edge-px 224"):
        load(write_onnx(tmp_path / "large.onnx", ["n", 3, 224, 224]))
    with pytest.raises(InputError, match="expected 3 channels on axis 1 or 3"):
        load(write_onnx(tmp_path / "grey.onnx", ["n", 1, 32, 32]))
    with pytest.raises(InputError, match="expected 4 axes"):
        load(write_onnx(tmp_path / "flat.onnx", ["n", 3072, 1]))
    with pytest.raises(InputError, match="expected one float tensor"):
        load(write_onnx(tmp_path / "two.onnx", ["n", 3, 32, 32], inputs=2))
    with pytest.raises(InputError, match=r"expected \(2, dim\)"):
        load(write_onnx(tmp_path / "scalar.onnx", ["n", 3, 32, 32], per_channel=False))


def test_a_function_of_ones_own_in_batches_and_from_a_memmap(mine: Path) -> None:
    found = load("my_encoders:colours", config=AdapterConfig(batch=4))
    given = images(10)
    given.tofile(mine / "pixels.u8")
    mapped = np.memmap(mine / "pixels.u8", dtype=np.uint8, mode="r", shape=given.shape)
    np.testing.assert_allclose(found.encode(mapped), given.mean(axis=(1, 2)), rtol=1e-6)
    assert [shape[0] for shape in sys.modules["my_encoders"].calls] == [2, 4, 4, 2]  # the first is the try
    assert found.encode(given[:0]).shape == (0, 3)
    other = load("my_encoders:dark_is_lost")
    assert other.digest != found.digest and load("my_encoders:colours").digest == found.digest


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_such_module:f", "no module no_such_module on your Python path -> run from another place, or name its folder: PYTHONPATH=FOLDER"),
        ("my_encoders:colors", "module my_encoders has no colors -> did you mean colours?"),
        ("my_encoders:number", "is int, expected a function"),
        ("my_broken:f", r"importing its module failed \(ZeroDivisionError: division by zero\)"),
        ("my_needy:f", "its module needs no_such_library"),
        ("my_encoders:one_row", r"features of shape \(1, 3\) for images of 32 x 32, expected \(2, dim\)"),
        ("my_encoders:maps", r"features of shape \(2, 3, 32, 32\)"),
        ("my_encoders:empty", r"features of shape \(2, 0\)"),
        ("my_encoders:lost", "not finite for 2 of 2 images"),
        ("my_encoders:breaks", r"failed on images of 32 x 32 \(RuntimeError: no such"),
        ("byol", "is no encoder -> name a folder of Encoder.save, FILE.onnx, module:function, timm:NAME"),
        ("timm:", "is no encoder"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_says_why(mine: Path, name: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(name)


def test_what_fails_later_says_why_too(mine: Path) -> None:
    dark = images(6)
    dark[4] = 0
    lost = load("my_encoders:dark_is_lost", config=AdapterConfig(batch=3))
    with pytest.warns(RuntimeWarning), pytest.raises(InputError, match="not finite for 1 of 3"):
        lost.encode(dark)
    with pytest.raises(InputError, match=r"shape \(1, 4\).*expected \(1, 3\)"):
        load("my_encoders:varies").encode(images(1))
    with pytest.raises(ConfigError, match="batch is 0"):
        AdapterConfig(batch=0)


class Bomb:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a pickle was opened",))


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".pkl", ".PTH"])
def test_pickles_are_not_opened(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(InputError, match=r"is a pickle.*convert it to safetensors .* or to ONNX"):
        load(path)


class Tower(nn.Module):
    """Means of the channels through a layer, below a head as torchvision has it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3, bias=False)
        nn.init.eye_(self.layer.weight)
        self.fc: nn.Module = nn.Linear(3, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.fc(self.layer(x.mean(dim=(2, 3))))
        return found


def give(monkeypatch: pytest.MonkeyPatch, name: str, **parts: object) -> None:
    module = types.ModuleType(name)
    module.__dict__.update(parts)
    monkeypatch.setitem(sys.modules, name, module)


def bare() -> Tower:
    tower = Tower()
    tower.fc = nn.Identity()
    return tower


def test_libraries_give_features_below_their_heads_by_their_own_normalisation(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fakes with the signatures of timm 1, torchvision .20 and open_clip 2, which are not installed here."""
    mean, deviation = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    seen: list[object] = []

    def create_model(name: str, *, pretrained: bool = False, num_classes: int = 1000) -> Tower:
        seen.append((name, pretrained, num_classes))
        return bare() if num_classes == 0 else Tower()

    preset = types.SimpleNamespace(mean=mean, std=deviation)
    weights = types.SimpleNamespace(transforms=lambda: preset)
    clip = bare()
    clip.image_mean, clip.image_std = mean, deviation  # type: ignore[assignment]
    give(monkeypatch, "timm", create_model=create_model)
    give(monkeypatch, "timm.data", resolve_model_data_config=lambda model: {"mean": mean, "std": deviation, "input_size": (3, 224, 224)})  # fmt: skip
    give(monkeypatch, "torchvision")
    give(monkeypatch, "torchvision.models", get_model=lambda name, weights: Tower(), get_model_weights=lambda name: types.SimpleNamespace(DEFAULT=weights))  # fmt: skip
    give(monkeypatch, "open_clip", create_model=lambda name, pretrained: seen.append((name, pretrained)) or types.SimpleNamespace(visual=clip))  # fmt: skip
    expected = (images().mean(axis=(1, 2)) / 255 - mean) / deviation
    for name in ("timm:resnet18", "torchvision:resnet18", "open_clip:ViT-B-32/laion2b", "open_clip:hf-hub:org/model"):
        found = load(name)
        np.testing.assert_allclose(found.encode(images()), expected, atol=1e-5, err_msg=name)
        assert found.network is not None and not found.network.training
    assert seen == [("resnet18", True, 0), ("ViT-B-32", "laion2b"), ("hf-hub:org/model", None)]
    with pytest.raises(InputError, match="names no weights -> open_clip:MODEL/WEIGHTS"):
        load("open_clip:ViT-B-32")


def test_libraries_open_tensors_alone_and_their_faults_are_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))

    def create_model(name: str, **rest: object) -> Tower:
        torch.load(tmp_path / "weights.pth", weights_only=False)
        return bare()

    give(monkeypatch, "timm", create_model=create_model)
    give(monkeypatch, "timm.data")
    with pytest.raises(InputError, match=r"timm:resnet18: cannot be loaded \(UnpicklingError: ") as caught:
        load("timm:resnet18")
    assert "\n" not in str(caught.value)
    import os

    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


def test_a_network_without_a_known_head_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = types.SimpleNamespace(transforms=lambda: types.SimpleNamespace(mean=MEAN, std=DEVIATION))
    give(monkeypatch, "torchvision")
    give(monkeypatch, "torchvision.models", get_model=lambda name, weights: nn.Flatten(), get_model_weights=lambda name: types.SimpleNamespace(DEFAULT=weights))  # fmt: skip
    with pytest.raises(InputError, match="none of the heads fc, classifier"):
        load("torchvision:odd")


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_library_that_is_missing_is_named(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (library, f"{library}.models"):
        monkeypatch.setitem(sys.modules, name, None)
    package = {"open_clip": "open_clip_torch"}.get(library, library)
    with pytest.raises(ConfigError, match=f"{library}:name/tag needs {library}.* -> pip install {package}"):
        load(f"{library}:name/tag")


def test_onnxruntime_is_asked_for_only_by_onnx_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "a.onnx", ["n", 3, 32, 32])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"needs onnxruntime -> pip install 'veracast\[poison\]'"):
        load(path)


def test_tokens_are_those_that_each_library_names() -> None:
    def named(**parts: object) -> nn.Module:
        network = nn.Module()
        for name, part in parts.items():
            setattr(network, name, part)
        return network

    assert token_px_of(BackboneConfig("vit-small", width=64, stem="patch8").build()) == 8
    assert token_px_of(named(patch_size=16)) == 16  # torchvision
    assert token_px_of(named(patch_size=(32, 32))) == 32  # open_clip
    assert token_px_of(named(patch_embed=named(patch_size=(14, 14)))) == 14  # timm
    for other in (None, BackboneConfig().build(), named(patch_size=(16, 8)), named(patch_embed=nn.Identity())):
        assert token_px_of(other) is None
