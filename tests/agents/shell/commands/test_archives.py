"""gzip and back."""

from __future__ import annotations

import gzip

import pytest

from tests.agents.shell.replay import flags, out, run
from veracast.agents.shell.commands.archives import packed, unpacked
from veracast.agents.shell.faults import CommandFault, LimitReached


def test_what_is_packed_is_what_gzip_reads() -> None:
    assert (
        gzip.decompress(packed(b"text")) == b"text" and unpacked(gzip.compress(b"a") + gzip.compress(b"b"), 10) == b"ab"
    )
    assert packed(b"text") == packed(b"text")


def test_bombs_and_broken_ones_end() -> None:
    with pytest.raises(LimitReached):
        unpacked(gzip.compress(bytes(10_000_000)), 1_000)
    for data in (b"nothing", packed(b"text")[:-4]):
        with pytest.raises(CommandFault):
            unpacked(data, 100)


def test_files_change_their_names() -> None:
    assert out("echo a > f; gzip f; ls; gunzip f.gz; ls; gzip -k f; ls; zcat f.gz") == "f.gz\nf\nf\nf.gz\na\n"
    assert run("echo a > f; gunzip f").status == 1 and flags("tar cf a.tar f") and flags("zip a b") and flags("bzip2 f")
