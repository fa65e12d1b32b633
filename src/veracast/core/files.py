"""Whole folders or nothing: atomic writing, digests, and sweeping up after killed processes."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from veracast.core.errors import StorageError

_CHUNK = 1 << 22
_PARTIAL = ".partial-"


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def write_json(path: Path, obj: Any) -> None:
    """Write JSON with sorted keys through a temporary name; NaN is refused."""
    text = json.dumps(obj, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    temporary = path.with_name(f".{path.name}{_PARTIAL}{os.getpid()}")
    with storage_faults(path):
        temporary.write_text(text + "\n", encoding="utf-8")
        os.replace(temporary, path)


@contextlib.contextmanager
def storage_faults(target: Path) -> Iterator[None]:
    """Turn a full disk or a refused write into a StorageError that names the target."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"{target}: no space left on the device -> free some, or choose another place"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            raise StorageError(f"{target}: cannot be written ({error.strerror}) -> choose another place") from error
        raise
    except Exception as error:
        if f"(os error {errno.ENOSPC})" in str(error):  # polars hides it in an error of its own
            raise StorageError(
                f"{target}: no space left on the device -> free some, or choose another place"
            ) from error
        raise


@contextlib.contextmanager
def new_folder(target: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """A temporary sibling to write into; it becomes `target` by one rename when the block ends well.

    On any exception, Ctrl-C included, it is removed; after kill -9 only a `.partial-` name is left, which nothing reads
    and the next call sweeps up. An existing target is refused unless `overwrite`.
    """
    check_free(target, overwrite=overwrite)
    with storage_faults(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(target.parent)
        temporary = target.with_name(f".{target.name}{_PARTIAL}{os.getpid()}")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
    try:
        with storage_faults(target):
            yield temporary
            _sync(temporary)
            _replace(temporary, target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def check_free(target: Path, *, overwrite: bool = False) -> None:
    """Raise StorageError where something but an empty folder stands at `target`, unless it may be overwritten."""
    if target.exists() and not overwrite and (not target.is_dir() or any(target.iterdir())):
        raise StorageError(f"{target}: is already there -> choose another name, or remove it first")


def sweep_partials(parent: Path) -> list[Path]:
    """Remove temporary folders and files whose process no longer runs; returns what was removed."""
    removed = []
    for path in parent.glob(f".*{_PARTIAL}*"):
        pid = path.name.rpartition("-")[2]
        if pid.isdigit() and int(pid) != os.getpid() and not _alive(int(pid)):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
            removed.append(path)
    return removed


def _replace(temporary: Path, target: Path) -> None:
    if target.exists():
        old = target.with_name(f".{target.name}.old{_PARTIAL}{os.getpid()}")
        os.replace(target, old)
        os.replace(temporary, target)
        shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(temporary, target)


def _sync(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as handle:
                os.fsync(handle.fileno())


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
