"""Whole or nothing: what a write leaves behind when it ends well, fails, is refused, or its process is killed."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veracast.core import files
from veracast.core.errors import InputError, StorageError
from veracast.core.files import new_folder, sha256_file, storage_faults, sweep_partials, write_json

FULL = "no space left on the device -> free some, or choose another place"
THERE = "is already there -> choose another name, or remove it first"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def dead_pid() -> int:
    """The id of a process that has ended and was waited for."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


# digests


def test_sha256_of_the_standard_examples(tmp_path: Path) -> None:
    """FIPS 180-2, appendix B: "abc" and a million times "a"; the latter is read in more than one piece."""
    (tmp_path / "abc").write_bytes(b"abc")
    (tmp_path / "a").write_bytes(b"a" * 1_000_000)
    assert sha256_file(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256_file(tmp_path / "a") == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


@pytest.mark.parametrize("size", [0, 1, (1 << 22) - 1, 1 << 22, (1 << 22) + 1])
def test_sha256_at_the_edges_of_a_chunk(tmp_path: Path, size: int) -> None:
    body = bytes(i % 251 for i in range(1000)) * (size // 1000 + 1)
    (tmp_path / "x").write_bytes(body[:size])
    assert sha256_file(tmp_path / "x") == hashlib.sha256(body[:size]).hexdigest()


# JSON


def test_json_is_sorted_readable_and_ends_in_a_line_break(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"b": [1, None], "a": "标题"})
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == ('{\n "a": "标题",\n "b": [\n  1,\n  null\n ]\n}\n')
    assert names(tmp_path) == ["x.json"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_that_no_reader_takes_is_refused_and_the_old_file_stays(tmp_path: Path, number: float) -> None:
    write_json(tmp_path / "x.json", {"old": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"new": number})
    assert (tmp_path / "x.json").read_text() == '{\n "old": 1\n}\n'
    assert names(tmp_path) == ["x.json"]


def test_json_on_a_full_disk_keeps_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "x.json", {"old": 1})
    honest = Path.write_text

    def half(path: Path, text: str, **options: Any) -> int:
        honest(path, text[:3], **options)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", half)
        with pytest.raises(StorageError) as caught:
            write_json(tmp_path / "x.json", {"new": 2})
    assert str(caught.value) == f"{tmp_path}/x.json: {FULL}"
    assert (tmp_path / "x.json").read_text() == '{\n "old": 1\n}\n'
    assert names(tmp_path) == ["x.json"]


# faults of the place that is written to


def message(target: Path, work: Callable[[], object]) -> str:
    with pytest.raises(StorageError) as caught, storage_faults(target):
        work()
    assert caught.value.__cause__ is not None
    return str(caught.value)


def throw(error: Exception) -> Callable[[], object]:
    def work() -> None:
        raise error

    return work


def test_the_kernels_own_full_disk_is_told_apart(tmp_path: Path) -> None:
    """/dev/full answers every write with ENOSPC; polars hides it in an error of its own."""
    target = tmp_path / "x"
    frame = pl.DataFrame({"a": [1]})
    assert message(target, lambda: Path("/dev/full").write_text("x")) == f"{target}: {FULL}"
    assert message(target, lambda: frame.write_parquet(Path("/dev/full"))) == f"{target}: {FULL}"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.EACCES, "Permission denied"),
        (errno.EROFS, "Read-only file system"),
        (errno.EPERM, "Operation not permitted"),
    ],
)
def test_a_refused_write_names_the_target(tmp_path: Path, code: int, words: str) -> None:
    target = tmp_path / "out" / "set"
    expected = f"{target}: cannot be written ({words}) -> choose another place"
    sibling = target.parent / f".{target.name}.partial-7" / "videos.parquet"
    for place in (None, target, target / "x.json", target.parent, tmp_path, sibling):
        file = None if place is None else str(place)
        assert message(target, throw(OSError(code, words, file))) == expected


def test_a_refused_read_of_another_file_is_not_blamed_on_the_target(tmp_path: Path) -> None:
    """A source is opened while the target is being written: the message must send the user to the source."""
    source = tmp_path / "export.csv"
    with pytest.raises(InputError) as caught, storage_faults(tmp_path / "set"):
        raise PermissionError(errno.EACCES, "Permission denied", str(source))
    assert str(caught.value) == f"{source}: cannot be opened (Permission denied) -> check its permissions"


