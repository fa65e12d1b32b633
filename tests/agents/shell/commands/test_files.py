"""Making, moving and removing, as GNU's commands answered."""

from __future__ import annotations

from tests.agents.shell.replay import differences, flags, out


def test_it_answers_as_gnu_did() -> None:
    assert differences("files") == []


def test_what_is_not_modelled_is_flagged() -> None:
    for script in (
        "rm -i f",
        "cp --parents a b",
        "mv -b a b",
        "ln -r a b",
        "truncate -s %4 f",
        "dd if=/etc/hosts of=b seek=2",
        "mktemp -u",
        "install a b",
        "rsync a b",
        "cp -u a b",
    ):
        assert flags(script), script


def test_large_files_take_no_memory() -> None:
    assert out(
        "truncate -s 1T f; stat -c '%s %b' f; fallocate -l 1G g; du -h g; dd if=/dev/zero of=h bs=1M count=300 status=none; find . -size +200M | sort"
    ) == ("1099511627776 0\n1.0G\tg\n./f\n./g\n./h\n")
