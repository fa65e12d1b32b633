"""The virtual tree by hand: paths, links, sizes, copies."""

from __future__ import annotations

import pytest

from veracast.agents.shell.faults import LimitReached, TreeFault
from veracast.agents.shell.limits import Limits
from veracast.agents.shell.tree import Clock, File, Link, Tree, blocks_kb, letter, size_of, snapshot


@pytest.fixture
def tree() -> Tree:
    made = Tree()
    made.make_directories("/a/b")
    made.write("/a/f", b"text")
    made.put(made.directory("/a/b"), "up", Link(0o777, 1, target="../f"))
    made.put(made.directory("/a"), "dir", Link(0o777, 1, target="/a/b"))
    return made


def test_paths(tree: Tree) -> None:
    assert (
        tree.real("b/../b/up", "/a") == "/a/f"
        and tree.real("/a/dir/up") == "/a/f"
        and tree.real("../../..", "/a/b") == "/"
    )
    assert tree.read("dir/up", "/a") == b"text" and letter(tree.find("/a/dir", follow=False)) == "l"
    for path, reason in (
        ("/none", "No such"),
        ("/a/f/x", "Not a dir"),
        ("/a/f/", "Not a dir"),
        ("", "No such"),
        ("/a\0", "Invalid"),
    ):
        with pytest.raises(TreeFault, match=reason):
            tree.find(path)


def test_links_that_go_round(tree: Tree) -> None:
    tree.put(tree.root, "x", Link(0o777, 1, target="y"))
    tree.put(tree.root, "y", Link(0o777, 1, target="x"))
    with pytest.raises(TreeFault, match="Too many"):
        tree.find("/x")
    with pytest.raises(TreeFault):
        tree.open_file("/x")


def test_writing(tree: Tree) -> None:
    tree.write("/a/f", b"+", append=True)
    assert tree.read("/a/f") == b"text+"
    tree.write("/a/g", b"new")
    assert tree.find("/a/g").mtime_ns > tree.find("/a/f").mtime_ns
    with pytest.raises(TreeFault, match="Is a directory"):
        tree.write("/a/b", b"")
    with pytest.raises(TreeFault, match="not empty"):
        tree.remove("/a")
    tree.remove("/a", tree=True)
    assert not tree.exists("/a")


def test_runs_of_zeros_take_no_memory(tree: Tree) -> None:
    node = tree.open_file("/big")
    assert isinstance(node, File)
    tree.truncate(node, 10**12)
    assert size_of(node) == 10**12 and blocks_kb(node) == 0
    with pytest.raises(LimitReached):
        tree.read("/big")
    tree.truncate(node, 3)
    tree.append(node, b"x")
    assert tree.read("/big") == b"\0\0\0x" and blocks_kb(node) == 4


def test_a_copy_is_its_own_and_keeps_hard_links(tree: Tree) -> None:
    tree.put(tree.root, "hard", tree.find("/a/f"))
    other = tree.copy()
    assert snapshot(other) == snapshot(tree)
    other.write("/hard", b"changed")
    assert other.read("/a/f") == b"changed" and tree.read("/a/f") == b"text" and snapshot(other) != snapshot(tree)


def test_limits() -> None:
    small = Tree(Clock(), Limits(nodes=5, file_bytes=10, tree_bytes=25))
    with pytest.raises(LimitReached):
        small.write("/f", b"12345678901")
    with pytest.raises(LimitReached):
        for n in range(9):
            small.write(f"/{n}", b"1")