@pytest.mark.parametrize("error", [FileNotFoundError(errno.ENOENT, "no"), ValueError("x"), KeyboardInterrupt()])
def test_other_faults_pass_through_as_they_are(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, storage_faults(tmp_path / "x"):
        raise error
    assert caught.value is error


# folders


def test_a_folder_appears_whole_under_its_name_and_only_at_the_end(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "set"
    with new_folder(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "x").write_text("1")
        assert not target.exists()
        assert folder.parent == target.parent
        assert folder.name == f".set.partial-{os.getpid()}"
    assert (target / "inner" / "x").read_text() == "1"
    assert names(target.parent) == ["set"]


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyboardInterrupt(), SystemExit(3)])
def test_a_block_that_fails_leaves_nothing_and_the_old_folder_as_it_was(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "x").write_text("old")
    for name in ("new", "old"):
        with pytest.raises(type(error)), new_folder(tmp_path / name, overwrite=True) as folder:
            (folder / "x").write_text("new")
            raise error
    assert names(tmp_path) == ["old"]
    assert (tmp_path / "old" / "x").read_text() == "old"


def test_what_is_there_is_refused_unless_overwrite(tmp_path: Path) -> None:
    full, file, empty = tmp_path / "full", tmp_path / "file", tmp_path / "empty"
    full.mkdir()
    (full / "mine").write_text("1")
    file.write_text("2")
    empty.mkdir()
    for target in (full, file):
        with pytest.raises(StorageError) as caught, new_folder(target):
            pytest.fail("the block must not be entered")
        assert str(caught.value) == f"{target}: {THERE}"
    assert (full / "mine").read_text() == "1"
    for target in (empty, full, file):
        with new_folder(target, overwrite=target is not empty) as folder:
            (folder / "new").write_text("3")
        assert names(target) == ["new"]
    assert names(tmp_path) == ["empty", "file", "full"]


def test_a_target_that_names_no_folder_is_a_users_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (".", "..", "/"):
        with pytest.raises(StorageError) as caught, new_folder(Path(name), overwrite=True):
            pytest.fail("the block must not be entered")
        assert str(caught.value) == f"{name}: is no name for a new folder -> give it one, such as ./dataset"


def test_a_rename_that_fails_puts_the_old_folder_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "set"
    with new_folder(target) as folder:
        (folder / "x").write_text("old")
    honest, calls = os.replace, []

    def once_broken(source: Path, to: Path) -> None:
        calls.append((Path(source).name, Path(to).name))
        if len(calls) == 2:  # the old folder has been moved aside, the new one takes its name
            raise OSError(errno.EIO, "Input/output error")
        honest(source, to)

    monkeypatch.setattr(os, "replace", once_broken)
    with pytest.raises(OSError, match="Input/output"), new_folder(target, overwrite=True) as folder:
        (folder / "x").write_text("new")
    pid = os.getpid()
    aside, new = f".set.partial-old-{pid}", f".set.partial-{pid}"
    assert calls == [("set", aside), (new, "set"), (aside, "set")]
    assert names(tmp_path) == ["set"]
    assert (target / "x").read_text() == "old"


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a", "b"]), st.booleans(), st.booleans(), st.text(max_size=5)),
        min_size=1,
        max_size=8,
    )
)
def test_after_any_history_a_name_holds_the_last_write_that_ended_well(
    history: list[tuple[str, bool, bool, str]],
) -> None:
    """Reference: a dict from name to content. Each step writes a name, may overwrite, and may fail in the middle."""
    with tempfile.TemporaryDirectory() as place:
        root, expected = Path(place), {}
        for name, overwrite, fails, text in history:
            try:
                with new_folder(root / name, overwrite=overwrite) as folder:
                    (folder / "x").write_text(text, encoding="utf-8", newline="")
                    if fails:
                        raise RuntimeError
                    expected[name] = text
            except RuntimeError:
                assert fails
            except StorageError:
                assert name in expected and not overwrite
        found = {p.name: (p / "x").read_bytes().decode() for p in root.iterdir()}
        assert found == expected


