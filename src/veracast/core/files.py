"""Whole folders or nothing: atomic writing, digests, and sweeping up after killed processes."""

from __future__ import annotations

import ast
import contextlib
import errno
import functools
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from veracast.core.errors import InputError, StorageError

_CHUNK = 1 << 22
_PARTIAL = ".partial-"
_ASIDE = f"{_PARTIAL}old-"


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def code_digest(*parts: str) -> str:
    """Hex digest of some of veracast's packages ("data") and files ("data/world.py"): what was computed by other code is computed again.

    Of what the code does: comments, docstrings and line breaks are not in it, so that hours of work outlive a better sentence.
    """
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    files = [
        path for part in parts for path in ([root / part] if part.endswith(".py") else (root / part).rglob("*.py"))
    ]
    for path in sorted(files):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + _syntax_digest(path.read_bytes()))
    return digest.hexdigest()


@functools.lru_cache(maxsize=1024)
def _syntax_digest(source: bytes) -> bytes:
    """Of a file's syntax tree without strings that stand alone."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not _is_string(one)]  # type: ignore[attr-defined]
    return hashlib.sha256(ast.dump(tree, annotate_fields=False).encode("utf-8", "surrogatepass")).digest()


def _is_string(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def code_behind(*files: str, within: Sequence[str]) -> list[str]:
    """Some of veracast's files ("poison/find.py") and all that they import, however far down, from some of its packages."""
    root, found, left = Path(__file__).parents[1], set[str](), list(files)
    while left:
        name = left.pop()
        if name in found:
            continue
        found.add(name)
        asked = _imported((root / name).read_bytes())
        left += [one for one in asked if one.split("/")[0] in within and (root / one).is_file()]
    return sorted(found)


@functools.lru_cache(maxsize=1024)
def _imported(source: bytes) -> list[str]:
    """Files of veracast that a file may import by what it says, those that do not exist among them."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("veracast."):
            base = node.module.removeprefix("veracast.").replace(".", "/")
            found += [f"{base}.py", f"{base}/__init__.py", *(f"{base}/{alias.name}.py" for alias in node.names)]
    return found


def cache_folder(name: str) -> Path:
    """Where things are kept between runs: `VERACAST_CACHE`/name, else ~/.cache/veracast/name. It may not be there yet."""
    base = os.environ.get("VERACAST_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "veracast") / name


def write_json(path: Path, obj: Any) -> None:
    """Write JSON with sorted keys through a temporary name; NaN is refused."""
    text = json.dumps(obj, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    temporary = path.with_name(f".{path.name}{_PARTIAL}{os.getpid()}")
    with storage_faults(path):
        try:
            temporary.write_text(text + "\n", encoding="utf-8")
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def storage_faults(target: Path) -> Iterator[None]:
    """Turn a full disk or a refused write into a StorageError that names the target.

    A refusal that names a file elsewhere (a source read while the target is written) is an InputError of that file.
    """
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageError(
                f"{target}: no space left on the device -> free some, or choose another place"
            ) from error
        if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            if error.filename is not None and not _belongs(Path(str(error.filename)), target):
                message, remedy = f"cannot be opened ({error.strerror})", "check its permissions"
                raise InputError(message, file=str(error.filename), remedy=remedy) from error
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
    if target.name in ("", ".."):
        raise StorageError(f"{target}: is no name for a new folder -> give it one, such as ./dataset")
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
    """Remove temporary folders and files whose process no longer runs; returns what was removed.

    What such a process had moved aside to replace it, and did not replace, gets its name back.
    """
    removed = []
    for path in sorted(parent.glob(f".*{_PARTIAL}*")):
        pid = path.name.rpartition("-")[2]
        if not pid.isdigit() or int(pid) == os.getpid() or _alive(int(pid)):
            continue
        home = path.with_name(path.name[1:].rpartition(_ASIDE)[0] or path.name)
        if not home.exists():
            os.replace(path, home)
        else:
            _remove(path)
            removed.append(path)
    return removed


def _replace(temporary: Path, target: Path) -> None:
    if not target.exists():
        os.replace(temporary, target)
        return
    old = target.with_name(f".{target.name}{_ASIDE}{os.getpid()}")
    os.replace(target, old)
    try:
        os.replace(temporary, target)
    except BaseException:
        os.replace(old, target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _belongs(path: Path, target: Path) -> bool:
    """Whether a path is the target, a folder above it, or stands inside it or its temporary siblings."""
    path, target = path.absolute(), target.absolute()
    if path == target or path in target.parents:
        return True
    if not path.is_relative_to(target.parent):
        return False
    first = path.relative_to(target.parent).parts[0]
    return first == target.name or first.startswith(f".{target.name}.")


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
