"""Whole folders or nothing: what is left after success, an exception, a full disk and a killed process."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from veracast.core.errors import StorageError
from veracast.core.files import check_free, new_folder, sha256_file, storage_faults, sweep_partials, write_json


def test_a_digest_equals_hashlibs_over_chunk_borders(tmp_path: Path) -> None:
    body = bytes(range(256)) * 20_000  # over 4 MiB: two chunks
    (tmp_path / "x").write_bytes(body)
    assert sha256_file(tmp_path / "x") == hashlib.sha256(body).hexdigest()


def test_json_is_sorted_readable_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "视频"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": "视频",\n "b": 1\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert (tmp_path / "a.json").read_text(encoding="utf-8").startswith('{\n "a": "视频"')
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    with new_folder(tmp_path / "deep" / "out") as folder:
        (folder / "x").write_text("1")
        assert not (tmp_path / "deep" / "out").exists()
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failed_block_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), new_folder(tmp_path / "out") as folder:
        (folder / "x").write_text("1")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept_unless_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    check_free(out)  # an empty folder is free
    (out / "mine").write_text("1")
    with pytest.raises(StorageError, match="out: is already there -> choose another name, or remove it first"):
        check_free(out)
    with pytest.raises(RuntimeError), new_folder(out, overwrite=True) as folder:
        (folder / "new").write_text("2")
        raise RuntimeError
    assert [p.name for p in out.iterdir()] == ["mine"]  # a failed overwrite keeps the old one
    with new_folder(out, overwrite=True) as folder:
        (folder / "new").write_text("2")
    assert [p.name for p in out.iterdir()] == ["new"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "t: no space left on the device -> free some, or choose another place"),
        (RuntimeError(f"polars: io (os error {errno.ENOSPC})"), "t: no space left on the device -> free some, or choose another place"),
        (OSError(errno.EACCES, "Permission denied"), "t: cannot be written (Permission denied) -> choose another place"),
    ],
)  # fmt: skip
def test_faults_of_the_disk_name_the_target(fault: Exception, message: str) -> None:
    with pytest.raises(StorageError) as caught, storage_faults(Path("t")):
        raise fault
    assert str(caught.value) == message


def test_other_faults_pass_as_they_are() -> None:
    with pytest.raises(FileNotFoundError), storage_faults(Path("t")):
        raise FileNotFoundError(errno.ENOENT, "gone")


def test_only_leavings_of_dead_processes_are_swept(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True, check=True)  # fmt: skip
    gone, alive, odd = (tmp_path / f".x.partial-{tail}" for tail in (dead.stdout.strip(), str(os.getppid()), "notes"))
    gone.mkdir()
    (gone / "half").write_text("1")
    alive.mkdir()
    odd.write_text("not ours")
    assert sweep_partials(tmp_path) == [gone]
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([alive.name, odd.name])