# sweeping


def test_sweeping_takes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    gone, me = dead_pid(), os.getpid()
    folder = tmp_path / f".set.partial-{gone}"
    folder.mkdir()
    (folder / "x").write_text("1")
    file = tmp_path / f".record.json.partial-{gone}"
    file.write_text("{")
    kept = [
        f".set.partial-{me}",
        f".set.partial-{os.getppid()}",
        ".set.partial-x",
        f"set.partial-{gone}",
        f"set-{gone}",
    ]
    for name in kept:
        (tmp_path / name).write_text("mine")
    assert sorted(sweep_partials(tmp_path)) == sorted([folder, file])
    assert names(tmp_path) == sorted(kept)


def test_a_process_killed_between_the_two_renames_loses_no_old_folder(tmp_path: Path) -> None:
    """kill -9 after the old folder was moved aside and before the new one took its name: sweeping gives it back."""
    gone = dead_pid()
    aside, new = tmp_path / f".set.partial-old-{gone}", tmp_path / f".set.partial-{gone}"
    for folder, text in ((aside, "old"), (new, "new")):
        folder.mkdir()
        (folder / "x").write_text(text)
    assert sweep_partials(tmp_path) == [new]
    assert names(tmp_path) == ["set"]
    assert (tmp_path / "set" / "x").read_text() == "old"
    aside.mkdir()  # and one that was replaced is only a leftover
    assert sweep_partials(tmp_path) == [aside]
    assert (tmp_path / "set" / "x").read_text() == "old"


def test_a_new_folder_sweeps_its_neighbourhood_first(tmp_path: Path) -> None:
    left = tmp_path / f".other.partial-{dead_pid()}"
    left.mkdir()
    with new_folder(tmp_path / "set"):
        assert not left.exists()


def test_the_digest_of_code_is_of_names_and_syntax_of_those_packages_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("core/files.py", ""), ("a/x.py", "1"), ("b/y.py", "2")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "core" / "files.py"))
    before = files.code_digest("a")
    (tmp_path / "b" / "y.py").write_text("3")
    (tmp_path / "a" / "notes.txt").write_text("no code")
    assert files.code_digest("a") == before != files.code_digest("a", "b")
    (tmp_path / "a" / "x.py").rename(tmp_path / "a" / "z.py")
    assert files.code_digest("a") != before


def test_what_is_said_about_code_is_not_in_its_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments, docstrings, strings under fields and line breaks are not; a value, a name and a string that is used are."""
    monkeypatch.setattr(files, "__file__", str(tmp_path / "core" / "files.py"))
    (tmp_path / "a").mkdir()

    def digest(text: str) -> str:
        (tmp_path / "a" / "x.py").write_text(text)
        return files.code_digest("a")

    plain = digest("class C:\n    n: int = 1\n\ndef f(a, b):\n    return a + b + 'z'\n")
    told = '"""A."""\nclass C:\n    """B."""\n    n: int = 1  # two\n    """C."""\n\ndef f(\n    a,\n    b,\n):\n    """D."""\n    return a + b + "z"\n'
    assert digest(told) == plain
    for old, new in (("1", "2"), ("return a", "return b"), ('"z"', '"y"'), ("class C", "class D")):
        assert digest(told.replace(old, new)) != plain


def test_the_code_behind_a_file_is_what_it_imports_however_far_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (
        ("core/files.py", ""),
        ("a/x.py", "from veracast.a.y import one\nfrom veracast.core import files\n"),
        ("a/y.py", "def late():\n    from veracast.b import z\n"),
        ("a/unused.py", ""),
        ("b/z.py", "from veracast.a.x import one\nimport numpy\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(files, "__file__", str(tmp_path / "core" / "files.py"))
    assert files.code_behind("a/x.py", within=("a", "b")) == ["a/x.py", "a/y.py", "b/z.py"]
    assert files.code_behind("a/x.py", within=("a", "core")) == ["a/x.py", "a/y.py", "core/files.py"]
    assert files.code_behind("a/unused.py", within=("a",)) == ["a/unused.py"]
